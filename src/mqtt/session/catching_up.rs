//! Catching up: which flow a session looks at the store for, and what it does with a portion that was read.

use super::super::delivery_cursor::{Flow, Outcome};
use super::super::send_buffer::{Outbox, Sink};
use super::super::shared_frames::{Frames, Now};
use super::{SLACK, Session};
use crate::parcel::{BindingId, DispatchId, FlowId, Seq};
use crate::store::Portion;

/// A portion that a session wants.
#[derive(Debug, Clone, Copy)]
pub(in crate::mqtt) struct Wanted {
    pub(in crate::mqtt) flow: FlowId,
    pub(in crate::mqtt) binding: BindingId,
    pub(in crate::mqtt) after: Seq,
    pub(in crate::mqtt) limit: usize,
}

impl Session {
    /// A flow that is behind and whose next parcels could be sent now, with where to go on and how many fit. They take
    /// turns, also from one fetch to a much later one: a long backlog of one must not keep the others waiting.
    pub(in crate::mqtt) fn next_behind(&mut self, outbox: &Outbox) -> Option<Wanted> {
        if !outbox.is_free() || !self.window.has_room() {
            return None;
        }
        let limit = self.window.room();
        let crowd = self.window.max() + SLACK;
        let ready = |flow: &&mut Flow| flow.behind && flow.open_entries() < crowd;
        if let Some((binding, count)) = self.window.next_resumed(|binding, id| self.aside.waits(binding, id))
            && let Some(flow) = self.flows.iter_mut().find(|flow| flow.binding == binding).filter(ready)
        {
            flow.dirty = false;
            self.last_fetched = Some(flow.flow);
            return Some(Wanted { flow: flow.flow, binding, after: flow.sent, limit: count.min(limit) });
        }
        let from = self.last_fetched.map_or(0, |last| self.flows.partition_point(|flow| flow.flow <= last));
        let (before, rest) = self.flows.split_at_mut(from);
        let flow = rest.iter_mut().find(ready).or_else(|| before.iter_mut().find(ready))?;
        flow.dirty = false;
        self.last_fetched = Some(flow.flow);
        Some(Wanted { flow: flow.flow, binding: flow.binding, after: flow.sent, limit })
    }

    pub(in crate::mqtt) fn is_behind(&self) -> bool {
        self.flows.iter().any(|flow| flow.behind)
    }

    /// Sends a fetched portion as far as there is room. Answers whether all of it was sent.
    pub(in crate::mqtt) fn take_portion(
        &mut self,
        wanted: &Wanted,
        portion: &Portion,
        outbox: &mut Outbox,
        sink: &impl Sink,
        now: Now,
        is_withheld: impl Fn(DispatchId) -> bool,
    ) -> bool {
        let Ok(at) = self.flows.binary_search_by_key(&wanted.flow, |flow| flow.flow) else { return true };
        if self.flows[at].binding != wanted.binding {
            return true;
        }
        for owed in &portion.parcels {
            let parcel = &owed.parcel;
            if parcel.seq <= self.flows[at].sent {
                continue;
            }
            if parcel.seq > self.flows[at].sent.next() {
                self.flows[at].skip(parcel.seq.before());
                self.moved = true;
            }
            let answered = self.answered.iter().find(|(push, _)| parcel.siblings.exist() && *push == parcel.push);
            let answered = answered.map(|(_, outcome)| *outcome).or_else(|| owed.settled.map(Outcome::from));
            if let Some(outcome) = answered {
                self.flows[at].send(parcel.seq);
                self.moved |= self.flows[at].resolve(parcel.seq, outcome);
            } else if self.aside.waits(self.flows[at].binding, parcel.id()) {
                self.flows[at].set_aside(parcel.seq);
                self.moved = true;
            } else if self.window.has(self.flows[at].binding, parcel.seq) {
                // Under way since before this connection acted for somebody else in between.
                self.flows[at].send(parcel.seq);
            } else if parcel.siblings.exist() && self.carries(parcel.push) {
                let flow = &mut self.flows[at];
                flow.send(parcel.seq);
                self.siblings.push((parcel.push, flow.binding, parcel.seq));
            } else {
                // A portion that was read before the push was taken back is read again.
                let withheld = !owed.held && is_withheld(parcel.id());
                if !self.deliver(at, &mut Frames::new(parcel, withheld), outbox, sink, now) {
                    return false;
                }
            }
        }
        let flow = &mut self.flows[at];
        if !portion.more {
            if portion.scanned > flow.sent {
                flow.skip(portion.scanned);
                self.moved = true;
            }
            flow.behind = flow.dirty;
        }
        // What was under way before and is not owed any more will not go out again.
        let (binding, sent) = (flow.binding, flow.sent);
        self.window.forget(binding, sent, |id| self.aside.waits(binding, id));
        true
    }

    /// This flow has to look at the store: something was lost on the way.
    pub(in crate::mqtt) fn fall_behind(&mut self, flow: FlowId) {
        if let Some(known) = self.flow(flow) {
            known.behind = true;
            known.dirty = true;
        }
    }

    /// Everything has to be looked for in the store.
    pub(in crate::mqtt) fn fall_behind_everywhere(&mut self) {
        for flow in &mut self.flows {
            flow.behind = true;
            flow.dirty = true;
        }
    }

    /// The newest seq that was sent of a flow.
    pub(in crate::mqtt) fn sent_of(&self, flow: FlowId) -> Option<Seq> {
        let at = self.flows.binary_search_by_key(&flow, |flow| flow.flow).ok()?;
        Some(self.flows[at].sent)
    }
}
