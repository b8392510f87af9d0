//! Which channels some worker wants. A publish that nobody wants is not made: the router would search all its filters.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Channel;

#[derive(Debug)]
pub(super) struct Interest {
    max_topics: usize,
    /// Topic → workers that want it now. A topic stays here for ever, because it does in the router.
    wanted: Mutex<HashMap<String, usize>>,
    /// The log says that there are too many.
    told: AtomicBool,
}

impl Interest {
    pub(super) fn new(max_topics: usize) -> Self {
        Self { max_topics, wanted: Mutex::default(), told: AtomicBool::new(false) }
    }

    /// One more worker wants this. `false` where the router shall not learn any more topics.
    pub(super) fn add(&self, channel: &Channel) -> bool {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.len() >= self.max_topics
            && matches!(channel, Channel::Group(_))
            && !wanted.contains_key(channel.topic())
        {
            if !self.told.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    max_topics = self.max_topics,
                    "there are more groups than broker.max_topics: further ones are served from the store"
                );
            }
            return false;
        }
        *wanted.entry(channel.topic().to_owned()).or_default() += 1;
        true
    }

    pub(super) fn remove(&self, channel: &Channel) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = wanted.get_mut(channel.topic()) {
            *count = count.saturating_sub(1);
        }
    }

    pub(super) fn has(&self, channel: &Channel) -> bool {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.get(channel.topic()).is_some_and(|count| *count > 0)
    }
}
