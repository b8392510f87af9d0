//! `papcast backup`

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{config, out};
use crate::store;

/// Copy the store that the configuration names, while the gateway runs or not.
///
/// The copy is consistent: it is what was on disk at one moment. To go back to it, stop the gateway and put the copy in
/// the place of store.path, without the -wal and -shm files of the old one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the copy goes; there must be no such file.
    file: PathBuf,
    /// Configuration file of the gateway. A relative store.path in it means: in the folder where the gateway runs, so run
    /// this command there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print path and size as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (config, _) = config::load(args.config.as_deref())?;
    there(&config.store.path, &args.file)?;
    let size = store::backup_and_note(&config.store.path, &args.file).context("no backup was made")?;
    if args.json {
        out::json(&serde_json::json!({ "file": args.file, "bytes": size }));
    } else {
        println!("{}: {size} bytes", args.file.display());
    }
    Ok(())
}

/// SQLite would only say that it is unable to open the file.
fn there(store: &Path, copy: &Path) -> anyhow::Result<()> {
    if store.exists() {
        return Ok(());
    }
    let failed = format!("no backup was made: {}: cannot be copied to {}", store.display(), copy.display());
    anyhow::ensure!(!store.is_absolute(), "{failed}: there is no such store (store.path)");
    let here = std::env::current_dir().map_or_else(|_| "this folder".into(), |here| here.display().to_string());
    anyhow::bail!(
        "{failed}: there is no such store in {here}. store.path is relative to the folder where the gateway runs: run this command \
         there, or make store.path absolute"
    )
}
