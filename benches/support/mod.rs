//! What the benches share: what the kernel counts, and a fleet.
#![allow(dead_code, unreachable_pub)]

use std::net::SocketAddr;
use std::time::Duration;

use crate::common::mqtt::{Connect, Raw};

/// User and system time of a process so far.
pub fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Resident memory in KiB.
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Connects clients from a few threads and lets each do something first.
pub fn connect(at: SocketAddr, count: usize, first: impl Fn(&mut Raw) + Sync) -> Vec<Raw> {
    const THREADS: usize = 16;
    std::thread::scope(|scope| {
        let first = &first;
        let work: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mine = (thread..count).step_by(THREADS);
                    mine.map(|n| {
                        let name = format!("terminal-{n}");
                        let mut raw = Raw::connect(at, &Connect::v3(&name, &name));
                        first(&mut raw);
                        raw
                    })
                    .collect::<Vec<Raw>>()
                })
            })
            .collect();
        work.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
