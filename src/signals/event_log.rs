//! A log line for each event that an operator asks about. Lines of one kind that come in floods are counted: so many a minute
//! are written, and the next one says how many were left out.

use super::event::{Event, Kind, PushEvent};
use crate::log_limit::LogLimit;

/// Lines of each kind in a minute.
const LINES: u64 = 600;

#[derive(Debug)]
pub(super) struct EventLog {
    limits: [LogLimit; Kind::ALL.len()],
}

impl Default for EventLog {
    fn default() -> Self {
        Self { limits: [const { LogLimit::new(LINES) }; Kind::ALL.len()] }
    }
}

impl EventLog {
    pub(super) fn write(&self, event: &Event) {
        let kind = event.kind();
        let is_told_elsewhere = matches!(event, Event::Refused { what, .. } if *what != "join");
        if is_told_elsewhere || matches!(kind, Kind::Progress | Kind::Trace) {
            return;
        }
        // Changes are never left out.
        let Some(left_out) =
            self.limits.get(kind as usize).and_then(LogLimit::pass).or((kind == Kind::Change).then_some(0))
        else {
            return;
        };
        let left_out = (left_out > 0).then_some(left_out);
        match event {
            Event::Join(one) => tracing::info!(user = one.user, group = one.group, by = one.by, left_out, "joined"),
            Event::Leave(one) => tracing::info!(user = one.user, group = one.group, by = one.by, left_out, "left"),
            Event::Push(push) => accepted(push, left_out),
            Event::Final(push) => finished(push, left_out),
            Event::Connect(one) => tracing::debug!(
                client = one.client_id,
                user = one.user,
                remote = one.remote,
                protocol = one.protocol,
                transport = one.transport,
                left_out,
                "connected"
            ),
            Event::Disconnect(one) => tracing::info!(
                client = one.client_id,
                user = one.user,
                remote = one.remote,
                reason = one.reason,
                left_out,
                "disconnected: {}",
                one.desc.unwrap_or_default()
            ),
            Event::Refused { what, who, push_id, code, desc, request, .. } => {
                tracing::info!(who, push_id, code, request, left_out, "{what} refused: {desc}");
            }
            Event::Change { by, act, object, detail } => tracing::info!(by, object, "{act}: {detail}"),
            Event::Progress(_) | Event::Trace { .. } => {}
        }
    }
}

fn accepted(push: &PushEvent, left_out: Option<u64>) {
    tracing::info!(
        push_id = push.push_id,
        initiator = push.initiator,
        address = push.address,
        recipients = push.recipients,
        bytes = push.size,
        state = push.state,
        request = push.request,
        left_out,
        "push accepted"
    );
}

fn finished(push: &PushEvent, left_out: Option<u64>) {
    tracing::info!(
        push_id = push.push_id,
        initiator = push.initiator,
        address = push.address,
        state = push.state,
        delivered = push.delivered,
        recipients = push.recipients,
        refused = (push.refused > 0).then_some(push.refused),
        left = (push.left > 0).then_some(push.left),
        seconds = push.seconds,
        request = push.request,
        left_out,
        "push finished"
    );
}
