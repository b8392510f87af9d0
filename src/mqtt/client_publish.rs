//! A PUBLISH from a client, or its will: whether its topics can be, and what it becomes on its way to the subscribers. Pure.

use super::codec::{Publish, reason};
use super::topic_filters;
use crate::broker::{OpenMessage, OpenProperties};
use crate::clock;

/// Checks its topic, and the one where it wants an answer; an error is the reason code.
pub(super) fn check_topics(publish: &Publish) -> Result<(), u8> {
    if !topic_filters::is_name(&publish.topic) {
        return Err(reason::TOPIC_INVALID);
    }
    match publish.properties.response_topic.as_deref() {
        Some(response) if response.contains(char::is_control) => Err(reason::TOPIC_INVALID),
        // §3.3.2.3.5: without wildcards.
        Some(response) if !topic_filters::is_name(response) => Err(reason::PROTOCOL_ERROR),
        _ => Ok(()),
    }
}

/// Whether its topic, or the one where it wants an answer, has more bytes than `mqtt.max_topic`.
pub(super) fn is_too_long(publish: &Publish, longest: usize) -> bool {
    let response = publish.properties.response_topic.as_ref();
    publish.topic.len() > longest || response.is_some_and(|topic| topic.len() > longest)
}

/// What a publish of this client becomes on its way to the subscribers.
pub(super) fn message(client: &str, publish: Publish) -> OpenMessage {
    let properties = publish.properties;
    OpenMessage {
        topic: publish.topic,
        qos: publish.qos.min(1),
        client: client.to_owned(),
        payload: publish.payload,
        properties: OpenProperties {
            content_type: properties.content_type,
            response_topic: properties.response_topic,
            correlation: properties.correlation,
            is_utf8: properties.is_utf8,
            expires_at: properties.expiry.map_or(0, |seconds| clock::now() + i64::from(seconds) * 1000),
            user: properties.user,
        },
    }
}
