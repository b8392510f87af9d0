//! What remembering costs: accepting on disk, writing acknowledgements down, starting with a large store, and whether
//! anything grows.
//!
//! ```text
//! cargo bench --bench ledger              all of it
//! cargo bench --bench ledger -- accept    one part: accept, large, growth
//! ```
//!
//! Needs about 1 GB of disk in the folder for temporary files, which should be on a disk and not in memory.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../tests/common/mod.rs"]
mod common;
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::Gateway;
use common::http::Pap;
use papcast::parcel::Seq;
use papcast::store::{CursorMove, Store};
use support::{connect, median, resident};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--bare") {
        bare();
    }
    // `cargo test --benches` only asks whether it runs.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    rlimit::increase_nofile_limit(20_000).unwrap();
    let parts = ["accept", "large", "growth"];
    let named = |part: &str| arguments.iter().any(|argument| argument == part);
    let wanted = |part: &str| named(part) || !parts.iter().any(|part| named(part));
    if wanted("accept") {
        for habit in [Habit::Kept, Habit::Anew] {
            acceptance(habit, 64, Duration::from_secs(3), 5);
        }
    }
    if wanted("large") {
        large_store(1_000_000, 100_000);
    }
    if wanted("growth") {
        growth(1_000, 1_100);
    }
}

/// The HTTP stack of papcast with nothing behind it: 202 to everything, the body not looked at. In a process of its own.
fn bare() -> ! {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut listeners = papcast::listeners::Listeners::default();
        let bound = listeners.bind("http.listen", &["127.0.0.1:0".parse().unwrap()], None).unwrap();
        println!("{}", bound[0]);
        let router = axum::Router::new().fallback(|| async { axum::http::StatusCode::ACCEPTED });
        let settings = papcast::config::load(None, std::iter::empty(), &[]).unwrap().http;
        let names = papcast::config::ClientName::None;
        let live = std::sync::Arc::new(papcast::http::Live::new(router, &settings, &std::sync::Arc::default()));
        papcast::http::serve(listeners, live, names, papcast::http::Stop::default()).await;
    });
    unreachable!("it serves until it is killed")
}

struct Bare(Child, SocketAddr);

