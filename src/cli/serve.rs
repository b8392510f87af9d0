//! `papcast serve`

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::app::{Addresses, App};
use crate::config;
use crate::telemetry;

/// Run the gateway until SIGINT or SIGTERM.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration file; see `papcast config default`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The one line on stdout.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    #[serde(flatten)]
    addresses: Addresses,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let config = config::load(args.config.as_deref(), std::env::vars(), &[])?;
    anyhow::ensure!(telemetry::init(&config.log), "log.level: {:?} is no level and no filter", config.log.level);
    let stop = CancellationToken::new();
    // Before the store is touched: see `SIGXFSZ`.
    watch_signals(stop.clone()).context("signals cannot be watched")?;
    let app = App::build(config).await?;
    let ready = Ready { ready: true, addresses: app.addresses() };
    println!("{}", serde_json::to_string(&ready)?);
    tracing::info!(http = %ready.addresses.http, mqtt = %ready.addresses.mqtt, "ready");
    app.run(stop).await?;
    tracing::info!("stopped");
    Ok(())
}

/// The same number on every Unix but some MIPS.
const SIGXFSZ: i32 = 25;

/// The first signal asks for the stop; the second one does not wait for it.
fn watch_signals(stop: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Would end the process where a file may not grow (ulimit -f). With somebody to receive it, the write fails instead,
    // and the store treats that like a full disk.
    let too_large = signal(SignalKind::from_raw(SIGXFSZ))?;
    tokio::spawn(async move {
        let _too_large = too_large;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping; a second signal stops at once");
        stop.cancel();
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop_at_once();
    });
    Ok(())
}

/// Nothing accepted is lost: it is on disk.
#[allow(clippy::exit)]
fn stop_at_once() -> ! {
    std::process::exit(1)
}
