//! The newest events of each user, in memory: what an operator asks of one device. Bounded for each user, and for all
//! together: users of whom nothing was heard for longest are forgotten first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::event::{Event, Happening, Kind};
use crate::clock::Millis;

/// Events of one user.
const OF_USER: usize = 64;

/// A device that connects so often within an hour is flapping.
pub const FLAPPING: usize = 5;

#[derive(Debug)]
pub(super) struct DeviceHistory {
    most: usize,
    inner: Mutex<Inner>,
}

type Line = VecDeque<Arc<Happening>>;

/// Two generations: when the young one is full the old one is forgotten, and the young one grows old.
#[derive(Debug, Default)]
struct Inner {
    young: HashMap<Box<str>, Line>,
    old: HashMap<Box<str>, Line>,
    /// Events in the young generation.
    count: usize,
}

impl Default for DeviceHistory {
    fn default() -> Self {
        Self::new(super::Bounds::default().device_events)
    }
}

impl DeviceHistory {
    pub(super) fn new(most: usize) -> Self {
        Self { most, inner: Mutex::default() }
    }

    pub(super) fn keep(&self, happening: &Arc<Happening>) {
        // Progress says nothing new of its only member; what is traced has its own reader.
        if matches!(happening.event.kind(), Kind::Progress | Kind::Trace) || self.most == 0 {
            return;
        }
        let Some(user) = happening.event.user() else { return };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if !inner.young.contains_key(user) {
            let line = inner.old.remove(user).unwrap_or_default();
            inner.count += line.len();
            inner.young.insert(user.into(), line);
        }
        if let Some(line) = inner.young.get_mut(user) {
            line.push_back(Arc::clone(happening));
            inner.count += 1;
            if line.len() > OF_USER {
                line.pop_front();
                inner.count -= 1;
            }
        }
        if inner.count > self.most / 2 {
            inner.old = std::mem::take(&mut inner.young);
            inner.count = 0;
        }
    }

    pub(super) fn forget(&self, user: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = inner.young.remove(user).map_or(0, |line| line.len());
        inner.count -= forgotten;
        inner.old.remove(user);
    }

    pub(super) fn of(&self, user: &str) -> Vec<Arc<Happening>> {
        self.look(user, |line| line.iter().cloned().collect())
    }

    pub(super) fn connects(&self, user: &str, since: Millis) -> usize {
        self.look(user, |line| {
            line.iter().filter(|one| one.at >= since && matches!(one.event, Event::Connect(_))).count()
        })
    }

    fn look<T: Default>(&self, user: &str, at: impl Fn(&Line) -> T) -> T {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.young.get(user).or_else(|| inner.old.get(user)).map(at).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::MembershipEvent;
    use super::*;

    fn joined(user: &str, id: u64) -> Arc<Happening> {
        let event = Event::Join(MembershipEvent { user: user.into(), group: "g".into(), by: "terminal".into() });
        Arc::new(Happening { id, at: 0, event })
    }

    #[test]
    fn a_fleet_that_comes_and_goes_did_not_stay_within_its_bounds() {
        let history = DeviceHistory::new(100);
        for id in 0..10_000 {
            history.keep(&joined(&format!("user-{id}"), id));
        }
        let inner = history.inner.lock().unwrap();
        let count: usize = inner.young.values().chain(inner.old.values()).map(VecDeque::len).sum();
        assert!(count <= 101, "{count}");
    }

    #[test]
    fn the_newest_events_of_a_user_are_kept() {
        let history = DeviceHistory::new(1_000);
        for id in 0..80 {
            history.keep(&joined("alice", id));
        }
        let ids: Vec<u64> = history.of("alice").iter().map(|one| one.id).collect();
        assert_eq!(ids, (16..80).collect::<Vec<_>>());
        assert!(history.of("bob").is_empty());
    }
}
