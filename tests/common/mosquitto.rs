//! Debian's mosquitto clients.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::Lines;

/// Whether the clients are there. Where they are not, the test is left out.
pub fn available() -> bool {
    let found = ["mosquitto_sub", "mosquitto_pub", "mosquitto_rr"]
        .iter()
        .all(|name| Command::new(name).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok());
    if !found {
        super::skip("Debian's package mosquitto-clients");
    }
    found
}

fn command(name: &str, at: SocketAddr, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(["-h", &at.ip().to_string(), "-p", &at.port().to_string()]).args(args).stdin(Stdio::null());
    command
}

/// A running `mosquitto_sub`.
pub struct Sub {
    child: Child,
    pub lines: Lines,
}

impl Sub {
    /// Starts it and waits until the gateway has answered its SUBSCRIBE.
    pub fn start(at: SocketAddr, args: &[&str]) -> Self {
        // Into a pipe it would print in blocks; stdbuf is part of coreutils.
        let mut child = Command::new("stdbuf")
            .args(["-oL", "mosquitto_sub", "-d", "-h", &at.ip().to_string(), "-p", &at.port().to_string()])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::of(child.stdout.take().unwrap());
        while !lines.next().starts_with("Subscribed") {}
        Self { child, lines }
    }

    /// The next message line: what is not `-d`'s talk.
    pub fn message(&self) -> String {
        loop {
            let line = self.lines.next();
            if !line.starts_with("Client ") {
                return line;
            }
        }
    }
}

impl Drop for Sub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `mosquitto_pub` to its end.
pub fn publish(at: SocketAddr, args: &[&str]) -> i32 {
    command("mosquitto_pub", at, args).stderr(Stdio::null()).status().unwrap().code().unwrap()
}

/// Runs `mosquitto_rr` and answers what it prints.
pub fn request(at: SocketAddr, args: &[&str]) -> String {
    let output = command("mosquitto_rr", at, &[&["-V", "5", "-W", "30"], args].concat()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
