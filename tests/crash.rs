//! The crash harness: a fleet of terminals, a stream of pushes, and a gateway that is killed with SIGKILL at random
//! moments. At the end every member has every push of its groups, in order within each connection and none twice in one,
//! and the gateway's counts agree.
//!
//! The short setting runs with `cargo test`. The long one, 200 terminals in 20 groups and 40 kills:
//!
//! ```text
//! PAPCAST_CRASH=long cargo test --test crash -- --nocapture
//! ```
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::Gateway;
use common::http::{Client, Pap};
use common::mqtt::{Connect, Raw};

struct Setting {
    terminals: usize,
    groups: usize,
    kills: usize,
    /// Pushes of one group at least; more if the kills take longer.
    pushes: usize,
    patience: Duration,
}

const SHORT: Setting = Setting { terminals: 30, groups: 6, kills: 6, pushes: 40, patience: Duration::from_secs(120) };
const LONG: Setting =
    Setting { terminals: 200, groups: 20, kills: 40, pushes: 150, patience: Duration::from_secs(900) };

/// A small generator of our own, so that a run can be repeated from its seed.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What one connection of a terminal saw: group and number, in order.
type Seen = Vec<(String, usize)>;

struct Fleet<'a> {
    at: SocketAddr,
    setting: &'a Setting,
    done: AtomicBool,
    connections: AtomicUsize,
}

