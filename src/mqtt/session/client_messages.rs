//! Messages between terminals (the topics of the ACL), as one session gets them: they wait for the window, are never
//! written down, and beyond a number are dropped.

use std::sync::Arc;

use super::Session;
use crate::broker::OpenMessage;
use crate::mqtt::inflight_window::Load;
use crate::mqtt::publish_frame;
use crate::mqtt::send_buffer::{Outbox, Sink};
use crate::mqtt::shared_frames::Now;

/// Messages between terminals that wait for the window, and their bytes; more are dropped.
const OPEN_QUEUE: usize = 100;
const OPEN_QUEUE_BYTES: usize = 1 << 20;

impl Session {
    /// A message between terminals. QoS 1 waits for room, up to a number; QoS 0 does not.
    pub(in crate::mqtt) fn offer_open(
        &mut self,
        message: &Arc<OpenMessage>,
        qos1: bool,
        outbox: &mut Outbox,
        sink: &impl Sink,
        now: Now,
    ) {
        if qos1 {
            let bytes: usize = self.open_queue.iter().map(|waiting| waiting.payload.len()).sum();
            let room = self.open_queue.len() < OPEN_QUEUE && bytes + message.payload.len() <= OPEN_QUEUE_BYTES;
            if room || self.open_queue.is_empty() {
                self.open_queue.push_back(Arc::clone(message));
            }
            self.send_queued(outbox, sink, now);
            return;
        }
        if outbox.is_free() {
            self.send_open(message, None, outbox, sink, now);
        }
    }

    /// Sends what waits of QoS 1 messages between terminals, as far as there is room.
    pub(in crate::mqtt) fn send_queued(&mut self, outbox: &mut Outbox, sink: &impl Sink, now: Now) {
        while outbox.is_free() && self.window.has_room() {
            let Some(message) = self.open_queue.pop_front() else { return };
            let id = self.window.open(Load::Open { message: Arc::clone(&message), ended: 0 }, now.steady);
            if !self.send_open(&message, Some(id), outbox, sink, now) {
                self.window.close(id.0);
            }
        }
    }

    /// `false`: it has expired, or is too large for this terminal.
    fn send_open(
        &mut self,
        message: &OpenMessage,
        id: Option<(u16, bool)>,
        outbox: &mut Outbox,
        sink: &impl Sink,
        now: Now,
    ) -> bool {
        let Some(text) = publish_frame::open_message(message, now.wall) else {
            return false;
        };
        let mut frame = publish_frame::build(self.version, id.is_some(), &text);
        if frame.len() > self.max_packet {
            return false;
        }
        let (id, dup) = id.unwrap_or_default();
        let (head, body) = frame.stamped(id, dup);
        outbox.send(sink, head, body);
        true
    }

    /// The connection has ended by itself; answers whether a message between terminals is dropped for that.
    pub(in crate::mqtt) fn drop_poison(&mut self, limit: u32) -> bool {
        self.window.drop_poison(limit)
    }

    /// Whether messages between terminals are unanswered, and no push is.
    pub(in crate::mqtt) fn leaves_only_messages(&self) -> bool {
        !self.window.is_empty() && self.window.unanswered().next().is_none()
    }
}
