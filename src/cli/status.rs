//! `papcast status`

use anyhow::bail;

use super::client::Endpoint;
use super::push;
use crate::pap::Document;
use crate::pap::document::StatusQuery;

/// What became of a push, over PAP.
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
    for result in &response.results {
        let desc = result.desc.as_deref().unwrap_or("");
        anyhow::ensure!(result.code.0 / 1000 != 2, "{}: {} {desc}", response.push_id, result.code);
        for address in &result.addresses {
            if args.endpoint.json {
                let line = serde_json::json!({"address": address, "state": result.state.name(), "code": result.code.0, "desc": desc});
                println!("{line}");
            } else {
                println!("{address}\t{}\t{}\t{desc}", result.state.name(), result.code);
            }
        }
    }
    Ok(())
}