#[test]
fn nothing_is_lost_however_often_the_gateway_is_killed() {
    let setting = if std::env::var("PAPCAST_CRASH").is_ok_and(|value| value == "long") { LONG } else { SHORT };
    let seed = std::env::var("PAPCAST_CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| std::process::id().into());
    println!("seed {seed}");
    run(&setting, seed);
}

fn run(setting: &Setting, seed: u64) {
    let begin = Instant::now();
    let mut gateway = Gateway::start_with("[mqtt]\ninflight = 8\n", &[]);
    let members = bind_all(gateway.http(), setting, seed);
    let fleet = Fleet { at: gateway.mqtt, setting, done: AtomicBool::new(false), connections: AtomicUsize::new(0) };
    let killing = AtomicBool::new(true);
    let http = gateway.http();
    let (pushed, seen) = std::thread::scope(|scope| {
        let terminals: Vec<_> = (0..setting.terminals)
            .map(|number| {
                let fleet = &fleet;
                scope.spawn(move || fleet.terminal(number, Dice(seed ^ (number as u64) << 32)))
            })
            .collect();
        let initiators: Vec<_> = (0..setting.groups)
            .map(|number| {
                let killing = &killing;
                scope.spawn(move || initiator(http, number, setting.pushes, killing, begin + setting.patience))
            })
            .collect();
        let mut dice = Dice(seed);
        for _ in 0..setting.kills {
            std::thread::sleep(Duration::from_millis(100 + dice.below(700)));
            gateway.kill();
            gateway.restart();
        }
        killing.store(false, Ordering::Relaxed);
        let pushed: Vec<usize> = initiators.into_iter().map(|thread| thread.join().unwrap()).collect();
        wait_delivered(http, &pushed, &members, begin + setting.patience);
        fleet.done.store(true, Ordering::Relaxed);
        let seen: Vec<Vec<Seen>> = terminals.into_iter().map(|thread| thread.join().unwrap()).collect();
        (pushed, seen)
    });
    let (deliveries, repeats) = check(&pushed, &members, &seen);
    println!(
        "{} kills, {} pushes to {} groups, {} terminals over {} connections: {deliveries} deliveries, {repeats} of them again after a crash or reconnect; nothing lost; {:.0?}",
        setting.kills,
        pushed.iter().sum::<usize>(),
        setting.groups,
        setting.terminals,
        fleet.connections.load(Ordering::Relaxed),
        begin.elapsed()
    );
}

/// Each user is in one to three groups; answers the members of each group.
fn bind_all(http: Client, setting: &Setting, seed: u64) -> Vec<BTreeSet<usize>> {
    let mut dice = Dice(seed);
    let mut members = vec![BTreeSet::new(); setting.groups];
    for number in 0..setting.terminals {
        for _ in 0..1 + dice.below(3) {
            let group = dice.below(setting.groups as u64) as usize;
            http.bind(&format!("g{group}"), &format!("user-{number}"));
            members[group].insert(number);
        }
    }
    members
}

/// Pushes to one group, one after the other: the next when the last was accepted. Nothing is left unanswered at the end:
/// a push whose answer was lost may have been accepted, and its members then have one more than was counted.
fn initiator(http: Client, group: usize, least: usize, killing: &AtomicBool, deadline: Instant) -> usize {
    let mut number = 0;
    while number < least || killing.load(Ordering::Relaxed) {
        submit(http, group, number, deadline);
        number += 1;
        // The fleet shall not be left behind for ever on a small machine.
        std::thread::sleep(Duration::from_millis(10));
    }
    number
}

/// One push, repeated byte for byte until it is accepted.
fn submit(http: Client, group: usize, number: usize, deadline: Instant) {
    let push = Pap::new(&format!("g{group}-{number}")).to(&format!("group:g{group}")).text(&number.to_string());
    loop {
        match http.try_pap(&push) {
            Some(1001) => return,
            Some(4001) | None => {}
            Some(code) => panic!("g{group}-{number} was refused: {code}"),
        }
        assert!(Instant::now() < deadline, "g{group}-{number} was not answered in time");
        std::thread::sleep(Duration::from_millis(15));
    }
}

impl Fleet<'_> {
    /// Connects, takes pushes, goes away, again and again.
    fn terminal(&self, number: usize, mut dice: Dice) -> Vec<Seen> {
        let user = format!("user-{number}");
        let mut all = Vec::new();
        while !self.done.load(Ordering::Relaxed) {
            let client = if dice.below(4) == 0 { format!("other-{number}") } else { format!("client-{number}") };
            let connect = Connect { v5: dice.below(2) == 0, ..Connect::v3(&client, &user) };
            let connect = if dice.below(2) == 0 { connect.lasting() } else { connect };
            let Some(raw) = Raw::connect_if_there(self.at, &connect) else {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            self.connections.fetch_add(1, Ordering::Relaxed);
            all.push(self.take(raw, &mut dice));
        }
        all
    }

    fn take(&self, mut raw: Raw, dice: &mut Dice) -> Seen {
        let mut seen = Seen::new();
        let enough = 1 + dice.below(self.setting.pushes as u64) as usize;
        let mut idle = 0;
        while seen.len() < enough && !(self.done.load(Ordering::Relaxed) && idle > 2) {
            let Some(packet) = raw.try_packet(Duration::from_millis(100)) else {
                idle += 1;
                // Nothing to do, or a gateway that is dead.
                if idle > 5 || !raw.try_send(&[0xC0, 0]) {
                    break;
                }
                continue;
            };
            if packet.first >> 4 != 3 {
                continue;
            }
            idle = 0;
            let push = raw.parse(&packet);
            seen.push((push.topic.clone(), push.text().parse().unwrap()));
            // Some acknowledgements never leave.
            if dice.below(20) > 0 && !raw.try_send(&common::mqtt::packet(0x40, &push.id.to_be_bytes())) {
                break;
            }
        }
        seen
    }
}

/// Waits until the gateway says of every push that all members have it.
fn wait_delivered(http: Client, pushed: &[usize], members: &[BTreeSet<usize>], deadline: Instant) {
    for (group, count) in pushed.iter().enumerate() {
        for number in 0..*count {
            loop {
                let outcome = http.outcome(&format!("g{group}-{number}"));
                let size = members[group].len();
                let desc = format!("{size} of {size}");
                let wanted = if size == 0 { "undeliverable" } else { "delivered" };
                if outcome["state"] == wanted && outcome["desc"] == desc.as_str() {
                    break;
                }
                assert!(Instant::now() < deadline, "g{group}-{number} is {outcome}, not {wanted} ({desc})");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// Every member has everything; within a connection in order and once.
fn check(pushed: &[usize], members: &[BTreeSet<usize>], seen: &[Vec<Seen>]) -> (usize, usize) {
    let (mut deliveries, mut distinct) = (0, 0);
    for (number, connections) in seen.iter().enumerate() {
        let mut got: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for connection in connections {
            let mut last: BTreeMap<&str, usize> = BTreeMap::new();
            for (topic, push) in connection {
                deliveries += 1;
                got.entry(topic).or_default().insert(*push);
                let before = last.insert(topic, *push);
                assert!(
                    before.is_none_or(|before| before < *push),
                    "user-{number}: {topic} {push} after {before:?} in one connection"
                );
            }
        }
        for (group, count) in pushed.iter().enumerate() {
            let topic = format!("groups/g{group}");
            let mine = got.get(topic.as_str()).map_or(0, BTreeSet::len);
            let owed = if members[group].contains(&number) { *count } else { 0 };
            assert_eq!(mine, owed, "user-{number} has {mine} of {owed} pushes of g{group}");
            distinct += mine;
        }
    }
    (deliveries, deliveries - distinct)
}
