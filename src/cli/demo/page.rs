//! What the demo says on stdout, at the speed of a reader where somebody reads.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::cli::ending;

/// Between two parts of the story.
const PAUSE: Duration = Duration::from_millis(1_300);

pub(super) struct Page {
    json: bool,
    somebody_reads: bool,
}

impl Page {
    pub(super) fn new(json: bool) -> Self {
        Self { json, somebody_reads: !json && io::stdout().is_terminal() }
    }

    /// Lines of the story. Where nobody reads any more this is an error and not the end of the process: there is a gateway to stop.
    pub(super) fn say(&self, lines: &str) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { write(lines) }
    }

    /// The result, for programs.
    pub(super) fn result(&self, value: &Value) -> anyhow::Result<()> {
        if self.json { write(&value.to_string()) } else { Ok(()) }
    }

    pub(super) async fn pause(&self) {
        if self.somebody_reads {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(ending::unprinted)
}

/// On stderr, and only where that is a terminal.
pub(super) fn bar(name: &'static str, count: u32) -> ProgressBar {
    let style = ProgressStyle::with_template("   {prefix:11} [{bar:40}] {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(u64::from(count)).with_style(style.progress_chars("=> "));
    bar.set_prefix(name);
    bar
}
