//! The crash harness: a fleet of terminals, a stream of pushes, users who join and leave, and a gateway that is killed with
//! SIGKILL at random moments. At the end every member has every push that was dispatched to its groups while it was bound
//! and no other, in order within each connection and none twice in one, and the gateway's counts agree.
//!
//! The short setting runs with `cargo test`. The long one, 200 terminals in 20 groups and 40 kills:
//!
//! ```text
//! PAPCAST_CRASH=long cargo test --test crash -- --nocapture
//! ```
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

#[path = "crash/churn.rs"]
mod churn;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use churn::Membership;
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
    let members = Membership::begin(gateway.http(), setting, seed);
    let next: Vec<AtomicUsize> = (0..setting.groups).map(|_| AtomicUsize::new(0)).collect();
    let fleet = Fleet { at: gateway.mqtt, setting, done: AtomicBool::new(false), connections: AtomicUsize::new(0) };
    let killing = AtomicBool::new(true);
    let http = gateway.http();
    let (pushed, members, seen) = std::thread::scope(|scope| {
        let terminals: Vec<_> = (0..setting.terminals)
            .map(|number| {
                let fleet = &fleet;
                scope.spawn(move || fleet.terminal(number, Dice(seed ^ (number as u64) << 32)))
            })
            .collect();
        let initiators: Vec<_> = (0..setting.groups)
            .map(|number| {
                let (killing, next) = (&killing, &next[number]);
                scope.spawn(move || initiator(http, number, next, setting, killing, begin + setting.patience))
            })
            .collect();
        let churn = {
            let (killing, next) = (&killing, &next[..]);
            scope.spawn(move || members.churn(http, next, Dice(!seed), killing, begin + setting.patience))
        };
        let mut dice = Dice(seed);
        for _ in 0..setting.kills {
            std::thread::sleep(Duration::from_millis(100 + dice.below(700)));
            gateway.kill();
            gateway.restart();
        }
        killing.store(false, Ordering::Relaxed);
        let pushed: Vec<usize> = initiators.into_iter().map(|thread| thread.join().unwrap()).collect();
        let members = churn.join().unwrap();
        wait_over(http, &pushed, begin + setting.patience);
        fleet.done.store(true, Ordering::Relaxed);
        let seen: Vec<Vec<Seen>> = terminals.into_iter().map(|thread| thread.join().unwrap()).collect();
        (pushed, members, seen)
    });
    let (deliveries, got) = check(&pushed, &members, &seen);
    check_counts(http, &pushed, &members, &got);
    println!(
        "{} kills, {} pushes to {} groups, {} terminals over {} connections, {}: {deliveries} deliveries, {} of them again after a crash or reconnect; nothing lost; {:.0?}",
        setting.kills,
        pushed.iter().sum::<usize>(),
        setting.groups,
        setting.terminals,
        fleet.connections.load(Ordering::Relaxed),
        members.summary(),
        deliveries - got.iter().flatten().map(BTreeSet::len).sum::<usize>(),
        begin.elapsed()
    );
}

/// Pushes to one group, one after the other: the next when the last was accepted. Nothing is left unanswered at the end:
/// a push whose answer was lost may have been accepted, and its members then have one more than was counted.
fn initiator(
    http: Client,
    group: usize,
    next: &AtomicUsize,
    setting: &Setting,
    killing: &AtomicBool,
    deadline: Instant,
) -> usize {
    let mut number = 0;
    while number < setting.pushes || killing.load(Ordering::Relaxed) {
        next.store(number, Ordering::SeqCst);
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

/// Waits until every push is over.
fn wait_over(http: Client, pushed: &[usize], deadline: Instant) {
    for (group, count) in pushed.iter().enumerate() {
        for number in 0..*count {
            loop {
                let outcome = http.outcome(&format!("g{group}-{number}"));
                if outcome["state"] != "pending" {
                    break;
                }
                assert!(Instant::now() < deadline, "g{group}-{number} is {outcome}");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// What each user got of each group.
type Got = Vec<Vec<BTreeSet<usize>>>;

/// Every member has everything, and nobody what he must not have; within a connection in order and once.
fn check(pushed: &[usize], members: &Membership, seen: &[Vec<Seen>]) -> (usize, Got) {
    let mut deliveries = 0;
    let mut all = Got::new();
    for (number, connections) in seen.iter().enumerate() {
        let mut got = vec![BTreeSet::new(); pushed.len()];
        for connection in connections {
            let mut last: BTreeMap<&str, usize> = BTreeMap::new();
            for (topic, push) in connection {
                deliveries += 1;
                let group: usize = topic.strip_prefix("groups/g").unwrap().parse().unwrap();
                got[group].insert(*push);
                let before = last.insert(topic, *push);
                assert!(
                    before.is_none_or(|before| before < *push),
                    "user-{number}: {topic} {push} after {before:?} in one connection"
                );
            }
        }
        for (group, count) in pushed.iter().enumerate() {
            let (must, may) = members.owed(number, group, *count);
            let missing: Vec<usize> = must.filter(|push| !got[group].contains(push)).collect();
            assert!(missing.is_empty(), "user-{number} has not got {missing:?} of g{group}");
            let wrong: Vec<&usize> = got[group].iter().filter(|push| !may.contains(push)).collect();
            assert!(wrong.is_empty(), "user-{number} got {wrong:?} of g{group}, where it was no member");
        }
        all.push(got);
    }
    (deliveries, all)
}

/// How many have a push, and who, as the gateway says it. Who left may have got it and be counted as gone.
fn check_counts(http: Client, pushed: &[usize], members: &Membership, got: &Got) {
    for (group, count) in pushed.iter().enumerate() {
        for number in 0..*count {
            let id = format!("g{group}-{number}");
            let said = http.outcome(&id)["delivered"].as_u64().unwrap() as usize;
            let must = (0..got.len()).filter(|user| members.owed(*user, group, *count).0.contains(&number)).count();
            let have: BTreeSet<usize> = (0..got.len()).filter(|user| got[*user][group].contains(&number)).collect();
            assert!(
                must <= said && said <= have.len(),
                "{id}: {must} must have it, {} have it, {said} are said to",
                have.len()
            );
            if number % 5 == 0 {
                let list = http.get(&format!("/api/v1/pushes/{id}/recipients?state=delivered&limit=1000")).json();
                let users = list["recipients"].as_array().unwrap().iter().map(|one| one["user"].as_str().unwrap());
                let listed: BTreeSet<usize> = users.map(|user| user["user-".len()..].parse().unwrap()).collect();
                assert!(listed.len() == said && listed.is_subset(&have), "{id}: {listed:?} of {have:?}");
            }
        }
    }
}
