//! `papcast pushes`

use hyper::Method;
use serde_json::Value;

use super::client::{Admin, escape, text};
use super::out;

/// The newest pushes, with how many have them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    admin: Admin,
    /// Of this initiator only; without it, of all that the caller may see.
    #[arg(long, value_name = "NAME")]
    initiator: Option<String>,
    /// Only these: scheduled (not due yet), pending (being delivered) or finished.
    #[arg(long, value_parser = ["scheduled", "pending", "finished"])]
    state: Option<String>,
    /// So many at most.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    limit: u16,
    /// Older than those of an earlier answer: its "next".
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let Admin { gateway, json } = &args.admin;
    let whose = args.initiator.as_deref().unwrap_or("*");
    let after = args.after.map(|after| format!("&after={}", escape(&after))).unwrap_or_default();
    let state = args.state.map(|state| format!("&state={state}")).unwrap_or_default();
    let path = format!("/api/v1/pushes?limit={}&initiator={}{state}{after}", args.limit, escape(whose));
    let page = gateway.json(Method::GET, &path, None).await?;
    if *json {
        out::page(page["pushes"].as_array().map_or(&[], Vec::as_slice), &page["next"]);
        return Ok(());
    }
    let rows: Vec<Vec<String>> = page["pushes"].as_array().into_iter().flatten().flat_map(rows).collect();
    out::table(&["push-id", "initiator", "submitted", "address", "state", "who has it"], &rows);
    Ok(())
}

/// A row for each address.
fn rows(push: &Value) -> Vec<Vec<String>> {
    let addresses = push["addresses"].as_array().into_iter().flatten();
    let row = |address: &Value| {
        let of_push = ["push_id", "initiator", "created_at"].map(|field| text(push, field));
        let of_address = ["address", "state", "desc"].map(|field| text(address, field));
        of_push.into_iter().chain(of_address).collect()
    };
    addresses.map(row).collect()
}
