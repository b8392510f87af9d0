//! Clients that go too far, and what a well-behaved one notices of it.
//!
//! ```text
//! cargo bench --bench abuse
//! ```
//!
//! The attackers are this process, with at most 300 sockets at a time but for the watchers, who are 3,000.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../tests/common/mod.rs"]
mod common;
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::Gateway;
use common::mqtt::{Connect, Raw, packet, text};
use support::{connect, resident};

const OPEN: &str = "[[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"x/#\"]\n";

fn main() {
    // `cargo test --benches` only asks whether it runs.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    rlimit::increase_nofile_limit(20_000).unwrap();
    storm("one client id", |_| "same".to_owned());
    storm("one user, new client ids", |n| format!("c-{n}"));
    wills();
    watchers(false);
    watchers(true);
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Connects without waiting for anything, for ten seconds, with at most 300 sockets at a time.
fn storm(what: &str, client: impl Fn(usize) -> String + Sync) {
    let gateway = Gateway::start();
    let (stop, count, most) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut held = std::collections::VecDeque::new();
                while !stop.load(Ordering::Relaxed) {
                    let n = count.fetch_add(1, Ordering::Relaxed);
                    let Ok(mut stream) = std::net::TcpStream::connect(gateway.mqtt) else { continue };
                    let name = client(n);
                    let connect = Connect { clean: false, ..Connect::v3(&name, "alice") };
                    let _ = std::io::Write::write_all(&mut stream, &connect.bytes());
                    held.push_back(stream);
                    if held.len() > 75 {
                        held.pop_front();
                    }
                }
            });
        }
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            most.fetch_max(descriptors(gateway.pid()), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let name = client(0);
    let owner = Connect { clean: false, ..Connect::v3(&name, "alice") };
    let end = Instant::now();
    while Raw::connect_if_there(gateway.mqtt, &owner).is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "storm of CONNECTs on {what}: {} in 10 s; {} descriptors at most; the owner was in {:.2} s after its end",
        count.load(Ordering::Relaxed),
        most.load(Ordering::Relaxed),
        end.elapsed().as_secs_f64()
    );
}

/// 600 clients that leave a delayed will of 0.9 MB behind, and 600 with one of 60 KB.
fn wills() {
    for bytes in [900_000, 60_000] {
        let gateway = Gateway::start_with(OPEN, &[]);
        let before = resident(gateway.pid());
        let mut taken = 0;
        for n in 0..600 {
            let mut raw = Raw::open(gateway.mqtt);
            // A will payload has 64 KiB at most; user properties make up the rest.
            let property = [&[0x26][..], &text("p"), &text(&"v".repeat(60_000))].concat();
            let properties = property.repeat(bytes / 60_000);
            let mut will = Vec::new();
            let fixed = [0x18, 0, 0x0e, 0x80, 0];
            let mut length = properties.len() + fixed.len();
            while length > 0x7F {
                will.push((length & 0x7F) as u8 | 0x80);
                length >>= 7;
            }
            will.push(length as u8);
            will.extend(fixed);
            will.extend(properties);
            let body = [
                &b"\0\x04MQTT\x05\x06\0\x3c\x05\x11\0\x0e\x80\0"[..],
                &text(&format!("w-{n}")),
                &will,
                &text("x/will"),
                &text("gone"),
            ];
            if raw.try_send(&packet(0x10, &body.concat())) {
                let answer = raw.try_packet(Duration::from_secs(5));
                taken += usize::from(answer.is_some_and(|answer| answer.body[1] == 0));
            }
        }
        println!(
            "600 clients with a delayed will of {bytes} bytes: {taken} taken, {:.1} MB more resident with nobody connected",
            resident(gateway.pid()).saturating_sub(before) as f64 / 1024.0
        );
    }
}

/// 3,000 watchers that read or do not, 1,500 pushes of 2 KB to another group, and a push to a good terminal each second.
fn watchers(read: bool) {
    let gateway = Gateway::start_with("[mqtt]\nmax_watchers = 5_000\n", &[]);
    let mut good = Raw::connect(gateway.mqtt, &Connect::v3("good", "good"));
    good.join("good");
    gateway.http().bind("other", "somebody");
    let watching = connect(gateway.mqtt, 3_000, |raw| {
        raw.subscribe(&[("groups/#", 0), ("#", 0)]);
    });
    let done = AtomicBool::new(false);
    let mut worst = Duration::ZERO;
    let mut chunks: Vec<Vec<Raw>> = Vec::new();
    let mut watching = watching.into_iter().peekable();
    while watching.peek().is_some() {
        chunks.push(watching.by_ref().take(750).collect());
    }
    std::thread::scope(|scope| {
        for chunk in &mut chunks {
            let done = &done;
            scope.spawn(move || {
                while read && !done.load(Ordering::Relaxed) {
                    for raw in chunk.iter_mut() {
                        while raw.try_packet(Duration::from_millis(1)).is_some() {}
                    }
                }
            });
        }
        let http = gateway.http();
        let pushing = scope.spawn(move || {
            let body = "x".repeat(2_048);
            (0..1_500).for_each(|n| http.push(&format!("other-{n}"), "group:other", &body));
        });
        let mut n = 0;
        while !pushing.is_finished() || n < 5 {
            let begin = Instant::now();
            gateway.http().push(&format!("good-{n}"), "group:good", "good");
            assert_eq!(good.push().text(), "good");
            worst = worst.max(begin.elapsed());
            n += 1;
            std::thread::sleep(Duration::from_millis(250));
        }
        done.store(true, Ordering::Relaxed);
    });
    let kind = if read { "read" } else { "do not read" };
    println!(
        "3,000 watchers that {kind}, 1,500 pushes: worst time from a post to its arrival {:.3} s",
        worst.as_secs_f64()
    );
}
