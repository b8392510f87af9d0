//! `papcast config`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;

use super::out;
use crate::config;
use crate::control::{self, Order, Reply};
use crate::jwt;
use crate::telemetry;
use crate::tls;

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
        /// The same, as the other commands name it.
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        config: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have the running gateway read its configuration again: log level, rules of initiators and devices, certificates. What else
    /// has changed needs a restart, and is named. A faulty file changes nothing.
    Reload {
        /// Configuration file of the gateway: its store.path says where to find it.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the commented default.
    Default,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.action {
        Action::Check { file, config, json } => check(file.as_deref().or(config.as_deref()), *json)?,
        Action::Reload { config, json } => reload(config.as_deref(), *json)?,
        Action::Default => print!("{}", config::DEFAULT_TOML),
    }
    Ok(())
}

fn check(file: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let (config, warnings) = load(file)?;
    files(&config)?;
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

/// The files that `serve` reads besides.
pub(super) fn files(config: &config::Config) -> anyhow::Result<()> {
    tls::Certificates::load(&config.tls)?;
    tls::Trust::new(config.notify.ca.as_deref(), "notify.ca")?;
    jwt::check(&config.jwt)?;
    Ok(())
}

fn reload(file: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let (config, _) = load(file)?;
    let store = config.store.path;
    let asked = control::ask(&store, &Order::Reload)
        .with_context(|| format!("{}: the gateway cannot be asked", control::path(&store).display()))?;
    let done = match asked {
        None => anyhow::bail!("no gateway runs on {}: there is nothing to reload", store.display()),
        Some(Reply::Failed(why)) => anyhow::bail!("nothing has changed: {why}"),
        Some(Reply::Done(done)) => done,
    };
    if json {
        out::json(&done);
        return Ok(());
    }
    let words = |field: &str| {
        let all = done[field].as_array().into_iter().flatten();
        all.filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(", ")
    };
    println!("reloaded: {}", words("reloaded"));
    if !words("needs_restart").is_empty() {
        println!("changed, and needs a restart: {}", words("needs_restart"));
    }
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
