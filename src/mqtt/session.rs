//! What one connection owes its terminal, and what the terminal has answered: the one rule of delivery. No sockets and
//! no clock of its own; bytes go to a [`Sink`]. Messages between terminals, which nobody is owed, are in [`client_messages`].

mod catching_up;
mod client_messages;
mod inspection;
mod retries;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

pub(super) use catching_up::Wanted;
use inspection::traced_push;
pub(super) use retries::FailedTry;
use retries::SetAside;

use super::codec::{Version, reason};
use super::delivery_cursor::{Flow, Outcome};
use super::inflight_window::{Load, Resume, Sent, Window};
use super::publish_frame;
use super::send_buffer::{Outbox, Sink};
use super::shared_frames::{Frames, Now};
use super::tally::Tally;
use crate::broker::OpenMessage;
use crate::ids::UserId;
use crate::parcel::{BindingId, DispatchId, FlowId, Membership, Parcel, PushKey, Seq, Siblings};
use crate::store::{CursorMove, Exception, ExceptionKind};

/// PAP 5238 (WAP-247 §8.14.5, USERDCU): the terminal cannot process it.
const REFUSED: u16 = 5238;
/// PAP 5237 (USERDCR): it does not fit.
const TOO_LARGE: u16 = 5237;
/// Flows that one connection remembers to have served.
const LEFT: usize = 64;
/// Entries of one flow that may be answered out of order beyond the window.
const SLACK: usize = 4;

/// What became of a push that was offered to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    Done,
    /// It has to be fetched from the store, when there is room.
    Behind,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) version: Version,
    pub(super) client_id: String,
    pub(super) user: Option<UserId>,
    /// In order of flow.
    flows: Vec<Flow>,
    window: Window,
    max_packet: usize,
    /// Flows that it serves no longer; when there are too many to tell, a push with several addresses asks the store.
    left: Vec<FlowId>,
    /// QoS 0 pushes that the socket has not taken whole: resolved when it has.
    unwritten: VecDeque<(u64, Sent)>,
    /// Answers for flows that this connection serves no longer.
    strays: Vec<CursorMove>,
    /// Entries that are resolved together with another address of the same push, which is under way.
    siblings: Vec<(PushKey, BindingId, Seq)>,
    /// Pushes with several addresses that were answered on this connection a moment ago: a fetch that began before may
    /// still bring another of their addresses.
    answered: VecDeque<(PushKey, Outcome)>,
    /// What it could not take so far.
    aside: SetAside,
    /// Everything else has waited for one of them to be tried.
    drained: bool,
    left_unanswered: Vec<(BindingId, DispatchId)>,
    /// Something was acknowledged on this connection, and bytes of the largest packet that was.
    answered_any: bool,
    largest_acked: usize,
    /// Pushes that were written.
    sent: u64,
    open_queue: VecDeque<Arc<OpenMessage>>,
    /// The flow that was fetched last.
    last_fetched: Option<FlowId>,
    /// Something changed that has to be written down.
    moved: bool,
    tally: Rc<Tally>,
}

impl Session {
    pub(super) fn new(
        version: Version,
        client_id: String,
        user: Option<UserId>,
        window: Window,
        max_packet: Option<u32>,
        tally: Rc<Tally>,
    ) -> Self {
        let open_queue = window.resumed_messages().into();
        Self {
            version,
            client_id,
            user,
            flows: Vec::new(),
            window,
            max_packet: max_packet.map_or(usize::MAX, |size| size as usize),
            left: Vec::new(),
            unwritten: VecDeque::new(),
            strays: Vec::new(),
            siblings: Vec::new(),
            answered: VecDeque::new(),
            aside: SetAside::default(),
            drained: false,
            left_unanswered: Vec::new(),
            answered_any: false,
            largest_acked: 0,
            sent: 0,
            open_queue,
            last_fetched: None,
            moved: false,
            tally,
        }
    }

    /// Serves a flow from now on; `head` is its newest dispatch. Answers whether something has to be fetched.
    pub(super) fn attach(&mut self, membership: &Membership, head: Seq) -> bool {
        match self.flows.binary_search_by_key(&membership.flow, |flow| flow.flow) {
            // The binding was closed and made anew before we heard of it.
            Ok(at) if self.flows[at].binding != membership.binding => self.flows[at] = Flow::new(membership),
            // It may have missed something while it was being read what it serves.
            Ok(at) => {
                let missed = head > self.flows[at].sent;
                self.flows[at].behind |= missed;
                self.flows[at].dirty |= missed;
                return missed;
            }
            Err(at) => self.flows.insert(at, Flow::new(membership)),
        }
        let Some(flow) = self.flow(membership.flow) else { return false };
        flow.behind = head > flow.sent;
        flow.behind
    }

    /// Serves a flow no longer by this binding; one that was made meanwhile is another.
    pub(super) fn detach(&mut self, flow: FlowId, binding: BindingId) -> Option<CursorMove> {
        let at = self.flows.binary_search_by_key(&flow, |flow| flow.flow).ok()?;
        if self.flows[at].binding != binding {
            return None;
        }
        let mut flow = self.flows.remove(at);
        if self.left.len() < LEFT && !self.left.contains(&flow.flow) {
            self.left.push(flow.flow);
        }
        self.siblings.retain(|(_, binding, _)| *binding != flow.binding);
        self.aside.forget_binding(flow.binding);
        flow.take_move()
    }

