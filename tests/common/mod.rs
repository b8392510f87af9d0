//! The harness: the built binary with its own folder and free ports, clients that speak bytes, waits with a deadline.
#![allow(dead_code, clippy::unwrap_used, clippy::disallowed_methods, clippy::needless_pass_by_value, unreachable_pub)]

pub mod events;
pub mod http;
pub mod initiator;
pub mod kannel;
pub mod mosquitto;
pub mod mqtt;
pub mod noise;
pub mod ppg;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Nothing that works takes as long, however busy the machine.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How long a client listens to be sure that nothing comes.
pub const SILENCE: Duration = Duration::from_millis(400);

pub const PAPCAST: &str = env!("CARGO_BIN_EXE_papcast");

pub fn now_seconds() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

/// The time in so many seconds, as PAP and RFC 3339 both write it.
pub fn in_seconds(seconds: i64) -> String {
    papcast::clock::format_utc((now_seconds() + seconds) * 1000)
}

/// A running gateway; killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    pub http: SocketAddr,
    pub mqtt: SocketAddr,
    pub dir: tempfile::TempDir,
    env: Vec<(String, String)>,
    may_panic: bool,
    program: PathBuf,
}

impl Gateway {
    pub fn start() -> Self {
        Self::start_with("", &[])
    }

    /// Another build of the program.
    pub fn start_other(program: &Path) -> Self {
        Self::start_program(program, "", &[])
    }

    /// With settings on top of the default, as a file and as environment variables.
    pub fn start_with(toml: &str, env: &[(&str, &str)]) -> Self {
        Self::start_program(Path::new(PAPCAST), toml, env)
    }

