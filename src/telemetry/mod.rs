//! Logs: one line per event on stderr, as text, as JSON or for the journal. docs/logs.md says more.

#[cfg(feature = "otel")]
mod collector;
#[cfg(feature = "otel")]
mod export;
mod journal;

use std::ffi::OsStr;
use std::io::IsTerminal as _;
use std::sync::OnceLock;

#[cfg(feature = "otel")]
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{Log, LogFormat};

/// Sets the level of the log that was started.
type SetLevel = Box<dyn Fn(EnvFilter) + Send + Sync>;
static SET_LEVEL: OnceLock<SetLevel> = OnceLock::new();

/// Starts logging; `false` where the level is no filter. Called once, at the start of a long-running command.
pub fn init(log: &Log) -> bool {
    #[cfg(feature = "otel")]
    let started = export::start();
    let Some(filter) = filter(&log.level) else { return false };
    let (filter, handle) = reload::Layer::new(filter);
    let _ = SET_LEVEL.set(Box::new(move |filter| drop(handle.reload(filter))));
    let (registry, lines) = (tracing_subscriber::registry(), lines(log.format));
    #[cfg(not(feature = "otel"))]
    let registry = registry.with(lines);
    #[cfg(feature = "otel")]
    let registry = registry.with(lines.with_filter(filter_fn(export::is_for_the_log))).with(export::layer());
    let begun = registry.with(filter).try_init().is_ok();
    #[cfg(feature = "otel")]
    if let Err(complaint) = started {
        tracing::warn!("{complaint}");
    }
    begun
}

/// Sends the spans that are left, for a while. Called once, at the end.
pub async fn end() {
    #[cfg(feature = "otel")]
    export::end().await;
}

/// What writes the lines.
fn lines(format: LogFormat) -> Box<dyn Layer<Registry> + Send + Sync> {
    // A log that cannot be written (its disk is full) would be complained about on stderr, with a panic where that fails.
    let lines = tracing_subscriber::fmt::layer().log_internal_errors(false).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => Box::new(lines.json()),
        LogFormat::Journald => Box::new(lines.with_ansi(false).event_format(journal::Lines)),
        LogFormat::Auto if journal::is_stderr() => Box::new(lines.with_ansi(false).event_format(journal::Lines)),
        LogFormat::Auto | LogFormat::Text => {
            let variable = |name| std::env::var_os(name);
            let terminal = std::io::stderr().is_terminal();
            let colours = has_colours(terminal, variable("NO_COLOR").as_deref(), variable("TERM").as_deref());
            Box::new(lines.with_ansi(colours))
        }
    }
}

/// Why a command failed, as its stderr takes it: the journal wants a priority and one line.
#[must_use]
pub fn last_words(text: &str) -> String {
    if journal::is_stderr() { journal::error(text) } else { text.to_owned() }
}

/// Changes the level while it runs; one that is no filter changes nothing.
pub fn set_level(level: &str) {
    if let (Some(set), Some(filter)) = (SET_LEVEL.get(), filter(level)) {
        set(filter);
    }
}

/// Whether this is a level or a filter.
#[must_use]
pub fn is_filter(level: &str) -> bool {
    filter(level).is_some()
}

fn filter(level: &str) -> Option<EnvFilter> {
    // rumqttd reports every link of ours as news. A filter that names targets only leaves the others at `info`: without that
    // one with a misspelt target silences everything.
    // tungstenite would print every frame, passwords included.
    let rule = format!("info,rumqttd=error,{level},tungstenite=info");
    #[cfg(feature = "otel")]
    // Whatever the level of the log: traces are there where they are exported, and made nowhere else.
    let rule = format!("{rule},{}={}", crate::trace::TARGET, if export::is_on() { "info" } else { "off" });
    EnvFilter::try_new(rule).ok()
}

/// Colours only for a terminal that has them, and for who has not said no (no-color.org).
fn has_colours(terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_for_an_unknown_target_silenced_the_whole_log() {
        let said = |level| filter(level).unwrap().to_string();
        assert!(said("loud=debug").split(',').any(|directive| directive == "info"), "{}", said("loud=debug"));
        assert!(!said("loud=debug,warn").split(',').any(|directive| directive == "info"));
        assert!(said("loud=debug,warn").split(',').any(|directive| directive == "warn"));
    }

    #[test]
    fn who_wanted_no_colours_got_them() {
        let dumb = Some(OsStr::new("dumb"));
        assert!(has_colours(true, None, Some(OsStr::new("xterm"))));
        assert!(has_colours(true, Some(OsStr::new("")), None));
        assert!(!has_colours(true, Some(OsStr::new("1")), None));
        assert!(!has_colours(true, None, dumb));
        assert!(!has_colours(false, None, None));
    }
}
