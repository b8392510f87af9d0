//! The demo as somebody meets it who has just built the program, and what it leaves behind however it ends.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::common::http::Client;
use crate::common::{Lines, PAPCAST, papcast, wait_for};

/// A demo with its temporary folders in this one.
fn demo(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(PAPCAST);
    command.arg("demo").args(args).env("TMPDIR", folder).stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    command
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// A running demo; killed where a test fails.
struct Running(Option<Child>);

impl Running {
    fn signal(&self, name: &str) {
        let pid = self.0.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    fn end(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A running demo, the lines it prints, and the process of its gateway.
fn started(folder: &Path, args: &[&str]) -> (Running, Lines, String) {
    let mut child = demo(folder, args).spawn().unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    let running = Running(Some(child));
    let pid = process(&lines.next()).expect("the gateway's process");
    assert!(runs(&pid));
    (running, lines, pid)
}

fn process(line: &str) -> Option<String> {
    Some(line.split_once("process ")?.1.split([':', ',']).next()?.to_owned())
}

/// One that has ended and that nobody has waited for runs no more.
fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn the_demo_was_a_fast_broadcast_and_not_the_product() {
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path(), &["--terminals", "12"]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let mut rest = said.as_str();
    for part in [
        "\n2  12 devices connect over MQTT",
        "Now one is switched off",
        "| POST /pap HTTP/1.1\n",
        "<pap><push-message push-id=\"demo-1\">\n",
        "WAPPUSH=demo/TYPE=GROUP@papcast.example",
        "ms: 1001 accepted for processing.",
        "\n   has it       10  first, half, last after ",
        "\n   away          1  away since ",
        "\n   too-large     1  too large: 391 bytes, and its terminal takes packets of 256\n",
        "kill -9 ",
        "Started again, process ",
        "\n   has it       11  each of them once\n   too-large     1  too large: ",
        "\nNow try\n   papcast demo --keep ",
    ] {
        let (_, behind) = rest.split_once(part).unwrap_or_else(|| panic!("{part:?} is not there in its turn: {said}"));
        rest = behind;
    }
    assert!(!rest.contains("away"), "{said}");
    assert!(said.lines().all(|line| line.chars().count() < 80), "a line wraps: {said}");
    assert!(!said.contains(dir.path().to_str().unwrap()), "a path that is gone: {said}");
    assert_eq!(entries(dir.path()), 0);
}

#[test]
fn the_demo_tells_programs_who_had_it_before_and_after() {
    for (terminals, before, after) in [
        ("1", json!({"delivered": 1}), json!({"delivered": 1})),
        ("2", json!({"delivered": 1, "away": 1}), json!({"delivered": 2})),
        ("40", json!({"delivered": 37, "away": 2, "too-large": 1}), json!({"delivered": 39, "too-large": 1})),
    ] {
        let output = papcast(&["demo", "--terminals", terminals, "--json"]);
        assert_eq!((output.code, output.err.as_str()), (Some(0), ""), "{output:?}");
        let told: Value = serde_json::from_str(&output.out).unwrap();
        assert_eq!((&told["before"], &told["after"], &told["twice"]), (&before, &after, &json!(0)), "{told}");
        for time in ["answered_ms", "first_ms", "half_ms", "last_ms", "restart_ms"] {
            assert!(told[time].as_f64().is_some_and(|ms| ms > 0.0), "{time}: {told}");
        }
    }
}

/// Peaks of the demo and of its gateways, in KiB: what the kernel says while they run.
fn peaks(demo: u32, known: &mut HashMap<u32, u64>) -> Option<()> {
    let tasks = std::fs::read_dir(format!("/proc/{demo}/task")).ok()?;
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    let children: String = children.collect();
    for pid in children.split_whitespace().filter_map(|pid| pid.parse().ok()).chain([demo]) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.split_whitespace().next()?.parse().ok());
        // One that has ended has none.
        let peak: u64 = peak.or_else(|| (pid == demo).then_some(0)).unwrap_or(0);
        if pid == demo && peak == 0 {
            return None;
        }
        let kept = known.entry(pid).or_default();
        *kept = peak.max(*kept);
    }
    Some(())
}

#[test]
fn the_demo_took_fourteen_megabytes_for_each_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let child = demo(dir.path(), &["--terminals", "100", "--json"]).spawn().unwrap();
    let mut known = HashMap::new();
    wait_for("the demo to end", || peaks(child.id(), &mut known).is_none().then_some(()));
    let own = known.remove(&child.id()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(known.len(), 2, "the gateway ran twice");
    let all = own + known.values().max().unwrap();
    assert!((1..150).contains(&(all / 1024)), "{all} KiB at once");
}

#[test]
fn an_interrupted_demo_left_its_folder_behind() {
    for name in ["INT", "TERM", "HUP"] {
        let dir = tempfile::tempdir().unwrap();
        let (demo, _lines, pid) = started(dir.path(), &["--terminals", "300"]);
        assert_eq!(entries(dir.path()), 1);
        demo.signal(name);
        let output = demo.end();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("papcast: the demo was interrupted"), "{output:?}");
        assert_eq!((entries(dir.path()), runs(&pid)), (0, false), "{name}");
    }
}

#[test]
fn the_gateway_of_a_killed_demo_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (demo, _lines, pid) = started(dir.path(), &["--terminals", "20", "--keep"]);
    demo.signal("KILL");
    assert_eq!(demo.end().status.code(), None);
    wait_for("the gateway to end", || (!runs(&pid)).then_some(()));
}

