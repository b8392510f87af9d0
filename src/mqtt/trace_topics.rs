//! `$push/trace/<group>`: what happens to a group, as JSON, for operators with an MQTT client. Each worker follows events only
//! while one of its connections subscribes to such a topic; who cannot take an event now does not get it.

use std::rc::Rc;

use super::publish_frame::Message;
use super::topic_filters;
use super::trace_readers::{PREFIX, is_trace};
use super::worker::Worker;
use crate::ids::{GROUP_PREFIX, GroupId};
use crate::signals::{Batch, Happening, Reader};

/// Sends events for as long as the worker lives.
pub(super) async fn show(worker: Rc<Worker>) {
    loop {
        let mut reader = worker.tracing.next().await;
        while is_wanted(&worker) {
            let batch = reader.next().await;
            send(&worker, &reader, &batch);
            tokio::task::yield_now().await;
        }
    }
}

fn is_wanted(worker: &Worker) -> bool {
    let watchers = worker.table.borrow().watchers();
    let traces = |id| {
        let Some(conn) = worker.conn(id) else { return false };
        conn.state.borrow().subscriptions.iter().any(|known| is_trace(&known.filter))
    };
    watchers.into_iter().any(traces)
}

fn send(worker: &Worker, reader: &Reader, batch: &Batch) {
    if batch.lost > 0 {
        worker.gateway.signals().metrics.events_lost.inc_by(batch.lost);
    }
    let watchers = worker.table.borrow().watchers();
    for happening in &batch.events {
        let Some(topic) = topic(happening) else { continue };
        let payload = happening.to_json(&reader.cursor_of(happening).to_string());
        for id in &watchers {
            let Some(conn) = worker.conn(*id) else { continue };
            let subscriptions = |filter: &str| is_trace(filter) && topic_filters::matches(filter, &topic);
            let wants = conn.state.borrow().subscriptions.iter().any(|known| subscriptions(&known.filter));
            if !wants {
                continue;
            }
            let message = Message { topic: &topic, body: payload.clone().into(), ..Message::default() };
            conn.with_session(|session, outbox, socket| {
                if outbox.is_free() {
                    session.send_own(&message, outbox, socket);
                }
            });
        }
    }
}

/// The topic of an event that is about a group.
fn topic(happening: &Happening) -> Option<String> {
    let group = GroupId::parse(happening.event.group()?).ok()?;
    let level = group.topic();
    Some(format!("{PREFIX}{}", level.strip_prefix(GROUP_PREFIX)?))
}
