//! What the benches share: what the kernel counts, and a fleet.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
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

/// Posts PAP submissions one after the other on one connection; each is accepted.
pub fn post_kept(at: SocketAddr, count: usize, document: impl Fn(usize) -> String) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 4_096];
    for n in 0..count {
        let body = document(n);
        let head = format!(
            "POST /pap HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/related; boundary=xyz\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
        let mut read = 0;
        while !String::from_utf8_lossy(&buffer[..read]).contains("</pap>") {
            read += stream.read(&mut buffer[read..]).unwrap();
        }
        assert!(String::from_utf8_lossy(&buffer[..read]).contains("code=\"1001\""));
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
