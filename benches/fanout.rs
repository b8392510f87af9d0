//! CPU per delivery, memory per terminal, and the cost of a submission, against mosquitto in the same run.
//!
//! ```text
//! cargo bench --bench fanout
//! ```
//!
//! Needs Debian's `mosquitto` and about 11,000 file descriptors. Figures of one run on one machine mean little; the
//! ratios are what to look at. CPU is the process's own user and system time as the kernel counts it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../tests/common/mod.rs"]
mod common;
mod support;

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::Gateway;
use common::mqtt::{Connect, Raw};
use support::{connect, cpu, median, resident};

const TEXT: &str = "a push message of ordinary length: 64 bytes, give or take a few.";

fn main() {
    // `cargo test --benches` only asks whether it runs.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    rlimit::increase_nofile_limit(20_000).unwrap();
    fan_out(1_000, 200, 5);
    memory(10_000);
    submission(10_000, 300);
}

/// A peer in a folder of its own; killed when dropped.
struct Mosquitto {
    child: Child,
    at: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Mosquitto {
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = dir.path().join("mosquitto.conf");
        std::fs::write(&config, format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n")).unwrap();
        let name =
            if std::path::Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let child = Command::new(name).arg("-c").arg(config).stderr(Stdio::null()).spawn().ok()?;
        let at = SocketAddr::from(([127, 0, 0, 1], port));
        common::wait_for("mosquitto", || std::net::TcpStream::connect(at).ok());
        Some(Self { child, at, _dir: dir })
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One message at a time to all; the next when everybody has it.
fn fan_out(subscribers: usize, messages: usize, rounds: usize) {
    let gateway = Gateway::start();
    let mut ours = connect(gateway.mqtt, subscribers, |raw| raw.join("fan"));
    let Some(peer) = Mosquitto::start() else {
        println!("fan-out: mosquitto is not installed");
        return;
    };
    let mut theirs = connect(peer.at, subscribers, |raw| {
        raw.subscribe(&[("groups/fan", 0)]);
    });
    let mut publisher = Raw::connect(peer.at, &Connect::v3("publisher", "publisher"));
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let before = cpu(gateway.pid());
        for n in 0..messages {
            let body = serde_json::json!({"to":["group:fan"],"body":TEXT,"delivery":"unconfirmed","push_id":format!("{round}-{n}")});
            assert_eq!(gateway.http().json("POST", "/api/v1/pushes", body).status, 202);
            ours.iter_mut().for_each(|raw| assert_eq!(raw.publish_in().qos, 0));
        }
        a.push((cpu(gateway.pid()) - before).as_secs_f64() * 1e6 / (messages * subscribers) as f64);
        let before = cpu(peer.child.id());
        for _ in 0..messages {
            publisher.publish("groups/fan", 0, TEXT.as_bytes());
            theirs.iter_mut().for_each(|raw| assert_eq!(raw.publish_in().qos, 0));
        }
        b.push((cpu(peer.child.id()) - before).as_secs_f64() * 1e6 / (messages * subscribers) as f64);
    }
    let ratios: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a / b).collect();
    println!(
        "fan-out to {subscribers} at QoS 0, one message at a time, {rounds} rounds of {messages}: papcast {:.2} µs, mosquitto {:.2} µs of CPU per delivery; ratio {:.2} (submissions over HTTP included)",
        median(a),
        median(b),
        median(ratios)
    );
}

/// Resident memory with so many terminals, each bound to one group, all at rest.
fn memory(count: usize) {
    let gateway = Gateway::start();
    let empty = resident(gateway.pid());
    let ours = connect(gateway.mqtt, count, |raw| raw.join("fan"));
    std::thread::sleep(Duration::from_secs(3));
    let full = resident(gateway.pid());
    println!(
        "{count} connected and bound terminals: {:.1} MB resident ({:.1} MB without them)",
        full as f64 / 1024.0,
        empty as f64 / 1024.0
    );
    drop(ours);
    if let Some(peer) = Mosquitto::start() {
        let theirs = connect(peer.at, count, |raw| {
            raw.subscribe(&[("groups/fan", 0)]);
        });
        let theirs_full = resident(peer.child.id());
        println!(
            "mosquitto with as many subscribers: {:.1} MB; ratio {:.1}",
            theirs_full as f64 / 1024.0,
            full as f64 / theirs_full as f64
        );
        drop(theirs);
    }
}

/// Time from the post to the answer, for a group of one and for a large one, in turn.
fn submission(members: usize, times: usize) {
    let gateway = Gateway::start();
    gateway.http().bind("one", "somebody");
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let http = gateway.http();
            scope.spawn(move || (thread..members).step_by(16).for_each(|n| http.bind("many", &format!("user-{n}"))));
        }
    });
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for n in 0..times {
        for (group, into) in [("one", &mut one), ("many", &mut many)] {
            let begin = Instant::now();
            gateway.http().push(&format!("{group}-{n}"), &format!("group:{group}"), TEXT);
            into.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    let (one, many) = (median(one), median(many));
    println!(
        "PAP post to its answer: {one:.2} ms for a group of 1, {many:.2} ms for a group of {members}; ratio {:.2}",
        many / one
    );
}