impl Bare {
    fn start() -> Self {
        let mut child =
            Command::new(std::env::current_exe().unwrap()).arg("--bare").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(child, line.trim().parse().unwrap())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How an initiator treats its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Every post on the same one.
    Kept,
    /// A new one for every post, as simple initiators do.
    Anew,
}

fn dial(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Posts one submission after the other until told to stop; counts answers with 202.
fn initiator(at: SocketAddr, name: &str, habit: Habit, stop: &AtomicBool, count: &AtomicU64) {
    let mut stream = dial(at);
    let mut buffer = [0; 4_096];
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if habit == Habit::Anew && n > 0 {
            stream = dial(at);
        }
        let body = Pap::new(&format!("{name}-{n}")).to("WAPPUSH=one/TYPE=USER@ppg").delivery("confirmed").body();
        let head = format!(
            "POST /pap HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/related; boundary=xyz\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
        let mut read = 0;
        loop {
            read += stream.read(&mut buffer[read..]).unwrap();
            if whole(&buffer[..read]) {
                break;
            }
        }
        assert!(buffer.starts_with(b"HTTP/1.1 202"));
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether a whole answer has come.
fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let ours = !head.contains("application/xml") || body.contains("code=\"1001\"") || !body.contains("</pap>");
    assert!(ours, "not accepted: {text}");
    body.len() >= length.unwrap_or(0)
}

fn rate(at: SocketAddr, name: &str, habit: Habit, initiators: usize, time: Duration) -> f64 {
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for n in 0..initiators {
            let (stop, count) = (&stop, &count);
            let name = format!("{name}-{n}");
            scope.spawn(move || initiator(at, &name, habit, stop, count));
        }
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    count.load(Ordering::Relaxed) as f64 / time.as_secs_f64()
}

/// Confirmed single-address submissions, on disk before they are answered, against the bare HTTP stack; in turn.
fn acceptance(habit: Habit, initiators: usize, time: Duration, rounds: usize) {
    let gateway = Gateway::start();
    gateway.http().bind("any", "one");
    let bare = Bare::start();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        ours.push(rate(gateway.http, &format!("r{round}"), habit, initiators, time));
        theirs.push(rate(bare.1, "bare", habit, initiators, time));
    }
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    println!(
        "submissions from {initiators} initiators (connection {habit:?}), {rounds} rounds: papcast {:.0}/s on disk (WAL, synchronous FULL), the same HTTP stack answering 202 unread {:.0}/s; ratio {:.2}",
        median(ours),
        median(theirs),
        median(ratios)
    );
}

/// A store of so many bindings (1,000 groups) and pushes (all pending), written row by row.
fn fill(path: &Path, bindings: i64, pushes: i64) {
    drop(Store::open(path, 1, &papcast::supervision::Health::default(), |_| {}, Default::default()).unwrap());
    let mut sql = rusqlite::Connection::open(path).unwrap();
    let tx = sql.transaction().unwrap();
    let groups = 1_000;
    let statement = |text: &str, upto: i64| {
        let text = text.replace(
            "$n",
            &format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {upto})"),
        );
        tx.execute_batch(&text).unwrap();
    };
    statement("INSERT INTO flows (id, kind, name, members, created_at) $n SELECT i, 0, 'g' || i, 0, 1 FROM n", groups);
    statement(
        "INSERT INTO flows (id, kind, name, members, created_at) $n SELECT 10000 + i, 1, 'user-' || i, 1, 1 FROM n",
        bindings,
    );
    statement(
        &format!(
            "INSERT INTO bindings (flow, user, sources, joined_seq, acked_seq, joined_at) $n SELECT 1 + i % {groups}, 10000 + i, 1, 0, 0, 1 FROM n"
        ),
        bindings,
    );
    statement(
        "INSERT INTO pushes (id, initiator, push_id, digest, created_at, deliver_after, deliver_before, delivery, priority, content_type, headers, body)
            $n SELECT i, 'anonymous', 'p' || i, 1, 1, 0, 4000000000000, 2, 1, 'text/plain', '[]', zeroblob(100) FROM n",
        pushes,
    );
    statement(
        &format!("INSERT INTO dispatches (push, position, address, flow, seq, priority, shared, due, deadline, state, code, recipients)
            $n SELECT i, 0, 'group:g' || (1 + i % {groups}), 1 + i % {groups}, 1 + (i - 1) / {groups}, 1, 0, 0, 4000000000000, 1, 1000, {} FROM n", bindings / groups),
        pushes,
    );
    tx.execute_batch(&format!(
        "UPDATE counter SET pushes = {pushes};
         UPDATE flows SET members = {}, last_seq = (SELECT max(seq) FROM dispatches d WHERE d.flow = flows.id) WHERE kind = 0;",
        bindings / groups
    ))
    .unwrap();
    tx.commit().unwrap();
}

/// Start and write-behind with a store that is full.
fn large_store(bindings: i64, pushes: i64) {
    let mut gateway = Gateway::start();
    gateway.terminate();
    let path = gateway.dir.path().join("papcast.db");
    std::fs::remove_file(&path).unwrap();
    fill(&path, bindings, pushes);
    let size = std::fs::metadata(&path).unwrap().len() >> 20;
    let starts: Vec<f64> = (0..3)
        .map(|_| {
            let begin = Instant::now();
            gateway.restart();
            let took = begin.elapsed().as_secs_f64();
            gateway.kill();
            took
        })
        .collect();
    println!(
        "start with {bindings} bindings and {pushes} pending pushes ({size} MB), after kill -9: ready in {:.2} s",
        median(starts)
    );
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = Store::open(&path, 1, &papcast::supervision::Health::default(), |_| {}, Default::default()).unwrap();
    // Every tenth member of every group acknowledges one more push than before, three times.
    let flushes: Vec<f64> = (1..=3)
        .map(|round| {
            let moves: Vec<CursorMove> = (1..=bindings / 10)
                .map(|n| {
                    let binding = n * 10;
                    CursorMove { binding, from: Seq(round - 1), upto: Seq(round), exceptions: vec![] }
                })
                .collect();
            let begin = Instant::now();
            runtime.block_on(store.settle(moves, 1)).unwrap();
            begin.elapsed().as_secs_f64()
        })
        .collect();
    println!("{} acknowledgements written in one flush: {:.2} s of the writer", bindings / 10, median(flushes));
    store.close();
}

/// Memory of the gateway over a million QoS 1 deliveries to a fixed fleet.
fn growth(terminals: usize, messages: usize) {
    let gateway = Gateway::start();
    let mut fleet = connect(gateway.mqtt, terminals, |raw| raw.join("fan"));
    let mut parts = Vec::new();
    while !fleet.is_empty() {
        parts.push(fleet.split_off(fleet.len().saturating_sub(terminals / 8)));
    }
    let done = std::sync::Barrier::new(parts.len() + 1);
    let (mut early, mut peak) = (0, 0);
    std::thread::scope(|scope| {
        for mut part in parts {
            let done = &done;
            scope.spawn(move || {
                for _ in 0..messages {
                    part.iter_mut().for_each(|raw| drop(raw.push()));
                    done.wait();
                }
            });
        }
        for n in 0..messages {
            gateway.http().push(&n.to_string(), "group:fan", "a push message of ordinary length");
            done.wait();
            if n * terminals == 100_000 {
                early = resident(gateway.pid());
            }
            peak = peak.max(resident(gateway.pid()));
        }
    });
    let end = resident(gateway.pid());
    let mb = |kib: u64| kib as f64 / 1024.0;
    println!(
        "{} acknowledged deliveries to {terminals} terminals: {:.1} MB after the first 100000, {:.1} MB at the end, {:.1} MB at most; growth {:.1} MB",
        terminals * messages,
        mb(early),
        mb(end),
        mb(peak),
        mb(end) - mb(early)
    );
}
