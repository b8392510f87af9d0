//! A log line for each event that an operator asks about. Lines of one kind that come in floods are counted: so many a minute
//! are written, and the next one says how many were left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use super::event::{Event, Happening, Kind, PushEvent};
use crate::log_limit::LogLimit;

/// What the lines are filtered by (`log.level = "papcast::events=warn,info"` leaves them out).
const TARGET: &str = "papcast::events";

/// Lines of each kind in a minute.
const LINES: u64 = 600;

/// Lines that may wait to be written; what comes while there are as many is counted. Whoever does not read our log must not stop
/// a worker or a commit.
const WAITING: usize = 4_096;

/// How long the last lines may take.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Hands lines to a thread that writes them. By default there is none, as tests want it.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    lines: Option<SyncSender<Line>>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Line {
    Event(Arc<Happening>),
    /// Answered once everything before it is written.
    Flush(SyncSender<()>),
}

impl EventLog {
    /// Without a thread there is no log of events: nothing else depends on it.
    pub(super) fn start() -> Self {
        let (lines, waiting) = sync_channel(WAITING);
        let lost = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&lost);
        let thread = std::thread::Builder::new().name("event-log".into()).spawn(move || {
            let writer = Writer { lost: counted, ..Writer::default() };
            for line in waiting {
                match line {
                    Line::Event(happening) => writer.write(&happening.event),
                    Line::Flush(done) => drop(done.try_send(())),
                }
            }
        });
        Self { lines: thread.is_ok().then_some(lines), lost }
    }

    pub(super) fn tell(&self, happening: &Arc<Happening>) {
        let event = &happening.event;
        let is_told_elsewhere = matches!(event, Event::Refused { what, .. } if *what != "join");
        if is_told_elsewhere || matches!(event.kind(), Kind::Progress | Kind::Trace) {
            return;
        }
        let Some(lines) = &self.lines else { return };
        if lines.try_send(Line::Event(Arc::clone(happening))).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is written, for a moment.
    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.lines.as_ref().is_some_and(|lines| lines.try_send(Line::Flush(done)).is_ok()) {
            let _ = wait.recv_timeout(LAST_LINES);
        }
    }
}

/// What the thread has.
#[derive(Debug)]
struct Writer {
    limits: [LogLimit; Kind::ALL.len()],
    /// Lines that there was no room for.
    lost: Arc<AtomicU64>,
}

impl Default for Writer {
    fn default() -> Self {
        Self { limits: [const { LogLimit::new(LINES) }; Kind::ALL.len()], lost: Arc::default() }
    }
}

impl Writer {
    fn write(&self, event: &Event) {
        let kind = event.kind();
        // Changes are never left out.
        let passed = self.limits.get(kind as usize).and_then(LogLimit::pass);
        let Some(left_out) = passed.or((kind == Kind::Change).then_some(0)) else { return };
        let left_out = left_out + self.lost.swap(0, Ordering::Relaxed);
        let left_out = (left_out > 0).then_some(left_out);
        match event {
            Event::Join(one) => {
                tracing::info!(target: TARGET, user = one.user, group = one.group, by = one.by, left_out, "joined")
            }
            Event::Leave(one) => {
                tracing::info!(target: TARGET, user = one.user, group = one.group, by = one.by, left_out, "left")
            }
            Event::Push(push) => accepted(push, left_out),
            Event::Final(push) => finished(push, left_out),
            Event::Connect(one) => tracing::debug!(target: TARGET, client = one.client_id,
                user = one.user,
                remote = one.remote,
                protocol = one.protocol,
                transport = one.transport,
                left_out,
                "connected"
            ),
            Event::Disconnect(one) => tracing::info!(target: TARGET, client = one.client_id,
                user = one.user,
                remote = one.remote,
                reason = one.reason,
                left_out,
                "disconnected: {}",
                one.desc.unwrap_or_default()
            ),
            Event::Refused { what, who, push_id, code, desc, request, .. } => {
                tracing::info!(target: TARGET, who, push_id, code, request, left_out, "{what} refused: {desc}");
            }
            Event::Change { by, act, object, detail } => tracing::info!(target: TARGET, by, object, "{act}: {detail}"),
            Event::Progress(_) | Event::Trace { .. } => {}
        }
    }
}

fn accepted(push: &PushEvent, left_out: Option<u64>) {
    tracing::info!(target: TARGET, push_id = push.push_id,
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
    tracing::info!(target: TARGET, push_id = push.push_id,
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
