//! Watching: wildcard filters on `groups/` and `users/` get a copy of each push, at QoS 0, and appear in no count. Copies
//! wait in a queue of their own and go out a few at a time, so that thousands who watch delay nobody's push; what the queue
//! does not hold is left out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use super::topic_filters;
use super::trace_readers::is_trace;
use crate::log_limit::LogLimit;
use crate::parcel::Parcel;

/// Pushes that wait for their copies to go out, and bytes of their bodies.
const QUEUE: usize = 256;
const QUEUE_BYTES: usize = 8 << 20;
static LEFT_OUT: LogLimit = LogLimit::new(1);

/// Whether a filter watches: a wildcard that takes topics of papcast's own, or one for what happens to groups.
pub(super) fn is_watching(filter: &str) -> bool {
    let first = filter.split('/').next().unwrap_or_default();
    is_trace(filter) || topic_filters::has_wildcard(filter) && matches!(first, "groups" | "users" | "#" | "+")
}

/// Pushes that somebody watches.
#[derive(Debug, Default)]
pub(super) struct WatchQueue {
    waiting: RefCell<VecDeque<Arc<Parcel>>>,
    bytes: Cell<usize>,
    news: Notify,
}

impl WatchQueue {
    pub(super) fn push(&self, parcel: Arc<Parcel>) {
        let bytes = self.bytes.get() + parcel.body.len();
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() >= QUEUE || (bytes > QUEUE_BYTES && !waiting.is_empty()) {
            if let Some(left_out) = LEFT_OUT.pass() {
                tracing::info!(left_out, "watchers do not see every push: there are more copies than can be sent");
            }
            return;
        }
        self.bytes.set(bytes);
        waiting.push_back(parcel);
        self.news.notify_one();
    }

    /// The next one to be shown.
    pub(super) async fn next(&self) -> Arc<Parcel> {
        loop {
            if let Some(parcel) = self.waiting.borrow_mut().pop_front() {
                self.bytes.set(self.bytes.get() - parcel.body.len());
                return parcel;
            }
            self.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_watches_where_a_wildcard_takes_our_own_topics() {
        for watching in ["#", "+", "+/x", "groups/+", "users/#", "groups/#", "$push/trace/news", "$push/trace/#"] {
            assert!(is_watching(watching), "{watching}");
        }
        for not in ["groups/news", "status/#", "a/+", "groupsx/+"] {
            assert!(!is_watching(not), "{not}");
        }
    }
}
