//! Members that come and go while the gateway is killed, and what they must have and must not have in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::http::Client;
use crate::{Dice, Setting};

/// Who is in which group.
pub(crate) struct Membership {
    /// From the beginning.
    pub(crate) members: Vec<BTreeSet<usize>>,
    /// Changes by user and group; one each at most.
    changes: BTreeMap<(usize, usize), Change>,
}

/// Pushes are numbered for each group. Those below `begun` had been accepted when the change was asked for; those above
/// `answered` were submitted after it was answered.
#[derive(Debug, Clone, Copy)]
struct Change {
    joins: bool,
    begun: usize,
    answered: usize,
}

impl Membership {
    /// Each user is in one to three groups.
    pub(crate) fn begin(http: Client, setting: &Setting, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut members = vec![BTreeSet::new(); setting.groups];
        for number in 0..setting.terminals {
            for _ in 0..1 + dice.below(3) {
                let group = dice.below(setting.groups as u64) as usize;
                http.bind(&format!("g{group}"), &format!("user-{number}"));
                members[group].insert(number);
            }
        }
        Self { members, changes: BTreeMap::new() }
    }

    /// Lets users join and leave until told to stop. `next`: the push of each group that is being submitted.
    pub(crate) fn churn(
        mut self,
        http: Client,
        next: &[AtomicUsize],
        mut dice: Dice,
        going: &AtomicBool,
        deadline: Instant,
    ) -> Self {
        let users = self.members.iter().flatten().max().map_or(0, |last| last + 1);
        while going.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5 + dice.below(100)));
            let (user, group) = (dice.below(users as u64) as usize, dice.below(next.len() as u64) as usize);
            if self.changes.contains_key(&(user, group)) {
                continue;
            }
            let joins = !self.members[group].contains(&user);
            let begun = next[group].load(Ordering::SeqCst);
            let path = format!("/api/v1/groups/g{group}/members/user-{user}");
            let (method, done): (_, &[u16]) = if joins { ("PUT", &[200, 201]) } else { ("DELETE", &[204, 404]) };
            while !http.try_send(method, &path).is_some_and(|status| done.contains(&status)) {
                assert!(Instant::now() < deadline, "{method} {path} was not answered in time");
                std::thread::sleep(Duration::from_millis(15));
            }
            let answered = next[group].load(Ordering::SeqCst);
            self.changes.insert((user, group), Change { joins, begun, answered });
        }
        self
    }

    /// Pushes that a user must have, and those that it may have; of `count`.
    pub(crate) fn owed(
        &self,
        user: usize,
        group: usize,
        count: usize,
    ) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        match (self.members[group].contains(&user), self.changes.get(&(user, group))) {
            (true, None) => (0..count, 0..count),
            // What was on its way when it left may have been lost with it.
            (true, Some(left)) => (0..0, 0..(left.answered + 1).min(count)),
            (false, Some(Change { joins: true, begun, answered })) => ((answered + 1).min(count)..count, *begun..count),
            (false, _) => (0..0, 0..0),
        }
    }

    pub(crate) fn summary(&self) -> String {
        let joins = self.changes.values().filter(|change| change.joins).count();
        format!("{joins} joined and {} left meanwhile", self.changes.len() - joins)
    }
}
