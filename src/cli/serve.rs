//! `papcast serve`

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::config;
use crate::app::App;
use crate::entrances::Addresses;
use crate::liveness::Liveness;
use crate::reload::Reloader;
use crate::service_manager::ServiceManager;
use crate::telemetry;

/// Run the gateway until SIGINT or SIGTERM.
///
/// Prints one line of JSON when it is ready, and tells systemd; logs go to stderr. SIGHUP does what `papcast config reload` does. A second SIGINT or SIGTERM stops at once.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Configuration file; see `papcast config default`. Where none is named, none is read.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stop when stdin ends: whoever holds its other end is gone then, however that happened.
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

/// The one line on stdout.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    #[serde(flatten)]
    addresses: Addresses,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let (config, warnings) = config::load(args.config.as_deref())?;
    anyhow::ensure!(telemetry::init(&config.log), "log.level: {:?} is no level and no filter", config.log.level);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let stop = CancellationToken::new();
    // Before the store is touched: see `SIGXFSZ`.
    watch_signals(stop.clone()).context("signals cannot be watched")?;
    if args.stop_with_stdin {
        stop_with_stdin(stop.clone());
    }
    let pap = config.pap.endpoints.keys().cloned().collect::<Vec<String>>().join(", ");
    let file = args.config.clone();
    let load = move || match config::load(file.as_deref()) {
        Ok((config, _)) => Ok(config),
        Err(error) => Err(format!("{error:#}")),
    };
    let app = App::build(config, Arc::new(load)).await?;
    let manager = Arc::new(ServiceManager::of_environment());
    reload_on_hangup(app.reloader().clone(), Arc::clone(&manager)).context("signals cannot be watched")?;
    let ready = Ready { ready: true, addresses: app.entrances().addresses() };
    let (http, mqtt) = app.entrances().in_words();
    // A gateway is not ended because nobody reads its ready line.
    let _ = writeln!(std::io::stdout(), "{}", serde_json::to_string(&ready)?);
    tracing::info!("listening on {http} (PAP at {pap}; JSON at /api/v1) and on {mqtt} (MQTT 3.1.1 and 5)");
    manager.ready(&format!("listening on {http} and on {mqtt}"));
    tell_manager(manager, app.liveness(), stop.clone());
    let ended = app.run(stop).await;
    telemetry::end().await;
    ended?;
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
    // From now on it ends nobody; what it asks for is done once the gateway is there.
    let _ = signal(SignalKind::hangup())?;
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

/// On a thread of its own, which nobody waits for: a read of stdin cannot be taken back.
fn stop_with_stdin(stop: CancellationToken) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        tracing::info!("stopping; stdin has ended");
        stop.cancel();
    });
}

/// SIGHUP comes from service managers that want a reload, from log rotation, and from a shell that is closed. None of them
/// means that the gateway shall end.
fn reload_on_hangup(reloader: Reloader, manager: Arc<ServiceManager>) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP: what can be read again is");
            manager.reloading();
            manager.ready(&reloader.reload_and_tell());
        }
    });
    Ok(())
}

/// That the gateway lives, and that it stops.
fn tell_manager(manager: Arc<ServiceManager>, liveness: Liveness, stop: CancellationToken) {
    let (living, stopping) = (Arc::clone(&manager), stop.clone());
    tokio::spawn(async move { stop.run_until_cancelled(living.keep_alive(|| liveness.look())).await });
    tokio::spawn(async move {
        stopping.cancelled().await;
        manager.stopping();
    });
}

/// Nothing accepted is lost: it is on disk.
#[allow(clippy::exit)]
fn stop_at_once() -> ! {
    std::process::exit(1)
}
