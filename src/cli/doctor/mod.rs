//! `papcast doctor`: what may be wrong with a gateway on this machine, and what to do about it.
//!
//! | file | job |
//! | --- | --- |
//! | [`finding`] | what a check has found |
//! | [`running`] | the gateway that runs, as far as it can be asked; its clock |
//! | [`ports`] | the addresses of the listeners |
//! | [`certificate`] | certificate and key |
//! | [`store_file`] | the store, its log, its disk |
//! | [`system`] | clock and open files |

mod certificate;
mod finding;
mod ports;
mod running;
mod store_file;
mod system;

use std::path::{Path, PathBuf};

use serde_json::json;

use self::finding::{Finding, State};
use self::running::Running;
use super::client::Gateway;
use super::ending::sentence;
use super::names::count;
use super::{config, out};

/// Check configuration, ports, files, disk and clock, and what a running gateway says of itself.
///
/// Each line says ok, warn or fail, and what to do. Nothing is changed. The exit code is 1 where something failed. Run it as the user
/// that runs the gateway, and in the same folder.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration file of the gateway; where none is named, the built-in default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    // Where no setting says where it is, the gateway is asked at http.listen.
    #[command(flatten)]
    gateway: Gateway,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let findings = examine(&args).await?;
    if args.json {
        out::json(&json!({ "checks": findings }));
    } else {
        let row = |one: &Finding| vec![one.state.name().to_owned(), one.name.clone(), one.detail.clone()];
        out::table(&["state", "check", "detail"], &findings.iter().map(row).collect::<Vec<_>>());
    }
    let failed = findings.iter().filter(|one| one.state == State::Fail).count() as u64;
    anyhow::ensure!(failed == 0, "{} failed", count(failed, "check", "checks"));
    Ok(())
}

async fn examine(args: &Args) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let Some(config) = configuration(args.config.as_deref(), &mut findings) else {
        // Whatever else could be looked at is named in the configuration.
        findings.push(system::year());
        return Ok(findings);
    };
    let running = Running::find(&args.gateway, &config).await?;
    findings.extend(certificate::check(&config.tls));
    findings.extend(ports::check(&config, &running).await);
    findings.extend(store_file::check(&config.store.path, running.uses_store()).await?);
    findings.push(system::year());
    findings.push(system::open_files(&config));
    findings.extend(running.check());
    Ok(findings)
}

/// None where it is not valid.
fn configuration(file: Option<&Path>, findings: &mut Vec<Finding>) -> Option<crate::config::Config> {
    let name = file.map_or_else(|| "the built-in default".to_owned(), |file| file.display().to_string());
    let faulty = |error: &anyhow::Error| Finding::fail("configuration", sentence(error));
    match config::load(file) {
        Ok((config, warnings)) => {
            match config::files(&config) {
                Ok(()) => findings.push(Finding::ok("configuration", format!("{name}: valid"))),
                Err(error) => findings.push(faulty(&error)),
            }
            findings.extend(warnings.into_iter().map(|warning| Finding::warn("configuration", warning)));
            Some(config)
        }
        Err(error) => {
            findings.push(faulty(&error));
            None
        }
    }
}
