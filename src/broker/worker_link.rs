//! A worker's link: it only receives.
//!
//! The link pauses after some 200 messages until it is told to go on, and a segment may have rotated by then; the seq
//! that each message names as the one before it shows the hole.

use std::collections::HashMap;
use std::sync::Arc;

use super::router::{Kind, Link, Receiver, RouterTopic, Sender};
use super::router_topics::Interest;
use super::{Channel, Delivery, Error, envelope};

/// The receiving side and its subscriptions.
pub struct Feed {
    subscriptions: Sender,
    messages: Receiver,
    interest: Arc<Interest>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Feed")
    }
}

/// Where to subscribe while [`FeedMessages`] is being read.
pub struct FeedWants {
    link: Sender,
    interest: Arc<Interest>,
    /// A request lies with the link, and the router has not been told of it.
    unheard: bool,
    /// How often each channel is wanted. A second SUBSCRIBE to one filter would double every message.
    wanted: HashMap<Channel, usize>,
}

impl std::fmt::Debug for FeedWants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedWants").field("wanted", &self.wanted.len()).finish_non_exhaustive()
    }
}

/// The messages of a feed.
#[derive(Debug)]
pub struct FeedMessages {
    link: Receiver,
}

impl Feed {
    pub(super) fn new((subscriptions, messages): Link, interest: Arc<Interest>) -> Self {
        Self { subscriptions, messages, interest }
    }

    /// The two halves: one is written to while the other is waited for.
    #[must_use]
    pub fn split(self) -> (FeedWants, FeedMessages) {
        let wants =
            FeedWants { link: self.subscriptions, interest: self.interest, unheard: false, wanted: HashMap::new() };
        (wants, FeedMessages { link: self.messages })
    }
}

impl FeedWants {
    /// Wants a channel; answers where it comes. Whatever is published after this returns arrives, unless the router has
    /// so much to do that it does not take the request at once: what is missed then shows in the feed.
    pub fn add(&mut self, channel: &Channel) -> Channel {
        let at = self.interest.add(channel);
        let count = self.wanted.entry(at.clone()).or_default();
        *count += 1;
        if *count == 1 {
            self.unheard |= !self.link.try_subscribe(RouterTopic::of(&at));
        }
        at
    }

    /// Wants what comes at `at` no longer for the sake of `channel`.
    pub fn remove(&mut self, channel: &Channel, at: &Channel) {
        self.interest.remove(channel, at);
        let Some(count) = self.wanted.get_mut(at) else { return };
        *count -= 1;
        if *count == 0 {
            self.wanted.remove(at);
            // What is under way may still arrive; the worker knows by its own table that nobody wants it.
            self.unheard |= !self.link.try_unsubscribe(RouterTopic::of(at));
        }
    }

    /// Sees to it that the router hears of what it could not take at once. Waiting for it would hold a whole worker up.
    pub fn nudge(&mut self) {
        if self.unheard {
            self.unheard = !self.link.try_unsubscribe(RouterTopic::NOBODY);
        }
    }
}

impl FeedMessages {
    /// The next message. Must be called again soon, whatever else there is to do.
    pub async fn next(&mut self) -> Result<Delivery, Error> {
        loop {
            let Some((kind, payload)) = self.link.next().await? else { continue };
            if let Some(delivery) = decode(kind, payload) {
                return Ok(delivery);
            }
            tracing::error!(?kind, "a message of the embedded broker is unreadable");
        }
    }
}

fn decode(kind: Kind, payload: bytes::Bytes) -> Option<Delivery> {
    match kind {
        Kind::Open => envelope::decode_open(payload).map(|message| Delivery::Open(Arc::new(message))),
        Kind::Watched => envelope::decode_push(payload).map(|(parcel, _)| Delivery::Watched(parcel)),
        Kind::Push => envelope::decode_push(payload).map(|(parcel, place)| Delivery::Push { parcel, place }),
    }
}
