//! The broker: rumqttd's router, embedded. One publish in, fanned out to every MQTT worker that wants the topic.
//!
//! Only our own links ever reach it: no device, no topic and no client id that a device chose. What may pass to it is a type
//! (`router.rs`). What that spares us, and how its links have to be handled, is in `docs/broker.md`; each rule has a test here.
//!
//! What the rest of papcast sees of it: [`Broker`] starts it, a [`Publisher`] sends a [`crate::parcel::Parcel`], each worker
//! has a [`Feed`] and says with [`FeedWants`] which topics it wants, and a [`Watchdog`] tells when the router stands still.

mod envelope;
mod publisher;
mod router;
mod router_topics;
mod watchdog;
mod worker_link;

use std::sync::Arc;

pub use publisher::Publisher;
pub use watchdog::{Pulse, Watchdog};
pub use worker_link::{Feed, FeedMessages, FeedWants};

use envelope::Payload;
use router::{LinkName, Router};
use router_topics::Interest;

use crate::feed::Place;
use crate::ids::{GroupId, Target};
use crate::parcel::Parcel;
use crate::supervision::Health;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the embedded broker gave no link to {name}: {reason}")]
    Link { name: String, reason: String },
    #[error("the embedded broker has stopped: {0}")]
    Stopped(String),
    #[error("the thread {name} cannot be started: {source}")]
    Thread { name: &'static str, source: std::io::Error },
}

/// The topic of a group, which only a group ID that was checked makes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupTopic(String);

impl From<&GroupId> for GroupTopic {
    fn from(group: &GroupId) -> Self {
        Self(group.topic())
    }
}

impl GroupTopic {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a worker can listen to. The router keeps every topic it has seen until it ends: only so many groups have one each, and
/// everything else shares a few.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Pushes to one group, on the group's own MQTT topic.
    Group(GroupTopic),
    /// Pushes to groups that have none of their own.
    Shared(u32),
    /// Pushes to users, all of them: the worker knows whom it has.
    Direct,
    /// Messages on topics that the ACL opens.
    Open,
    /// A copy of every push, for those who watch with wildcards.
    Watch,
}

impl Channel {
    /// By what a channel is known that counts what goes out on it: pushes to several flows share it.
    fn number(&self) -> Option<u32> {
        match self {
            Self::Direct => Some(0),
            Self::Shared(number) => Some(number + 1),
            Self::Group(_) | Self::Open | Self::Watch => None,
        }
    }

    /// The channel a push to `target` goes out on.
    #[must_use]
    pub fn of(target: &Target) -> Self {
        match target {
            Target::Group(id) => Self::Group(GroupTopic::from(id)),
            Target::User(_) => Self::Direct,
        }
    }
}

/// A message between terminals on a topic that the ACL opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenMessage {
    pub topic: String,
    /// 0 or 1.
    pub qos: u8,
    /// Client id of who published it, for subscribers that do not want their own messages back.
    pub client: String,
    pub payload: bytes::Bytes,
    pub properties: OpenProperties,
}

/// MQTT 5 properties that travel with an [`OpenMessage`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenProperties {
    pub content_type: Option<String>,
    pub response_topic: Option<String>,
    pub correlation: Option<bytes::Bytes>,
    /// Payload Format Indicator.
    pub is_utf8: Option<bool>,
    /// Not to be sent from this moment on; 0 for never.
    pub expires_at: crate::clock::Millis,
    /// User properties in the encoding of MQTT 5, as they came.
    pub user: bytes::Bytes,
}

/// What a [`Feed`] hands to its worker.
#[derive(Debug)]
pub enum Delivery {
    /// A push, with its place where it shares its channel with pushes to others.
    Push {
        parcel: Arc<Parcel>,
        place: Option<Place>,
    },
    /// A push that somebody watches.
    Watched(Arc<Parcel>),
    Open(Arc<OpenMessage>),
}

/// Limits of the embedded router; `[broker]` in the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub max_topics: usize,
    pub segment_size: usize,
    pub segment_count: usize,
    /// How many feeds there will be.
    pub feeds: usize,
}

/// The running router.
#[derive(Debug)]
pub struct Broker {
    router: Router,
    interest: Arc<Interest>,
    publisher: Publisher,
}

impl Broker {
    /// Starts the router, the publisher and the watchdog that notices if the router dies.
    pub fn start(settings: Settings, health: &Health) -> Result<(Self, Watchdog), Error> {
        let max_topics = settings.max_topics;
        let router = Router::start(settings);
        let interest = Arc::new(Interest::new(max_topics));
        let publisher = Publisher::start(router.link(LinkName::Publisher)?, Arc::clone(&interest), health)?;
        let watchdog = Watchdog::start(router.link(LinkName::Watchdog)?)?;
        Ok((Self { router, interest, publisher }, watchdog))
    }

    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// The link of one worker.
    pub fn feed(&self, number: usize) -> Result<Feed, Error> {
        let link = self.router.link(LinkName::Worker(number))?;
        Ok(Feed::new(link, Arc::clone(&self.interest)))
    }
}

#[cfg(test)]
mod tests;
