//! What systemd wants to hear (sd_notify(3)): ready, reloading, stopping, a line of status, and that the gateway lives. Under
//! anything else `NOTIFY_SOCKET` is not set, and nobody is told anything.
//!
//! Ours, because it is short and the crate for it, sd-notify, does not know abstract sockets and would let a line break in a
//! status begin a message of its own.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A manager that does not read is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How soon a gateway that did not seem to live is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that the gateway lives: twice in the time that it waits.
    beat: Option<Duration>,
}

impl ServiceManager {
    /// The one that has started this process.
    #[must_use]
    pub fn of_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(name) = variable("NOTIFY_SOCKET") else { return Self::default() };
        match open(&name) {
            Ok(socket) => {
                let beat = beat(variable("WATCHDOG_USEC").as_deref(), variable("WATCHDOG_PID").as_deref());
                Self { socket: Some(socket), beat }
            }
            Err(error) => {
                tracing::warn!(%error, "NOTIFY_SOCKET: {name:?} cannot be used; the service manager is told nothing");
                Self::default()
            }
        }
    }

    /// Whoever waits for the gateway may go on. Ends a reload, too.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}\n", one_line(status)));
    }

    /// A reload begins. From version 253 on systemd wants to know when.
    pub fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reading the configuration again\n"));
    }

    /// The stop begins.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping\n");
    }

    /// Tells that the gateway lives, for as long as `look` says so. Never ends, unless nobody wants to know.
    pub async fn keep_alive<F: Future<Output = Result<(), &'static str>>>(&self, look: impl Fn() -> F) {
        let Some(beat) = self.beat else { return };
        let mut lived = true;
        loop {
            let found = look().await;
            let pause = match found {
                Ok(()) => {
                    self.send("WATCHDOG=1\n");
                    beat
                }
                Err(what) => {
                    if lived {
                        tracing::error!("{what}; unless it does soon, the service manager starts the gateway again");
                    }
                    beat.min(LOOK_AGAIN)
                }
            };
            lived = found.is_ok();
            tokio::time::sleep(pause).await;
        }
    }

    fn send(&self, message: &str) {
        let Some((socket, manager)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(message.as_bytes(), manager) {
            let what = message.lines().next().unwrap_or_default();
            tracing::warn!(%error, "NOTIFY_SOCKET: the service manager could not be told {what}");
        }
    }
}

/// A path, or `@` and the name of an abstract socket.
fn open(name: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let manager = match name.strip_prefix('@') {
        Some(name) => abstract_address(name)?,
        None if name.starts_with('/') => SocketAddr::from_pathname(name)?,
        None => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract socket")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok((socket, manager))
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &str) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &str) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "abstract sockets are Linux's"))
}

/// Half of the microseconds that the manager waits, where they are meant for this process.
fn beat(micros: Option<&str>, process: Option<&str>) -> Option<Duration> {
    let is_meant = process.is_none_or(|process| process.parse() == Ok(std::process::id()));
    let micros = micros.and_then(|micros| micros.parse::<u64>().ok()).filter(|micros| is_meant && *micros > 1)?;
    Some(Duration::from_micros(micros / 2))
}

/// A line break would begin another message.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_the_manager_waits_if_it_means_us() {
        let own = std::process::id().to_string();
        assert_eq!(beat(Some("3000000"), None), Some(Duration::from_millis(1_500)));
        assert_eq!(beat(Some("3000000"), Some(&own)), Some(Duration::from_millis(1_500)));
        for (micros, process) in [
            (None, None),
            (Some("0"), None),
            (Some("soon"), None),
            (Some("3000000"), Some("0")),
            (Some("2"), Some("x")),
        ] {
            assert_eq!(beat(micros, process), None, "{micros:?} {process:?}");
        }
    }

    #[test]
    fn a_line_break_in_a_status_was_a_message_of_its_own() {
        assert_eq!(one_line("a\nWATCHDOG=trigger"), "a WATCHDOG=trigger");
    }

    #[test]
    fn what_is_no_socket_is_an_error() {
        for name in ["run/notify", "vsock:2:1234", &"/x".repeat(100)] {
            assert!(open(name).is_err(), "{name}");
        }
        assert!(open("/run/systemd/notify").is_ok() && open("@name").is_ok());
    }
}