    pub(super) fn flow_ids(&self) -> impl Iterator<Item = FlowId> {
        self.flows.iter().map(|flow| flow.flow)
    }

    /// What it serves, and by which binding.
    pub(super) fn bindings(&self) -> impl Iterator<Item = (FlowId, BindingId)> {
        self.flows.iter().map(|flow| (flow.flow, flow.binding))
    }

    fn flow(&mut self, flow: FlowId) -> Option<&mut Flow> {
        let at = self.flows.binary_search_by_key(&flow, |flow| flow.flow).ok()?;
        self.flows.get_mut(at)
    }

    pub(super) fn binding_of(&self, flow: FlowId) -> Option<BindingId> {
        let at = self.flows.binary_search_by_key(&flow, |flow| flow.flow).ok()?;
        Some(self.flows[at].binding)
    }

    pub(super) fn serves(&self, flow: FlowId) -> bool {
        self.flows.binary_search_by_key(&flow, |flow| flow.flow).is_ok()
    }

    /// A SUBSCRIBE at QoS 0 lowers the delivery of this flow; anything else restores it.
    pub(super) fn set_qos0(&mut self, flow: FlowId, qos0: bool) {
        if let Some(flow) = self.flow(flow) {
            flow.qos0 = qos0;
        }
    }

    /// A push that has just been dispatched. It is sent only if everything before it has been.
    pub(super) fn offer(&mut self, frames: &mut Frames<'_>, outbox: &mut Outbox, sink: &impl Sink, now: Now) -> Offer {
        let parcel = frames.parcel;
        let Ok(at) = self.flows.binary_search_by_key(&parcel.flow, |flow| flow.flow) else { return Offer::Done };
        let flow = &mut self.flows[at];
        if parcel.seq <= flow.sent {
            return Offer::Done;
        }
        if flow.behind {
            flow.dirty = true;
            return Offer::Behind;
        }
        let next = parcel.seq == flow.sent.next();
        let fits = next && !self.may_have_siblings(parcel) && self.deliver(at, frames, outbox, sink, now);
        if !fits {
            self.flows[at].behind = true;
            return Offer::Behind;
        }
        Offer::Done
    }

    /// Whether the push may have come, or may come, by another of its destinations: one that this connection serves, or has
    /// served (docs/ledger.md, rule 12).
    fn may_have_siblings(&self, parcel: &Parcel) -> bool {
        match &parcel.siblings {
            Siblings::None => false,
            Siblings::These(flows) => {
                flows.iter().any(|flow| self.serves(*flow) || self.left.contains(flow)) || self.left.len() >= LEFT
            }
            Siblings::Unknown => true,
        }
    }

    /// Sends one parcel of the flow at `at`, or skips it; `false` where there is no room now.
    fn deliver(&mut self, at: usize, frames: &mut Frames<'_>, outbox: &mut Outbox, sink: &impl Sink, now: Now) -> bool {
        let parcel = frames.parcel;
        let flow = &mut self.flows[at];
        // Looked at when the frame is written, and not before (rule 17).
        if frames.withheld {
            return false;
        }
        if parcel.deadline <= now.wall {
            flow.skip(parcel.seq);
            self.moved = true;
            return true;
        }
        let qos1 = parcel.confirmed && !flow.qos0;
        let crowded = flow.open_entries() >= self.window.max() + SLACK;
        if !outbox.is_free() || crowded || (qos1 && !self.window.has_room()) {
            return false;
        }
        let (binding, qos0) = (flow.binding, flow.qos0);
        flow.send(parcel.seq);
        self.transmit(binding, frames, qos0, outbox, sink, now);
        true
    }

    /// Writes a push, or refuses it in the name of the terminal where that could not take its size.
    #[inline]
    fn transmit(
        &mut self,
        binding: BindingId,
        frames: &mut Frames<'_>,
        qos0: bool,
        outbox: &mut Outbox,
        sink: &impl Sink,
        now: Now,
    ) {
        let parcel = frames.parcel;
        let qos1 = parcel.confirmed && !qos0;
        let frame = frames.get(self.version, qos1, now.wall);
        let size = frame.len();
        let (id, push, since) = (parcel.id(), parcel.push, parcel.since);
        let sent = Sent { binding, id, push, shared: parcel.siblings.exist(), size, since, times: 1 };
        if size > self.max_packet {
            return self.conclude(sent, Outcome::Refused(TOO_LARGE));
        }
        self.sent += 1;
        self.trace("out", || traced_push(parcel, qos1, size));
        if qos1 {
            let (id, dup) = self.window.open(Load::Push(sent), now.steady);
            let (head, body) = frame.stamped(id, dup);
            outbox.send(sink, head, body);
        } else {
            let (head, body) = frame.stamped(0, false);
            outbox.send(sink, head, body);
            let mark = outbox.mark();
            if self.unwritten.is_empty() && outbox.has_passed(mark) {
                self.conclude(sent, Outcome::Got);
            } else {
                self.unwritten.push_back((mark, sent));
                self.written(outbox);
            }
        }
    }

