//! `papcast complete`: what the scripts of `papcast completions` ask for while somebody types. Hidden: it is no command for people.

use std::time::Duration;

use clap::Subcommand;
use hyper::Method;

use super::client::{Gateway, text};

/// Words for a shell.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    gateway: Gateway,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The names of the groups, one on each line.
    Groups,
}

/// Nobody waits longer for a word. The scripts cannot say that something failed, so it is not said.
const PATIENCE: Duration = Duration::from_millis(900);

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let What::Groups = args.what;
    // One page: whoever has more than a thousand groups types a few letters himself.
    let asked = args.gateway.json(Method::GET, "/api/v1/groups?limit=1000", None);
    let page = tokio::time::timeout(PATIENCE, asked).await.ok().and_then(Result::ok).unwrap_or_default();
    for group in page["groups"].as_array().into_iter().flatten() {
        let name = text(group, "id");
        // A line is a name to the scripts.
        if !name.contains(char::is_control) {
            println!("{name}");
        }
    }
    Ok(())
}
