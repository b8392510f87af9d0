//! `papcast cancel`

use anyhow::bail;

use super::client::Endpoint;
use super::push;
use crate::pap::Document;
use crate::pap::code::Code;
use crate::pap::document::CancelMessage;

/// Cancel a push, over PAP: who has not got it will not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    endpoint: Endpoint,
    /// The push to cancel.
    push_id: String,
    /// Only for these addresses.
    #[arg(long, num_args = 1.., value_name = "ADDRESS")]
    to: Vec<String>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let message = Document::CancelMessage(CancelMessage { push_id: args.push_id, addresses: args.to });
    let Document::CancelResponse(response) = push::ask(&args.endpoint, &message).await? else {
        bail!("the gateway did not answer the cancel");
    };
    let mut refused = false;
    for result in &response.results {
        let desc = result.desc.as_deref().unwrap_or("");
        refused |= !result.code.is_success();
        anyhow::ensure!(result.code != Code::PUSH_ID_NOT_FOUND, "{}: {} {desc}", response.push_id, result.code);
        if args.endpoint.json {
            println!("{}", serde_json::json!({"code": result.code.0, "desc": desc, "addresses": result.addresses}));
        } else {
            println!("{}\t{desc}\t{}", result.code, result.addresses.join(" "));
        }
    }
    anyhow::ensure!(!refused, "{}: not everything could be cancelled", response.push_id);
    Ok(())
}
