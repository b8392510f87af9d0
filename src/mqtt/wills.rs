//! Wills: which are taken, what they may hold together, and those that wait for their delay.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::codec::{Publish, Will, reason};
use super::{Settings, client_publish};
use crate::broker::Publisher;
use crate::budget::{Budget, Held};
use crate::ids::UserId;

/// Client ids that are remembered for having been told that their will is not published.
const TOLD: usize = 10_000;
/// What a will takes beside its bytes, about.
const OVERHEAD: usize = 256;

/// A will that is kept for a connection, and after it for its delay.
#[derive(Debug)]
pub(super) struct KeptWill {
    publish: Publish,
    /// Seconds.
    delay: u32,
    held: Held,
}

/// The wills of all connections; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Wills {
    budget: Budget,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Wills that wait for their delay, by client id. Told whether they are published before their time.
    waiting: HashMap<String, oneshot::Sender<bool>>,
    /// Hashes of client ids whose will was put aside, the oldest first.
    told: VecDeque<u64>,
    known: HashSet<u64>,
    put_aside: u64,
    hasher: RandomState,
}

impl Inner {
    /// Counts a will that was put aside; answers whether its client has to be named in the log.
    fn put_aside(&mut self, client: &str) -> bool {
        self.put_aside += 1;
        let hash = self.hasher.hash_one(client);
        if !self.known.insert(hash) {
            return false;
        }
        self.told.push_back(hash);
        if self.told.len() > TOLD
            && let Some(oldest) = self.told.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

impl Wills {
    pub(super) fn new(most: usize) -> Self {
        Self { budget: Budget::new(most), inner: Arc::default() }
    }

    /// From now on they may hold so much.
    pub(super) fn set_most(&self, most: usize) {
        self.budget.set_most(most);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client has come back: its will is taken back, or published at once where its session ends (MQTT 5.0 §3.1.3.2.2).
    pub(super) fn client_is_back(&self, client: &str, session_ends: bool) {
        if let Some(waiting) = self.inner().waiting.remove(client) {
            let _ = waiting.send(session_ends);
        }
    }

    fn wait(&self, client: &str) -> oneshot::Receiver<bool> {
        let (tell, told) = oneshot::channel();
        self.inner().waiting.insert(client.to_owned(), tell);
        told
    }

    /// The will of a client was dealt with, unless another one waits by now.
    fn is_dealt_with(&self, client: &str) {
        let mut inner = self.inner();
        if inner.waiting.get(client).is_some_and(oneshot::Sender::is_closed) {
            inner.waiting.remove(client);
        }
    }

    /// Takes the will of a CONNECT, or refuses the CONNECT with a reason code. A will that may not be published is put aside:
    /// stock firmware has one, and could never connect otherwise.
    pub(super) fn accept(
        &self,
        settings: &Settings,
        will: Will,
        user: Option<&UserId>,
        client: &str,
    ) -> Result<Option<KeptWill>, u8> {
        let Will { publish, delay } = will;
        client_publish::check_topics(&publish)?;
        let closed = client_publish::is_too_long(&publish, settings.max_topic)
            || !settings.acl.may_publish(&publish.topic, user, client);
        if closed || publish.retain {
            let (name_it, put_aside) = {
                let mut inner = self.inner();
                (inner.put_aside(client), inner.put_aside)
            };
            if name_it {
                let why = if closed { "no [[acl]] opens its topic" } else { "it asks to be retained" };
                let topic: String = publish.topic.chars().take(100).collect();
                tracing::info!(client, topic, why, put_aside, "a will is not going to be published");
            }
            return Ok(None);
        }
        let mut held = self.budget.hold();
        if !held.resize(OVERHEAD + size(&publish)) {
            return Err(reason::QUOTA_EXCEEDED);
        }
        Ok(Some(KeptWill { publish, delay, held }))
    }

    /// Publishes a will, after its delay and only if the client has not come back by then.
    pub(super) fn publish(&self, publisher: &Publisher, client: &str, will: KeptWill, expiry: i64) {
        let KeptWill { publish, delay, held } = will;
        let delay = (i64::from(delay) * 1000).min(expiry);
        if delay == 0 {
            let _ = publisher.open(client_publish::message(client, publish));
            return;
        }
        let told = self.wait(client);
        let (wills, publisher, client) = (self.clone(), publisher.clone(), client.to_owned());
        tokio::task::spawn_local(async move {
            let due = tokio::time::sleep(Duration::from_millis(delay.unsigned_abs()));
            let now = tokio::select! {
                () = due => true,
                told = told => told.unwrap_or(false),
            };
            if now {
                let _ = publisher.open(client_publish::message(&client, publish));
            }
            // Not before: it counts for as long as it waits.
            drop(held);
            wills.is_dealt_with(&client);
        });
    }
}

fn size(publish: &Publish) -> usize {
    let properties = &publish.properties;
    let texts = [&properties.content_type, &properties.response_topic];
    publish.topic.len()
        + publish.payload.len()
        + properties.user.len()
        + properties.correlation.as_ref().map_or(0, bytes::Bytes::len)
        + texts.into_iter().flatten().map(String::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_last_clients_is_named_once() {
        let mut inner = Inner::default();
        assert!(inner.put_aside("a"));
        assert!(!inner.put_aside("a"));
        for number in 0..TOLD {
            assert!(inner.put_aside(&number.to_string()));
        }
        assert!(inner.put_aside("a"), "it is not one of the last any more");
        assert_eq!((inner.told.len(), inner.known.len()), (TOLD, TOLD));
    }

    #[test]
    fn a_will_that_was_dealt_with_is_forgotten() {
        let wills = Wills::new(1_000);
        let first = wills.wait("a");
        let second = wills.wait("a");
        drop(first);
        wills.is_dealt_with("a");
        assert_eq!(wills.inner().waiting.len(), 1, "another one waits");
        drop(second);
        wills.is_dealt_with("a");
        assert!(wills.inner().waiting.is_empty());
    }
}
