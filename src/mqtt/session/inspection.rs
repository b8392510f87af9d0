//! What others ask of a session: what is under way, since when, and how much there was.

use std::time::Instant;

use super::{SLACK, Session};
use crate::parcel::{BindingId, DispatchId, Parcel, PushKey};

impl Session {
    /// What is under way: sent, here or on the connection before, and not answered.
    pub(in crate::mqtt) fn under_way(&self) -> Vec<(BindingId, DispatchId)> {
        self.window.pushes().filter(|(binding, id)| !self.aside.is_mine(*binding, *id)).collect()
    }

    /// The push that went out first of those that are not answered.
    pub(in crate::mqtt) fn oldest_push(&self) -> Option<PushKey> {
        self.window.oldest_push()
    }

    /// When a dispatch went out on this connection that is not answered, and how often in all.
    pub(in crate::mqtt) fn sent_at(&self, id: DispatchId) -> Option<(Instant, u32)> {
        let binding = self.binding_of(id.flow)?;
        // The same push by another address is under way: this one waits for its answer (docs/ledger.md, rule 12).
        let sibling = self.siblings.iter().find(|(_, of, seq)| (*of, *seq) == (binding, id.seq));
        let by_sibling = || self.window.push_sent_at(sibling?.0);
        self.window.sent_at(binding, id).or_else(by_sibling)
    }

    /// The binding to which a dispatch is under way: sent, here or on the connection before, and not answered.
    pub(in crate::mqtt) fn holds(&self, id: DispatchId) -> Option<BindingId> {
        let at = self.flows.binary_search_by_key(&id.flow, |flow| flow.flow).ok()?;
        let binding = self.flows[at].binding;
        let held = self.flows[at].is_open(id.seq) || self.window.pushes().any(|held| held == (binding, id));
        // What is set aside is under way, and may be taken back all the same.
        (held && !self.aside.knows(binding, id)).then_some(binding)
    }

    /// Since when the oldest push is unanswered.
    pub(in crate::mqtt) fn unanswered_since(&self) -> Option<Instant> {
        self.window.oldest(|_| false)
    }

    /// Since when the oldest push is unanswered, where others wait behind it.
    pub(in crate::mqtt) fn stuck_since(&self) -> Option<Instant> {
        let crowd = self.window.max() + SLACK;
        let others = self.is_behind() || !self.open_queue.is_empty();
        let waiting = self.window.is_full()
            || (others && !self.window.has_room())
            || self.flows.iter().any(|flow| flow.open_entries() >= crowd);
        self.window.oldest(|sent| self.aside.is_mine(sent.binding, sent.id)).filter(|_| waiting)
    }

    /// Pushes that were written on this connection, and bytes of the largest one that was acknowledged.
    pub(in crate::mqtt) fn written_and_acked(&self) -> (u64, u64) {
        (self.sent, self.largest_acked as u64)
    }

    /// What may be under way to the terminal, and the largest packet it takes, where it said.
    pub(in crate::mqtt) fn limits(&self) -> (u16, Option<u32>) {
        (u16::try_from(self.window.max()).unwrap_or(u16::MAX), u32::try_from(self.max_packet).ok())
    }

    /// Tells of a packet, where the client may be traced.
    #[inline]
    pub(in crate::mqtt) fn trace(&self, direction: &'static str, packet: impl FnOnce() -> String) {
        if self.tally.is_tracing() {
            self.tally.trace(self, direction, packet);
        }
    }
}

/// A push that goes out, for whoever traces the client.
pub(super) fn traced_push(parcel: &Parcel, qos1: bool, size: usize) -> String {
    let qos = u8::from(qos1);
    format!("PUBLISH QoS {qos} of push {:?} on {}, {size} bytes", parcel.push_id, parcel.topic())
}
