//! Topics that the ACL opens: plain MQTT between terminals while they are connected. Store and forward is what groups
//! are for.

use std::rc::Rc;
use std::sync::Arc;

use super::codec::{Publish, reason};
use super::connection::{Conn, Subscription};
use super::connection_id::ConnId;
use super::routes::Table;
use super::shared_frames::Now;
use super::trace_readers::is_trace;
use super::worker::Worker;
use super::{client_publish, topic_filters, wildcard_watch};
use crate::broker::OpenMessage;
use crate::ids::Target;

/// A granted filter enters the worker's tables; filters on our own topics are not kept there, but for those that watch.
pub(super) fn add(worker: &Worker, filter: &str, conn: ConnId) {
    let mut table = worker.table.borrow_mut();
    if wildcard_watch::is_watching(filter) && worker.registry.may_watch() && table.watch(conn) {
        worker.registry.count_watcher(true);
    }
    if is_trace(filter) {
        worker.tracing.begin(|| worker.gateway.signals().follow(None));
    }
    if topic_filters::has_wildcard(filter) {
        table.add_wild(conn);
    } else if Target::from_topic(filter).is_none() && !filter.starts_with('$') {
        table.add_exact(filter, conn);
    }
}

/// The reverse of [`add`], but for wildcards: those go with the connection's last one, see [`remove_wild`].
pub(super) fn remove(table: &mut Table, filter: &str, conn: ConnId) {
    if !topic_filters::has_wildcard(filter) {
        table.remove_exact(filter, conn);
    }
}

/// Called after a filter was taken from `left`.
pub(super) fn remove_wild(worker: &Worker, left: &[Subscription], conn: ConnId) {
    if !left.iter().any(|known| topic_filters::has_wildcard(&known.filter)) {
        worker.table.borrow_mut().remove_wild(conn);
    }
    if !left.iter().any(|known| wildcard_watch::is_watching(&known.filter)) {
        worker.unwatch(conn);
    }
}

/// Passes a client's publish on. Answers the reason code of its acknowledgement.
pub(super) fn publish(worker: &Worker, conn: &Conn, publish: Publish) -> u8 {
    let allowed = {
        let state = conn.state.borrow();
        state.session.as_ref().and_then(|session| {
            let allowed = worker.settings().acl.may_publish(&publish.topic, session.user.as_ref(), &session.client_id);
            allowed.then(|| session.client_id.clone())
        })
    };
    let Some(client) = allowed else { return reason::NOT_AUTHORIZED };
    if worker.settings().publisher.open(client_publish::message(&client, publish)) {
        reason::SUCCESS
    } else {
        reason::QUOTA_EXCEEDED
    }
}

/// Hands a message to the connections of this worker that subscribe to its topic and may read it.
pub(super) fn deliver(worker: &Rc<Worker>, message: &Arc<OpenMessage>) {
    let receivers = worker.table.borrow().open_receivers(&message.topic);
    let now = Now::read();
    for id in receivers {
        let Some(conn) = worker.conn(id) else { continue };
        let Some(qos) = granted(worker, &conn, message) else { continue };
        let qos1 = qos.min(message.qos) == 1;
        conn.with_session(|session, outbox, socket| session.offer_open(message, qos1, outbox, socket, now));
    }
}

/// The highest QoS at which a connection subscribes to a message that it may read.
fn granted(worker: &Worker, conn: &Conn, message: &OpenMessage) -> Option<u8> {
    let state = conn.state.borrow();
    let session = state.session.as_ref()?;
    let topic = &message.topic;
    if !worker.settings().acl.may_subscribe(topic, session.user.as_ref(), &session.client_id) {
        return None;
    }
    let own = session.client_id == message.client;
    let wants = |known: &&Subscription| !(own && known.no_local) && topic_filters::matches(&known.filter, topic);
    state.subscriptions.iter().filter(wants).map(|known| known.qos).max()
}
