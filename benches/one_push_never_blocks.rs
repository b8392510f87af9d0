//! How soon a terminal that cannot take a push has the others, and what very many groups cost.
//!
//! ```text
//! cargo bench --bench one_push_never_blocks              all of it
//! cargo bench --bench one_push_never_blocks -- closes    one part: closes, drops, tunnel, groups
//! ```
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../tests/common/mod.rs"]
mod common;
mod support;

use std::time::{Duration, Instant};

use common::Gateway;
use common::mqtt::{Connect, Raw};
use support::{connect, median, resident};

const BEHIND: usize = 80;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` only asks whether it runs.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    rlimit::increase_nofile_limit(20_000).unwrap();
    let parts = ["closes", "drops", "tunnel", "groups"];
    let named = |part: &str| arguments.iter().any(|argument| argument == part);
    let wanted = |part: &str| named(part) || !parts.iter().any(|part| named(part));
    if wanted("closes") {
        closes();
    }
    if wanted("drops") {
        drops();
    }
    if wanted("tunnel") {
        tunnel(100);
    }
    if wanted("groups") {
        groups(200_000, 1_000);
    }
}

/// A gateway with default settings, and a member who is away while one large push and 80 small ones are submitted.
fn prepared() -> Gateway {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    alice.disconnect();
    gateway.http().push("large", "group:news", &"x".repeat(12_000));
    for n in 0..BEHIND {
        gateway.http().push(&format!("p{n}"), "group:news", &n.to_string());
    }
    gateway
}

/// It closes on the large one and connects again each second.
fn closes() {
    let gateway = prepared();
    let mut first_close = None;
    let mut got = 0;
    while got < BEHIND {
        let mut device = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
        while let Some(packet) = device.try_packet(Duration::from_secs(1)) {
            let push = device.parse(&packet);
            if push.payload.len() > 10_240 {
                first_close.get_or_insert_with(Instant::now);
                break;
            }
            device.puback(push.id);
            got += 1;
            if got == BEHIND {
                break;
            }
        }
        drop(device);
        if got < BEHIND {
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    let took = first_close.unwrap().elapsed().as_secs_f64();
    println!(
        "a terminal that closes on 12,000 bytes has the {BEHIND} pushes behind them {took:.1} s after its first close"
    );
}

/// It never answers the large one.
fn drops() {
    let gateway = prepared();
    let begin = Instant::now();
    let mut device = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    let mut got = 0;
    while got < BEHIND {
        let push = device.publish_in();
        if push.payload.len() <= 256 {
            device.puback(push.id);
            got += 1;
        }
    }
    let took = begin.elapsed().as_secs_f64();
    println!("a terminal that drops 12,000 bytes without a word has the {BEHIND} pushes behind them after {took:.1} s");
}

/// It loses its connection so often before its answer leaves.
fn tunnel(times: usize) {
    let gateway = prepared();
    for _ in 0..times {
        let mut device = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
        device.publish_in();
    }
    let mut device = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    let got = (0..=BEHIND).map(|_| device.push()).count();
    let delivered = (0..BEHIND).filter(|n| {
        let outcome = gateway.http().wait_outcome(&format!("p{n}"), "delivered", "1 of 1");
        outcome["refused"].is_null()
    });
    println!(
        "a terminal that lost its connection {times} times has {got} of {} pushes, {} delivered",
        BEHIND + 1,
        delivered.count()
    );
}

/// One member in each of so many groups, connected over so many terminals.
fn groups(groups: usize, terminals: usize) {
    let mut gateway = Gateway::start();
    gateway.terminate();
    fill(&gateway.dir.path().join("papcast.db"), groups, terminals);
    gateway.restart();
    let before = resident(gateway.pid());
    let mut fleet = connect(gateway.mqtt, terminals, |terminal| terminal.ping());
    // Everybody serves its groups: the last one is looked up.
    let names: Vec<String> = (0..terminals).map(|n| format!("terminal-{n}")).collect();
    let position = |name: &str| {
        (0..terminals)
            .step_by(16)
            .chain((1..16).flat_map(|k| (k..terminals).step_by(16)))
            .position(|n| names[n] == name)
    };
    let latency = |fleet: &mut Vec<Raw>, group: usize, n: usize| {
        let at = position(&format!("terminal-{}", group % terminals)).unwrap();
        let begin = Instant::now();
        gateway.http().push(&format!("{group}-{n}"), &format!("group:g{group}"), "x");
        fleet[at].push();
        begin.elapsed().as_secs_f64() * 1000.0
    };
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for n in 0..200 {
        first.push(latency(&mut fleet, 0, n));
        last.push(latency(&mut fleet, groups - 1, n));
    }
    let (first, last) = (median(first), median(last));
    let memory = resident(gateway.pid()) as f64 / 1024.0;
    println!(
        "{groups} groups with a member each over {terminals} terminals: {memory:.0} MB ({:.0} MB before they came); from a post to its \
         delivery {first:.2} ms in the first group, {last:.2} ms in the last, ratio {:.2}",
        before as f64 / 1024.0,
        last / first
    );
}

fn fill(path: &std::path::Path, groups: usize, terminals: usize) {
    let mut sql = rusqlite::Connection::open(path).unwrap();
    let tx = sql.transaction().unwrap();
    tx.execute_batch(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {groups})
            INSERT INTO flows (id, kind, name, members, created_at, kept) SELECT 1 + i, 0, 'g' || i, 1, 1, 1 FROM n;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {terminals})
            INSERT INTO flows (id, kind, name, members, created_at) SELECT 1000000 + i, 1, 'terminal-' || i, 1, 1 FROM n;
         INSERT INTO bindings (flow, user, sources, joined_seq, acked_seq, joined_at) SELECT id, id, 1, 0, 0, 1 FROM flows WHERE kind = 1;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {groups})
            INSERT INTO bindings (flow, user, sources, joined_seq, acked_seq, joined_at)
            SELECT 1 + i, 1000000 + i % {terminals}, 4, 0, 0, 1 FROM n;
         UPDATE counter SET group_count = {groups};"
    ))
    .unwrap();
    tx.commit().unwrap();
}