#[test]
fn a_demo_that_nobody_reads_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = demo(dir.path(), &["--terminals", "3"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(141), vec![]));
    assert_eq!(entries(dir.path()), 0);
}

#[test]
fn what_is_kept_can_be_looked_at_until_ctrl_c() {
    let dir = tempfile::tempdir().unwrap();
    let (demo, lines, mut pid) = started(dir.path(), &["--terminals", "10", "--keep"]);
    let mut commands = Vec::new();
    let mut console = None;
    while commands.len() < 3 {
        let line = lines.next();
        pid = line.contains("Started again").then(|| process(&line)).flatten().unwrap_or(pid);
        console = line.trim().strip_prefix("console").map(|url| url.trim().to_owned()).or(console);
        commands.extend(line.trim().strip_prefix("papcast ").map(str::to_owned));
    }
    let console = console.expect("the console's address");
    let address = console.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/console")).unwrap();
    let page = Client::new(address.parse().unwrap()).get("/console");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{page:?}");
    let who: Vec<&str> = commands[0].split(' ').collect();
    assert_eq!(who[..3], ["who", "demo-2", "--missing"], "{commands:?}");
    let missing = papcast(&who);
    let reasons: Vec<&str> = missing.out.lines().map(|line| line.split('\t').nth(1).unwrap()).collect();
    let count = |reason: &str| reasons.iter().filter(|one| **one == reason).count();
    assert_eq!((reasons.len(), count("away"), count("too-large")), (3, 2, 1), "{missing:?}");
    assert_eq!(commands[1], format!("push group:demo \"Hello again\" --gateway {address}"));
    assert_eq!(papcast(&["push", "group:demo", "Hello again", "--gateway", address]).code, Some(0));
    assert_eq!(commands[2], format!("events -f --gateway {address}"));
    demo.signal("INT");
    let output = demo.end();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!((entries(dir.path()), runs(&pid)), (0, false));
}

#[test]
fn a_demo_with_too_few_open_files_waited_for_terminals_that_could_not_connect() {
    let script = format!("ulimit -n 400; exec {PAPCAST} demo --terminals 5000");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "papcast: 5000 terminals need 5200 open files, and the system allows this program 400: \
         ask for fewer (--terminals 200), or raise the limit (ulimit -n 5200)\n"
    );
}
