//! `papcast config`

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::out;
use crate::config;
use crate::telemetry;

/// Validate a configuration, or print the default.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read a file (and the environment) as `serve` would, and say what is wrong with it.
    Check {
        file: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the commented default.
    Default,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.action {
        Action::Check { file, json } => check(file.as_deref(), *json)?,
        Action::Default => print!("{}", config::DEFAULT_TOML),
    }
    Ok(())
}

fn check(file: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let (_, warnings) = load(file)?;
    let name = file.map_or("the built-in default".into(), |file| file.display().to_string());
    if json {
        out::json(&serde_json::json!({ "file": file, "valid": true, "warnings": warnings }));
        return Ok(());
    }
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    println!("{name}: valid");
    Ok(())
}

/// The configuration of a command, with the environment, and what is odd about it.
pub(super) fn load(file: Option<&Path>) -> anyhow::Result<(config::Config, Vec<String>)> {
    let environment = config::environment();
    let config = config::load(file, environment.clone(), &[])?;
    let level = &config.log.level;
    anyhow::ensure!(telemetry::is_filter(level), "log.level: {level:?} is no level and no filter");
    let warnings = config::doubts(&config, &environment);
    Ok((config, warnings))
}