    fn start_program(program: &Path, toml: &str, env: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("broker.toml"), toml).unwrap();
        let env: Vec<(String, String)> =
            env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let (child, http, mqtt) = spawn(program, dir.path(), &env, "127.0.0.1:0", "127.0.0.1:0");
        Self { program: program.to_owned(), child, http, mqtt, dir, env, may_panic: false }
    }

    /// Starts another one in the same folder, which has to refuse; answers what it says.
    pub fn start_refused(&self) -> String {
        let output = Command::new(PAPCAST)
            .arg("serve")
            .current_dir(self.dir.path())
            .env("PAPCAST_HTTP__LISTEN", "127.0.0.1:0")
            .env("PAPCAST_MQTT__LISTEN", "127.0.0.1:0")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "no ready line");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Injects a fault (`src/faults.rs`): the part of this name panics the next time that it has something to do.
    pub fn inject(&mut self, fault: &str) {
        self.may_panic = true;
        assert_eq!(self.http().send("POST", &format!("/debug/faults/{fault}"), "text/plain", b"").status, 202);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, in the middle of whatever it does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A variable for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Starts again on the same store and the same ports, so that clients find it.
    pub fn restart(&mut self) {
        let (child, http, mqtt) =
            spawn(&self.program, self.dir.path(), &self.env, &self.http.to_string(), &self.mqtt.to_string());
        self.child = child;
        self.http = http;
        self.mqtt = mqtt;
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub fn wait_exit(&mut self) -> ExitStatus {
        wait_for("the gateway to end", || self.child.try_wait().unwrap())
    }

    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_exit()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// An address of the ready line.
    pub fn address(&self, name: &str) -> SocketAddr {
        let ready = std::fs::read_to_string(self.dir.path().join("ready")).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        ready[name].as_str().unwrap_or_else(|| panic!("no {name} in {ready}")).parse().unwrap()
    }

    /// A command that looks after the credentials of this gateway's store.
    pub fn command(&self, args: &[&str]) -> Output {
        let mut command = Command::new(PAPCAST);
        command.args(args).args(["--config", "broker.toml"]).current_dir(self.dir.path());
        Output::of(&mut command)
    }

    /// Makes a token and answers it.
    pub fn token(&self, kind: &str, name: &str, more: &[&str]) -> String {
        let made = self.command(&[&[kind, "add", name, "--json"], more].concat());
        assert_eq!(made.code, Some(0), "{made:?}");
        let made: serde_json::Value = serde_json::from_str(&made.out).unwrap();
        made["token"].as_str().unwrap().to_owned()
    }

    pub fn http(&self) -> http::Client {
        http::Client::new(self.http)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        if !std::thread::panicking() {
            assert!(self.may_panic || !log.contains("panicked"), "the gateway panicked:\n{log}");
        } else {
            eprintln!("--- log of the gateway ---\n{log}");
        }
    }
}

fn spawn(
    program: &Path,
    dir: &Path,
    env: &[(String, String)],
    http: &str,
    mqtt: &str,
) -> (Child, SocketAddr, SocketAddr) {
    let log = File::options().create(true).append(true).open(dir.join("log")).unwrap();
    let mut command = Command::new(program);
    command
        .args(["serve", "--config", "broker.toml"])
        .current_dir(dir)
        .env("PAPCAST_HTTP__LISTEN", http)
        .env("PAPCAST_MQTT__LISTEN", mqtt)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log);
    // A port that was just given back can be taken for a moment.
    let begin = Instant::now();
    loop {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if let Ok(ready) = serde_json::from_str::<serde_json::Value>(&line) {
            assert_eq!(ready["ready"], true);
            let address = |name: &str| ready[name].as_str().map(|text| text.parse().unwrap());
            std::fs::write(dir.join("ready"), &line).unwrap();
            let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
            return (child, address("http").unwrap_or(nowhere), address("mqtt").unwrap_or(nowhere));
        }
        child.wait().unwrap();
        assert!(
            begin.elapsed() < DEADLINE,
            "the gateway does not start:\n{}",
            std::fs::read_to_string(dir.join("log")).unwrap()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Asks again and again until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < DEADLINE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a command of papcast to its end, without the settings of whoever runs the tests.
pub fn papcast(args: &[&str]) -> Output {
    Output::of(&mut papcast_command(args))
}

/// The same, for who wants to do more with it.
pub fn papcast_command(args: &[&str]) -> Command {
    let mut command = Command::new(PAPCAST);
    command.args(args).env("PAPCAST_CLI_CONFIG", "").stdin(Stdio::null());
    command
}

#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Output {
    fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }
}

impl From<std::process::Output> for Output {
    fn from(output: std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Lines that a process prints, with a deadline for each.
pub struct Lines {
    receiver: std::sync::mpsc::Receiver<String>,
}

impl Lines {
    pub fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { receiver }
    }

    pub fn next(&self) -> String {
        self.receiver.recv_timeout(DEADLINE).expect("a line in time")
    }

    /// Waits until the other side ends.
    pub fn wait_end(&self) {
        let begin = Instant::now();
        while !matches!(self.receiver.recv_timeout(DEADLINE), Err(std::sync::mpsc::RecvTimeoutError::Disconnected)) {
            assert!(begin.elapsed() < DEADLINE, "it goes on");
        }
    }

    /// A line that is there already.
    pub fn try_next(&self) -> Option<String> {
        self.receiver.try_recv().ok()
    }

    pub fn assert_silent(&self) {
        if let Ok(line) = self.receiver.recv_timeout(SILENCE) {
            panic!("unexpected: {line}");
        }
    }
}

/// A test that needs what is not installed is left out, and that is said where it is seen: what tests print is hidden.
/// CI has everything.
pub fn skip(missing: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI needs {missing}");
    skip_anywhere(missing);
}

/// The same for what CI has not either.
pub fn skip_anywhere(missing: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: it needs {missing}");
}

pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The largest file that the gateway may write from now on; a disk that is full, as far as it can tell.
pub fn limit_files(gateway: &Gateway, bytes: &str) {
    let status =
        Command::new("prlimit").args(["--pid", &gateway.pid().to_string(), &format!("--fsize={bytes}:")]).status();
    assert!(status.unwrap().success());
}
