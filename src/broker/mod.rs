//! The broker: rumqttd's router, embedded. One publish in, fanned out to every MQTT worker that wants the topic.
//!
//! Only our own links ever reach it: no device, no topic and no client id that a device chose. What that spares us, and
//! how its links have to be handled, is in `docs/broker.md`; each rule has a test here.
//!
//! What the rest of papcast sees of it: [`Broker`] starts it, a [`Publisher`] sends a [`crate::parcel::Parcel`], each worker
//! has a [`Feed`] and says with [`FeedWants`] which topics it wants, and a [`Watchdog`] tells when the router stands still.

mod envelope;
mod publisher;
mod router_topics;
mod watchdog;
mod worker_link;

use std::borrow::Cow;
use std::sync::Arc;

use rumqttd::{Config, RouterConfig};

pub use publisher::Publisher;
pub use watchdog::{Pulse, Watchdog};
pub use worker_link::{Feed, FeedMessages, FeedWants};

use router_topics::Interest;

use crate::feed::Place;
use crate::ids::Target;
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

/// What a worker can listen to. The router keeps every topic it has seen until it ends: only so many groups have one each, and
/// everything else shares a few.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Pushes to one group, on the group's own MQTT topic.
    Group(String),
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
    fn topic(&self) -> Cow<'_, str> {
        match self {
            Self::Group(topic) => topic.into(),
            Self::Shared(number) => format!("papcast/shared/{number}").into(),
            Self::Direct => "papcast/direct".into(),
            Self::Open => "papcast/open".into(),
            Self::Watch => "papcast/watch".into(),
        }
    }

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
            Target::Group(id) => Self::Group(id.topic()),
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

/// `rumqttd::Broker` without a listener: no device may reach it directly.
#[derive(Clone)]
struct Router(Arc<rumqttd::Broker>);

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Router")
    }
}

type Link = (rumqttd::local::LinkTx, rumqttd::local::LinkRx);

impl Router {
    /// A link under a name of our own. The router remembers every name it has seen, so they are few and fixed.
    fn link(&self, name: &str) -> Result<Link, Error> {
        self.0.link(name).map_err(|error| Error::Link { name: name.to_owned(), reason: error.to_string() })
    }
}

#[cfg(test)]
impl Router {
    /// Ends the router's thread, to see who notices.
    fn kill(&self) {
        if let Ok((mut link, _)) = self.link("suicide") {
            let _ = link.publish("\u{e9}/x".to_owned(), "");
        }
    }
}

impl Broker {
    /// Starts the router, the publisher and the watchdog that notices if the router dies.
    pub fn start(settings: Settings, health: &Health) -> Result<(Self, Watchdog), Error> {
        let config = Config {
            id: 0,
            router: RouterConfig {
                max_connections: settings.feeds + 8,
                max_outgoing_packet_count: 200,
                max_segment_size: settings.segment_size,
                max_segment_count: settings.segment_count,
                ..RouterConfig::default()
            },
            ..Config::default()
        };
        let router = Router(Arc::new(rumqttd::Broker::new(config)));
        let interest = Arc::new(Interest::new(settings.max_topics));
        let publisher = Publisher::start(router.link("publisher")?, Arc::clone(&interest), health)?;
        let watchdog = Watchdog::start(router.link("watchdog")?)?;
        Ok((Self { router, interest, publisher }, watchdog))
    }

    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// The link of one worker.
    pub fn feed(&self, number: usize) -> Result<Feed, Error> {
        let link = self.router.link(&format!("worker-{number}"))?;
        Ok(Feed::new(link, Arc::clone(&self.interest)))
    }
}

#[cfg(test)]
mod tests;