    /// The socket has taken more: QoS 0 pushes count when they are written.
    pub(super) fn written(&mut self, outbox: &Outbox) {
        while let Some(&(mark, sent)) = self.unwritten.front() {
            if !outbox.has_passed(mark) {
                return;
            }
            self.unwritten.pop_front();
            self.conclude(sent, Outcome::Got);
        }
    }

    /// A push has been answered; by one of its addresses all of them are (rule 12).
    fn conclude(&mut self, sent: Sent, outcome: Outcome) {
        match outcome {
            Outcome::Got => self.tally.delivered(sent.since),
            Outcome::Refused(code) => self.tally.refused(code == TOO_LARGE),
        }
        if self.aside.is_empty() || !self.answer_aside(sent.binding, sent.id, outcome) {
            self.resolve(sent.binding, sent.id.seq, outcome);
        }
        if !sent.shared {
            return;
        }
        if self.answered.len() >= self.window.max() * 2 {
            self.answered.pop_front();
        }
        self.answered.push_back((sent.push, outcome));
        self.answer_siblings_aside(sent.push, outcome);
        let together: Vec<_> = self.siblings.extract_if(.., |(of, _, _)| *of == sent.push).collect();
        for (_, binding, seq) in together {
            self.resolve(binding, seq, outcome);
        }
    }

    fn resolve(&mut self, binding: BindingId, seq: Seq, outcome: Outcome) {
        if let Some(flow) = self.flows.iter_mut().find(|flow| flow.binding == binding) {
            self.moved |= flow.resolve(seq, outcome);
        } else {
            // The user left, or this connection acts for another one by now: it was answered all the same.
            let kind = match outcome {
                Outcome::Got => ExceptionKind::Got,
                Outcome::Refused(code) => ExceptionKind::Refused { code },
            };
            let exceptions = vec![Exception { seq, kind }];
            self.strays.push(CursorMove { binding, from: Seq::default(), upto: Seq::default(), exceptions });
            self.moved = true;
        }
    }

    /// Whether a push is under way by one of its addresses.
    fn carries(&self, push: PushKey) -> bool {
        self.window.carries(push) || self.unwritten.iter().any(|(_, sent)| sent.push == push)
    }

    /// The terminal answers a QoS 1 publish. Answers whether it was one of ours.
    pub(super) fn acknowledge(&mut self, id: u16, code: u8) -> bool {
        let Some(load) = self.window.close(id) else { return false };
        self.answered_any = true;
        if let Load::Push(sent) = load {
            if code < reason::UNSPECIFIED {
                self.largest_acked = self.largest_acked.max(sent.size);
            }
            self.conclude(sent, if code >= reason::UNSPECIFIED { Outcome::Refused(REFUSED) } else { Outcome::Got });
        }
        true
    }

    /// Shows a push to a watcher, at QoS 0 and if there is room; a member gets it as one.
    pub(super) fn show(&mut self, frames: &mut Frames<'_>, outbox: &mut Outbox, sink: &impl Sink, now: Now) {
        if self.serves(frames.parcel.flow) || !outbox.is_free() {
            return;
        }
        let frame = frames.get(self.version, false, now.wall);
        if frame.len() <= self.max_packet {
            let (head, body) = frame.stamped(0, false);
            outbox.send(sink, head, body);
        }
    }

    /// Sends something of our own at QoS 0, replies included: it waits in the outbox if it must.
    pub(super) fn send_own(&mut self, message: &publish_frame::Message<'_>, outbox: &mut Outbox, sink: &impl Sink) {
        let mut frame = publish_frame::build(self.version, false, message);
        if frame.len() <= self.max_packet {
            let (head, body) = frame.stamped(0, false);
            outbox.send(sink, head, body);
        }
    }

    /// Bytes of the packet that this would be.
    pub(super) fn length_of(&self, message: &publish_frame::Message<'_>) -> usize {
        publish_frame::build(self.version, false, message).len()
    }

    /// Whether more may be under way from now on, as time has passed.
    pub(super) fn widen(&mut self, now: Instant) -> bool {
        self.window.widen(now)
    }

    /// Whether a packet of this length may be sent to this client.
    pub(super) fn takes(&self, length: usize) -> bool {
        length <= self.max_packet
    }

    pub(super) fn has_moved(&self) -> bool {
        self.moved
    }

    /// What there is to write down.
    pub(super) fn take_moves(&mut self) -> Vec<CursorMove> {
        self.moved = false;
        let strays = std::mem::take(&mut self.strays);
        strays.into_iter().chain(self.flows.iter_mut().filter_map(Flow::take_move)).collect()
    }

    /// The end of this connection: what the next one of the session needs.
    pub(super) fn into_resume(self, received: Vec<u16>) -> Resume {
        Resume { inflight: self.window.into_resume(), received }
    }
}

#[cfg(test)]
mod tests;
