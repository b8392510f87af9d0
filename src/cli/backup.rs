//! `papcast backup`

use std::path::PathBuf;

use anyhow::Context as _;

use crate::config;
use crate::store;

/// Copy the store that the configuration names, while the gateway runs or not.
///
/// The copy is consistent: it is what was on disk at one moment. To go back to it, stop the gateway and put the copy in
/// the place of store.path, without the -wal and -shm files of the old one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the copy goes; there must be no such file.
    file: PathBuf,
    /// Configuration file of the gateway.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print path and size as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = config::load(args.config.as_deref(), std::env::vars(), &[])?;
    let size = store::backup(&config.store.path, &args.file).context("no backup was made")?;
    if args.json {
        println!("{}", serde_json::json!({ "file": args.file, "bytes": size }));
    } else {
        println!("{}: {size} bytes", args.file.display());
    }
    Ok(())
}
