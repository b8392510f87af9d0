//! Answering commands.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::{LINE, Order, Reply, path};
use crate::gateway::Gateway;
use crate::reload::Reloader;

/// A command that asks nothing for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
#[error("{}: the control socket cannot be made: {source}", .path.display())]
pub struct Error {
    path: PathBuf,
    source: std::io::Error,
}

/// The socket; the file goes with it.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Listener {
    /// Makes the socket of a store whose lock is held: one that is there was left by a gateway that was killed.
    pub fn bind(store: &Path) -> Result<Self, Error> {
        let path = path(store);
        let bound = || {
            if path.exists() {
                std::fs::remove_file(&path)?;
            }
            let listener = UnixListener::bind(&path)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        match bound() {
            Ok(listener) => Ok(Self { listener, path }),
            Err(source) => Err(Error { path, source }),
        }
    }

    /// Answers until told to stop.
    pub async fn serve(self, gateway: Arc<Gateway>, reloader: Reloader, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (gateway, reloader) = (Arc::clone(&gateway), reloader.clone());
                    tokio::spawn(async move {
                        match tokio::time::timeout(PATIENCE, answer(stream, &gateway, &reloader)).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => tracing::debug!(%error, "a command went away"),
                            Err(_) => tracing::debug!("a command that asked nothing was sent away"),
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a command could not be answered");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn answer(stream: UnixStream, gateway: &Gateway, reloader: &Reloader) -> std::io::Result<()> {
    let (own, other) = (rustix::process::geteuid().as_raw(), stream.peer_cred()?.uid());
    let (from, mut to) = stream.into_split();
    let mut line = String::new();
    BufReader::new(from).take(LINE).read_line(&mut line).await?;
    let reply = if other != own && other != 0 {
        Reply::Failed(format!("the gateway belongs to user {own}, and user {other} asks"))
    } else {
        match serde_json::from_str(&line) {
            Ok(Order::Reload) => match reloader.reload() {
                Ok(done) => Reply::Done(json!(done)),
                Err(error) => Reply::Failed(error),
            },
            Ok(Order::Credentials(order)) => match gateway.look_after_credentials(order).await {
                Ok(done) => Reply::Done(done),
                Err(error) => Reply::Failed(error.to_string()),
            },
            Err(error) => Reply::Failed(format!("the gateway does not understand the command: {error}")),
        }
    };
    let mut line = serde_json::to_vec(&reply)?;
    line.push(b'\n');
    to.write_all(&line).await
}
