//! `papcast config`

use std::path::PathBuf;

use clap::Subcommand;

use crate::config;

/// Validate a configuration, or print the default.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read a file (and the environment) as `serve` would, and say what is wrong with it.
    Check { file: Option<PathBuf> },
    /// Print the commented default.
    Default,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.action {
        Action::Check { file } => {
            config::load(file.as_deref(), std::env::vars(), &[])?;
            println!(
                "{}: valid",
                file.as_ref().map_or("the built-in default".into(), |file| file.display().to_string())
            );
        }
        Action::Default => print!("{}", config::DEFAULT_TOML),
    }
    Ok(())
}
