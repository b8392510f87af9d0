//! The gateway of the demo: `papcast serve` as a process of its own, so that it can be killed. It goes when this is dropped.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Deserialize;

/// For one start; and for all tries to get the ports of the first run again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// File in its folder.
const LOG: &str = "log";

/// Where its listeners are: its ready line.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Places {
    pub(super) http: SocketAddr,
    pub(super) mqtt: SocketAddr,
}

pub(super) struct GatewayProcess {
    child: Child,
    folder: PathBuf,
    pub(super) places: Places,
}

impl GatewayProcess {
    /// Starts it on free ports, with a store in this folder.
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let places = Places { http: anywhere, mqtt: anywhere };
        let mut process = Self { child: spawn(folder, places)?, folder: folder.to_owned(), places };
        match process.ready().await? {
            Some(places) => process.places = places,
            None => bail!("the gateway does not start: {}", process.last_words()),
        }
        Ok(process)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, in the middle of whatever it does.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().context("the gateway cannot be killed")?;
        self.child.wait().context("the gateway cannot be waited for")?;
        Ok(())
    }

    /// Starts it again on the same store, and on the ports that the devices know.
    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            self.child = spawn(&self.folder, self.places)?;
            if self.ready().await?.is_some() {
                return Ok(());
            }
            let _ = self.child.wait();
            // Somebody may have one of its ports for a moment: they are no longer its own.
            if begin.elapsed() > PATIENCE {
                bail!("the gateway does not start again: {}", self.last_words());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Its ready line; none where it ends without one.
    async fn ready(&mut self) -> anyhow::Result<Option<Places>> {
        let Some(stdout) = self.child.stdout.take() else { return Ok(None) };
        let read = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = tokio::time::timeout(PATIENCE, read).await;
        let line =
            line.map_err(|_| anyhow::anyhow!("the gateway is not ready in time: {}", self.last_words()))???;
        if line.is_empty() {
            return Ok(None);
        }
        serde_json::from_str(&line).map(Some).with_context(|| format!("the gateway's ready line is {line:?}"))
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join(LOG)).unwrap_or_default();
        let last = log.lines().last().unwrap_or("it said nothing");
        last.strip_prefix("papcast: ").unwrap_or(last).to_owned()
    }
}

impl Drop for GatewayProcess {
    /// Its store goes with the demo, so there is nothing that it would have to bring to an end.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, places: Places) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("the demo does not find its own program")?;
    let log = folder.join(LOG);
    let log = File::options().create(true).append(true).open(&log).with_context(|| log.display().to_string())?;
    let mut command = Command::new(&program);
    // What is set for another gateway on this machine is not meant for this one.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PAPCAST_")) {
        command.env_remove(name);
    }
    command
        .args(["serve", "--stop-with-stdin"])
        .current_dir(folder)
        .env("PAPCAST_HTTP__LISTEN", places.http.to_string())
        .env("PAPCAST_MQTT__LISTEN", places.mqtt.to_string())
        // However the demo ends, the other end of this pipe is closed then.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        // Ctrl-C is for the demo, which then stops its gateway.
        .process_group(0);
    command.spawn().with_context(|| format!("{}: cannot be started as a gateway", program.display()))
}
