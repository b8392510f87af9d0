//! This build against another one, in turns in one run: ratios of CPU time.
//!
//! ```text
//! PAPCAST_OTHER=/path/to/another/papcast cargo bench --bench compare [-- fanout ingest memory]
//! ```
//!
//! The machine may be shared and noisy: the ratios are what to look at, round by round.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "../tests/common/mod.rs"]
mod common;
mod support;

use std::path::PathBuf;

use common::Gateway;
use common::http::Pap;
use common::mqtt::Raw;
use support::{connect, cpu, median, post_kept, resident};

const TEXT: &str = "a push message of ordinary length: 64 bytes, give or take a few.";
const ROUNDS: usize = 9;

fn main() {
    // `cargo test --benches` only asks whether it runs.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let Some(other) = std::env::var_os("PAPCAST_OTHER").map(PathBuf::from) else {
        println!("compare: PAPCAST_OTHER names no other build");
        return;
    };
    rlimit::increase_nofile_limit(20_000).unwrap();
    let start = || [Gateway::start(), Gateway::start_other(&other)];
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|one| one == name);
    if wanted("fanout") {
        let gateways = start();
        fan_out(&gateways, 1_000, 100, "unconfirmed", 0);
        fan_out(&gateways, 1_000, 100, "confirmed", 1);
    }
    if wanted("ingest") {
        ingest(&start(), 4_000);
    }
    if wanted("memory") {
        memory(&start(), 5_000);
    }
}

fn tell(what: &str, unit: &str, new: Vec<f64>, old: Vec<f64>) {
    let ratios: Vec<f64> = new.iter().zip(&old).map(|(new, old)| new / old).collect();
    let (low, high) = ratios.iter().fold((f64::MAX, 0.0_f64), |(low, high), ratio| (low.min(*ratio), high.max(*ratio)));
    println!(
        "{what}: {:.2} {unit}, the other {:.2}; ratio {:.3} ({low:.3} to {high:.3} over {} rounds)",
        median(new),
        median(old),
        median(ratios.clone()),
        ratios.len()
    );
}

/// One push at a time to all; the next when everybody has it.
fn fan_out(gateways: &[Gateway; 2], subscribers: usize, pushes: usize, delivery: &str, qos: u8) {
    let group = format!("fan-{qos}");
    let mut fleets: Vec<Vec<Raw>> =
        gateways.iter().map(|gateway| connect(gateway.mqtt, subscribers, |raw| raw.join(&group))).collect();
    let mut spent = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for ((gateway, fleet), spent) in gateways.iter().zip(&mut fleets).zip(&mut spent) {
            let before = cpu(gateway.pid());
            for n in 0..pushes {
                let body = serde_json::json!({"to":[format!("group:{group}")],"body":TEXT,"delivery":delivery,"push_id":format!("{qos}-{round}-{n}")});
                assert_eq!(gateway.http().json("POST", "/api/v1/pushes", body).status, 202);
                fleet.iter_mut().for_each(|raw| assert_eq!(raw.push().qos, qos));
            }
            // The first round warms up.
            if round > 0 {
                spent.push((cpu(gateway.pid()) - before).as_secs_f64() * 1e6 / (pushes * subscribers) as f64);
            }
        }
    }
    let [new, old] = spent;
    tell(&format!("fan-out to {subscribers} at QoS {qos}, CPU for each delivery"), "us", new, old);
}

/// Confirmed submissions over PAP, one kept connection.
fn ingest(gateways: &[Gateway; 2], pushes: usize) {
    let mut spent = [Vec::new(), Vec::new()];
    for gateway in gateways {
        gateway.http().bind("any", "one");
    }
    for round in 0..=ROUNDS {
        for (gateway, spent) in gateways.iter().zip(&mut spent) {
            let before = cpu(gateway.pid());
            post_kept(gateway.http, pushes, |n| {
                Pap::new(&format!("{round}-{n}")).to("WAPPUSH=one/TYPE=USER@ppg").delivery("confirmed").body()
            });
            if round > 0 {
                spent.push((cpu(gateway.pid()) - before).as_secs_f64() * 1e6 / pushes as f64);
            }
        }
    }
    let [new, old] = spent;
    tell("PAP submission on disk, CPU for each", "us", new, old);
}

/// Resident memory of connected and bound terminals at rest.
fn memory(gateways: &[Gateway; 2], count: usize) {
    let used: Vec<f64> = gateways
        .iter()
        .map(|gateway| {
            let empty = resident(gateway.pid());
            let fleet = connect(gateway.mqtt, count, |raw| raw.join("fan"));
            let full = resident(gateway.pid());
            drop(fleet);
            (full - empty) as f64 / count as f64
        })
        .collect();
    tell("memory of a connected terminal", "KiB", vec![used[0]], vec![used[1]]);
}
