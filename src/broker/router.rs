//! The only file that hands anything to rumqttd, and what may be handed to it: [`RouterTopic`]s, of which papcast makes a few
//! kinds, [`Payload`]s, which only the envelope writes, and links under a [`LinkName`]. Nothing that a client chose can be one of
//! them: not its topics, not its filters, not its client id, not its properties.

use std::borrow::Cow;
use std::sync::Arc;

use rumqttd::local::{LinkRx, LinkTx};
use rumqttd::{Config, Notification, RouterConfig};

use super::{Channel, Error, Payload, Settings};

/// A topic that the router may see: ASCII, without wildcards, and not one that begins with `$`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RouterTopic(Cow<'static, str>);

impl RouterTopic {
    /// What the watchdog sends to itself.
    pub(super) const BEAT: Self = Self(Cow::Borrowed("papcast/beat"));
    /// What nobody listens to.
    pub(super) const NOBODY: Self = Self(Cow::Borrowed("papcast/nobody"));
    const DIRECT: &'static str = "papcast/direct";
    const OPEN: &'static str = "papcast/open";
    const WATCH: &'static str = "papcast/watch";

    pub(super) fn of(channel: &Channel) -> Self {
        Self(match channel {
            Channel::Group(topic) => topic.as_str().to_owned().into(),
            Channel::Shared(number) => format!("papcast/shared/{number}").into(),
            Channel::Direct => Self::DIRECT.into(),
            Channel::Open => Self::OPEN.into(),
            Channel::Watch => Self::WATCH.into(),
        })
    }

    fn into_text(self) -> String {
        self.0.into_owned()
    }
}

/// What a message of the router is about, as far as its reader has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Push,
    Open,
    Watched,
}

/// Names of links. The router remembers every name it has seen, so they are few and fixed.
#[derive(Debug, Clone, Copy)]
pub(super) enum LinkName {
    Publisher,
    Watchdog,
    Worker(usize),
}

impl std::fmt::Display for LinkName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Publisher => f.write_str("publisher"),
            Self::Watchdog => f.write_str("watchdog"),
            Self::Worker(number) => write!(f, "worker-{number}"),
        }
    }
}

/// The router of rumqttd without a listener.
#[derive(Clone)]
pub(super) struct Router(Arc<rumqttd::Broker>);

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Router")
    }
}

pub(super) type Link = (Sender, Receiver);

impl Router {
    pub(super) fn start(settings: Settings) -> Self {
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
        Self(Arc::new(rumqttd::Broker::new(config)))
    }

    pub(super) fn link(&self, name: LinkName) -> Result<Link, Error> {
        let name = name.to_string();
        let link = self.0.link(&name);
        let (sender, receiver) = link.map_err(|error| Error::Link { name, reason: error.to_string() })?;
        Ok((Sender(sender), Receiver(receiver)))
    }

    /// Ends the router's thread, to see who notices.
    #[cfg(test)]
    pub(super) fn kill(&self) {
        if let Ok((mut link, _)) = self.0.link("suicide") {
            let _ = link.publish("\u{e9}/x".to_owned(), "");
        }
    }
}

/// The side of a link that asks. Everything goes out at QoS 0, not retained, without properties: an expiry among them would
/// make the router skip what has not been read.
pub(super) struct Sender(LinkTx);

impl Sender {
    /// May wait for a moment; `false`: the router is gone.
    pub(super) fn publish(&mut self, topic: RouterTopic, payload: Payload) -> bool {
        self.0.publish(topic.into_text(), payload.into_bytes()).is_ok()
    }

    pub(super) fn try_publish(&mut self, topic: RouterTopic, payload: Payload) -> bool {
        self.0.try_publish(topic.into_text(), payload.into_bytes()).is_ok()
    }

    pub(super) fn subscribe(&mut self, topic: RouterTopic) -> Result<(), Error> {
        self.0.subscribe(topic.into_text()).map(|_| ()).map_err(|error| Error::Stopped(error.to_string()))
    }

    /// `false`: the request lies with the link, and the router has not been told of it.
    pub(super) fn try_subscribe(&mut self, topic: RouterTopic) -> bool {
        self.0.try_subscribe(topic.into_text()).is_ok()
    }

    /// Likewise.
    pub(super) fn try_unsubscribe(&mut self, topic: RouterTopic) -> bool {
        self.0.try_unsubscribe(topic.into_text()).is_ok()
    }
}

/// The side of a link that hears.
#[derive(Debug)]
pub(super) struct Receiver(LinkRx);

impl Receiver {
    /// The next message; none where the router said something else. Must be called again soon: the link pauses after some 200
    /// messages, and is told here to go on.
    pub(super) async fn next(&mut self) -> Result<Option<(Kind, bytes::Bytes)>, Error> {
        let stopped = |error: rumqttd::local::LinkError| Error::Stopped(error.to_string());
        match self.0.next().await.map_err(stopped)? {
            Some(Notification::Forward(forward)) => {
                let kind = match &forward.publish.topic[..] {
                    topic if topic == RouterTopic::OPEN.as_bytes() => Kind::Open,
                    topic if topic == RouterTopic::WATCH.as_bytes() => Kind::Watched,
                    _ => Kind::Push,
                };
                Ok(Some((kind, forward.publish.payload)))
            }
            Some(Notification::Unschedule) => self.0.wake().await.map(|()| None).map_err(stopped),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::broker::GroupTopic;
    use crate::ids::GroupId;

    fn is_harmless(topic: &RouterTopic) -> bool {
        let text = &topic.0;
        text.is_ascii() && !text.contains(['+', '#', '\0', '$']) && !text.is_empty()
    }

    #[test]
    fn papcasts_own_topics_are_harmless() {
        for channel in [Channel::Shared(63), Channel::Direct, Channel::Open, Channel::Watch] {
            assert!(is_harmless(&RouterTopic::of(&channel)), "{channel:?}");
        }
        assert!(is_harmless(&RouterTopic::BEAT) && is_harmless(&RouterTopic::NOBODY));
    }

    proptest! {
        /// A topic that begins with a letter outside ASCII ends rumqttd's router, one that begins with `$` its link.
        #[test]
        fn no_group_id_makes_a_topic_that_the_router_cannot_take(id in "\\PC{1,40}") {
            if let Ok(group) = GroupId::parse(&id) {
                let topic = RouterTopic::of(&Channel::Group(GroupTopic::from(&group)));
                prop_assert!(is_harmless(&topic), "{topic:?}");
                prop_assert_eq!(topic.0.matches('/').count(), 1, "one level below groups/");
            }
        }
    }
}
