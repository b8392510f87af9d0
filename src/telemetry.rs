//! Logs: one line per event on stderr, as text or JSON.

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging; `false` where the level is no filter. Called once, at the start of a long-running command.
pub fn init(log: &Log) -> bool {
    // rumqttd reports every link of ours as news.
    let Ok(filter) = EnvFilter::try_new(format!("rumqttd=error,{}", log.level)) else { return false };
    // A log that cannot be written (its disk is full) would be complained about on stderr, with a panic where that fails.
    let builder =
        tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init().is_ok(),
        LogFormat::Json => builder.json().try_init().is_ok(),
    }
}
