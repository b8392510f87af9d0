//! `papcast status`

use anyhow::bail;
use serde_json::json;

use super::client::Endpoint;
use super::{out, push};
use crate::pap::Document;
use crate::pap::document::StatusQuery;

/// Show what has happened to a push, over PAP: one line for each of its addresses.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    endpoint: Endpoint,
    /// The push to ask about.
    push_id: String,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let query = Document::StatusQuery(StatusQuery { push_id: args.push_id, addresses: Vec::new() });
    let Document::StatusQueryResponse(response) = push::ask(&args.endpoint, &query).await? else {
        bail!("the gateway did not answer the status query");
    };
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for result in &response.results {
        let (desc, state) = (result.desc.as_deref().unwrap_or(""), result.state.name());
        anyhow::ensure!(result.code.0 / 1000 != 2, "{}: {} {desc}", response.push_id, result.code);
        for address in &result.addresses {
            values.push(json!({ "address": address, "state": state, "code": result.code.0, "desc": desc }));
            rows.push(vec![address.clone(), state.to_owned(), result.code.to_string(), desc.to_owned()]);
        }
    }
    if args.endpoint.json {
        out::list(&values);
    } else {
        out::table(&["address", "state", "code", "description"], &rows);
    }
    Ok(())
}
