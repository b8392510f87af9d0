//! How soon an operator has an answer about a group of 100,000: who has not got a push, and why; and how the devices are.
//!
//! ```text
//! cargo bench --bench operator              100,000 members, most of whom are away
//! cargo bench --bench operator -- 10000     another size
//! ```
//!
//! What must be reached: the first page of `recipients` in under 100 ms, its counts in under 500 ms; of the console the page of a
//! push in under 200 ms.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../tests/common/mod.rs"]
mod common;
mod support;

use std::time::Instant;

use common::Gateway;
use serde_json::json;
use support::{connect, median};

/// Members of one request.
const PORTION: usize = 10_000;
/// Groups beside that one.
const GROUPS: usize = 10_000;
/// Terminals that are here, of which half have the push.
const HERE: usize = 1_000;
const ROUNDS: usize = 7;

fn main() {
    // `cargo test --benches` only asks whether it runs.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    rlimit::increase_nofile_limit(20_000).unwrap();
    let members = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(100_000);
    let gateway = Gateway::start_with("http.body_timeout = \"10m\"\n", &[]);
    let http = gateway.http();
    let begin = Instant::now();
    for portion in (0..members).collect::<Vec<usize>>().chunks(PORTION) {
        let users: Vec<String> = portion.iter().map(|n| format!("member-{n}")).collect();
        let reply = http.json("POST", "/api/v1/groups/fleet/members", json!({ "add": users }));
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    println!("{members} members were added in {:.1} s", begin.elapsed().as_secs_f64());
    for group in 0..GROUPS {
        assert_eq!(http.json("PUT", &format!("/api/v1/groups/group-{group}"), json!({})).status, 201);
    }
    let mut here = connect(gateway.mqtt, HERE, |terminal| terminal.join("fleet"));
    http.push("fw-17", "group:fleet", &"x".repeat(1_000));
    for (n, terminal) in here.iter_mut().enumerate() {
        if n % 2 == 0 {
            terminal.push();
        } else {
            terminal.publish_in();
        }
    }
    let desc = format!("{} of {}", HERE / 2, members + HERE);
    http.wait_outcome("fw-17", "pending", &desc);
    let recipients = "/api/v1/pushes/fw-17/recipients";
    for (what, path) in [
        ("the first page of those who have not got it", format!("{recipients}?missing=true")),
        ("a page with the counts of all reasons", format!("{recipients}?missing=true&counts=true")),
        ("the first page of those who have not answered", format!("{recipients}?reason=sent")),
        ("the push", "/api/v1/pushes/fw-17".to_owned()),
        ("the first page of lagging devices", "/api/v1/devices?state=lagging".to_owned()),
        ("the 100 that lag most", "/api/v1/devices?sort=lag".to_owned()),
        ("how the gateway stands", "/api/v1/status".to_owned()),
        ("console: the first page", "/console".to_owned()),
        ("console: devices that need somebody, loaded after it", "/console/attention".to_owned()),
        ("console: the push", "/console/pushes/fw-17?initiator=anonymous".to_owned()),
        ("console: its bar by reasons, loaded after it", "/console/pushes/fw-17/bar?initiator=anonymous".to_owned()),
        ("console: who has not got it", "/console/pushes/fw-17?initiator=anonymous&show=missing".to_owned()),
        ("console: the group", "/console/groups/fleet".to_owned()),
        ("console: groups found by a part of their names", "/console/groups?search=P-9999".to_owned()),
        ("console: devices found by a part of their names", "/console/devices?search=R-99999".to_owned()),
        ("console: one device", "/console/devices/member-5".to_owned()),
        ("console: operations", "/console/operations".to_owned()),
    ] {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            let reply = http.get(&path);
            assert_eq!(reply.status, 200, "{reply:?}");
            times.push(begin.elapsed().as_secs_f64() * 1_000.0);
        }
        println!("{what}: {:.1} ms", median(times));
    }
}
