//! Topics that the ACL opens: plain MQTT between terminals while they are connected. Store and forward is what groups
//! are for.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rmqtt_codec::types::Publish;

use super::conn::{Conn, Subscription};
use super::frames::Now;
use super::registry::ConnId;
use super::table::Table;
use super::topics;
use super::wire::{Will, reason};
use super::worker::Worker;
use crate::broker::{OpenMessage, OpenProperties};
use crate::clock;
use crate::ids::Target;

/// A granted filter enters the worker's tables; filters on our own topics are not kept there.
pub(super) fn add(table: &mut Table, filter: &str, conn: ConnId) {
    if topics::has_wildcard(filter) {
        table.add_wild(conn);
    } else if Target::from_topic(filter).is_none() && !filter.starts_with('$') {
        table.add_exact(filter, conn);
    }
}

/// The reverse of [`add`], but for wildcards: those go with the connection's last one, see [`remove_wild`].
pub(super) fn remove(table: &mut Table, filter: &str, conn: ConnId) {
    if !topics::has_wildcard(filter) {
        table.remove_exact(filter, conn);
    }
}

/// Called after a filter was taken from `left`.
pub(super) fn remove_wild(table: &mut Table, left: &[Subscription], conn: ConnId) {
    if !left.iter().any(|known| topics::has_wildcard(&known.filter)) {
        table.remove_wild(conn);
    }
}

/// Passes a client's publish on. Answers the reason code of its acknowledgement.
pub(super) fn publish(worker: &Worker, conn: &Conn, publish: Publish) -> u8 {
    let allowed = {
        let state = conn.state.borrow();
        state.session.as_ref().is_some_and(|session| {
            worker.settings.acl.may_publish(&publish.topic, session.user.as_ref(), &session.client_id)
        })
    };
    if !allowed {
        return reason::NOT_AUTHORIZED;
    }
    if worker.settings.publisher.open(message(publish)) { reason::SUCCESS } else { reason::QUOTA_EXCEEDED }
}

fn message(publish: Publish) -> OpenMessage {
    let properties = publish.properties.unwrap_or_default();
    OpenMessage {
        topic: publish.topic.to_string(),
        qos: publish.qos.value().min(1),
        payload: publish.payload,
        properties: OpenProperties {
            content_type: properties.content_type.map(|text| text.to_string()),
            response_topic: properties.response_topic.map(|text| text.to_string()),
            correlation: properties.correlation_data,
            is_utf8: properties.is_utf8_payload,
            expires_at: properties
                .message_expiry_interval
                .map_or(0, |seconds| clock::now() + i64::from(seconds.get()) * 1000),
            user: properties
                .user_properties
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        },
    }
}

/// Publishes a will, after its delay and only if the client has not come back by then (MQTT 5.0 §3.1.3.2.2). The topic
/// was checked at CONNECT.
pub(super) fn publish_will(worker: &Rc<Worker>, client: &str, will: Will, expiry: i64) {
    let delay = (i64::from(will.delay) * 1000).min(expiry);
    if delay == 0 {
        let _ = worker.settings.publisher.open(message(will.publish));
        return;
    }
    let publisher = worker.settings.publisher.clone();
    let told = worker.registry.keep_will(client);
    tokio::task::spawn_local(async move {
        let due = tokio::time::sleep(Duration::from_millis(delay.unsigned_abs()));
        let publish = tokio::select! {
            () = due => true,
            told = told => told.unwrap_or(false),
        };
        if publish {
            let _ = publisher.open(message(will.publish));
        }
    });
}

/// Hands a message to the connections of this worker that subscribe to its topic and may read it.
pub(super) fn deliver(worker: &Rc<Worker>, message: &Arc<OpenMessage>) {
    let receivers = worker.table.borrow().open_receivers(&message.topic);
    let now = Now::read();
    for id in receivers {
        let Some(conn) = worker.conn(id) else { continue };
        let Some(qos) = granted(worker, &conn, &message.topic) else { continue };
        let qos1 = qos.min(message.qos) == 1;
        conn.with_session(|session, outbox, socket| session.offer_open(message, qos1, outbox, socket, now));
    }
}

/// The highest QoS at which a connection subscribes to a topic that it may read.
fn granted(worker: &Worker, conn: &Conn, topic: &str) -> Option<u8> {
    let state = conn.state.borrow();
    let session = state.session.as_ref()?;
    if !worker.settings.acl.may_subscribe(topic, session.user.as_ref(), &session.client_id) {
        return None;
    }
    let matching = state.subscriptions.iter().filter(|known| topics::matches(&known.filter, topic));
    matching.map(|known| known.qos).max()
}
