//! Which channels some worker wants, and on which topic of the router a group goes out. A publish that nobody wants is not
//! made: the router would search all its filters.
//!
//! The router keeps every topic it has seen until it ends, and searches all of them for a new one. So it learns a bounded
//! number: groups have a topic each until there are as many as there may be, and beyond that they share a fixed number of
//! topics by the hash of their name.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Channel, GroupTopic};

/// Topics that the groups share which have none of their own.
pub(super) const SHARED: u32 = 64;

#[derive(Debug, Default)]
struct Wanted {
    /// Topic of a group that has one of its own → workers that want it now. It stays here for ever, because it does in the
    /// router.
    own: HashMap<GroupTopic, usize>,
    /// Topic of a group that shares one → the shared one, and the workers that want it now.
    sharing: HashMap<GroupTopic, (u32, usize)>,
    /// Everything that is no group of its own, by its number and kind: workers that want it now.
    common: HashMap<Channel, usize>,
}

#[derive(Debug)]
pub(super) struct Interest {
    max_topics: usize,
    wanted: Mutex<Wanted>,
    /// The log says that groups share topics.
    told: AtomicBool,
}

impl Interest {
    pub(super) fn new(max_topics: usize) -> Self {
        Self { max_topics, wanted: Mutex::default(), told: AtomicBool::new(false) }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more worker wants this; answers where it comes: all workers get a group on the same topic.
    pub(super) fn add(&self, channel: &Channel) -> Channel {
        let mut wanted = self.wanted();
        let Channel::Group(topic) = channel else {
            *wanted.common.entry(channel.clone()).or_default() += 1;
            return channel.clone();
        };
        if let Some((number, count)) = wanted.sharing.get_mut(topic) {
            *count += 1;
            let shared = Channel::Shared(*number);
            *wanted.common.entry(shared.clone()).or_default() += 1;
            return shared;
        }
        if wanted.own.len() < self.max_topics || wanted.own.contains_key(topic) {
            *wanted.own.entry(topic.clone()).or_default() += 1;
            return channel.clone();
        }
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::info!(
                max_topics = self.max_topics,
                "there are more groups than broker.max_topics: further ones share topics"
            );
        }
        let number = hash(topic);
        wanted.sharing.insert(topic.clone(), (number, 1));
        let shared = Channel::Shared(number);
        *wanted.common.entry(shared.clone()).or_default() += 1;
        shared
    }

    /// One worker less wants what it had asked for as `channel`, and got on `at`.
    pub(super) fn remove(&self, channel: &Channel, at: &Channel) {
        let mut wanted = self.wanted();
        if let Channel::Group(topic) = channel {
            if let Some(count) = wanted.own.get_mut(topic).filter(|_| channel == at) {
                *count = count.saturating_sub(1);
                return;
            }
            if let Some((_, count)) = wanted.sharing.get_mut(topic) {
                *count -= 1;
                if *count == 0 {
                    wanted.sharing.remove(topic);
                }
            }
        }
        if let Some(count) = wanted.common.get_mut(at) {
            *count = count.saturating_sub(1);
        }
    }

    /// Where a push goes out; none where no worker wants it.
    pub(super) fn route(&self, channel: &Channel) -> Option<Channel> {
        let wanted = self.wanted();
        match channel {
            Channel::Group(topic) => match wanted.sharing.get(topic) {
                Some((number, _)) => Some(Channel::Shared(*number)),
                None => wanted.own.get(topic).is_some_and(|count| *count > 0).then(|| channel.clone()),
            },
            _ => wanted.common.get(channel).is_some_and(|count| *count > 0).then(|| channel.clone()),
        }
    }

    /// Topics that groups have of their own.
    pub(super) fn own_topics(&self) -> usize {
        self.wanted().own.len()
    }

    pub(super) fn has(&self, channel: &Channel) -> bool {
        self.route(channel).is_some()
    }
}

fn hash(topic: &GroupTopic) -> u32 {
    let mut hasher = DefaultHasher::new();
    topic.hash(&mut hasher);
    u32::try_from(hasher.finish() % u64::from(SHARED)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> Channel {
        Channel::Group(GroupTopic::from(&crate::ids::GroupId::parse(name).unwrap()))
    }

    #[test]
    fn a_group_goes_out_on_one_topic_for_all_workers_while_anybody_wants_it() {
        let interest = Interest::new(1);
        assert_eq!(interest.add(&group("a")), group("a"));
        let shared = interest.add(&group("b"));
        assert!(matches!(shared, Channel::Shared(_)), "{shared:?}");
        assert_eq!(interest.add(&group("b")), shared, "the other worker");
        assert_eq!(interest.route(&group("b")), Some(shared.clone()));
        interest.remove(&group("b"), &shared);
        assert_eq!(interest.route(&group("b")), Some(shared.clone()));
        interest.remove(&group("b"), &shared);
        assert_eq!(interest.route(&group("b")), None);
        interest.remove(&group("a"), &group("a"));
        assert_eq!(interest.route(&group("a")), None);
        assert!(matches!(interest.add(&group("b")), Channel::Shared(_)), "a topic is never given back");
        assert_eq!(interest.add(&group("a")), group("a"));
    }

    #[test]
    fn what_is_remembered_of_groups_that_nobody_wants_is_bounded() {
        let interest = Interest::new(10);
        for n in 0..1_000 {
            let channel = group(&n.to_string());
            let at = interest.add(&channel);
            interest.remove(&channel, &at);
        }
        let wanted = interest.wanted();
        assert_eq!((wanted.own.len(), wanted.sharing.len()), (10, 0));
        assert!(wanted.common.len() <= SHARED as usize);
    }
}
