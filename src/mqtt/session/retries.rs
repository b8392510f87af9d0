//! Pushes that this client could not take so far, and those that it is about to fail on (docs/ledger.md, rule 20). They keep
//! nothing from it, and are tried again, one at a time, when it has answered what was owed.

use std::time::Instant;

use super::super::delivery_cursor::Outcome;
use super::super::inflight_window::Sent;
use super::super::send_buffer::{Outbox, Sink};
use super::super::shared_frames::{Frames, Now};
use super::{Session, Wanted};
use crate::parcel::{BindingId, DispatchId, PushKey};
use crate::store::{Aside, Portion};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// To be tried on this connection, when its turn comes.
    Waits,
    /// It went out again on this connection.
    Tried,
    /// It was left unanswered on this connection.
    SetHere,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    binding: BindingId,
    id: DispatchId,
    push: PushKey,
    /// This client could not take it; else another one of the user's could not, and this one gets it as if nothing had happened.
    mine: bool,
    /// Clients of this user have a new id each time: what one could not take counts for all.
    anyone: bool,
    stage: Stage,
}

/// What is set aside, as far as it concerns this connection.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    known: Vec<Known>,
}

impl SetAside {
    fn at(&self, binding: BindingId, id: DispatchId) -> Option<usize> {
        self.known.iter().position(|known| known.binding == binding && known.id == id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(super) fn knows(&self, binding: BindingId, id: DispatchId) -> bool {
        self.at(binding, id).is_some()
    }

    /// Whether this client could not take it so far.
    pub(super) fn is_mine(&self, binding: BindingId, id: DispatchId) -> bool {
        self.at(binding, id).is_some_and(|at| self.known[at].mine)
    }

    /// Whether it is passed over for now.
    pub(super) fn waits(&self, binding: BindingId, id: DispatchId) -> bool {
        self.at(binding, id).is_some_and(|at| self.known[at].mine && self.known[at].stage == Stage::Waits)
    }

    /// Whether something is still to be tried on this connection.
    fn has_waiting(&self) -> bool {
        self.known.iter().any(|known| known.stage == Stage::Waits)
    }

    fn was_sent(&self, push: PushKey) -> bool {
        self.known.iter().any(|known| known.push == push && known.stage != Stage::Waits)
    }

    pub(super) fn forget_binding(&mut self, binding: BindingId) {
        self.known.retain(|known| known.binding != binding);
    }
}

/// A push that failed once more.
#[derive(Debug, Clone, Copy)]
pub(in crate::mqtt) struct FailedTry {
    pub(in crate::mqtt) sent: Sent,
    pub(in crate::mqtt) anyone: bool,
}

impl Session {
    /// What is set aside for this user's bindings. Another one is first with each `turn`: one on which the client always closes
    /// must not keep the others from being tried.
    pub(in crate::mqtt) fn know_aside(&mut self, aside: &[Aside], turn: u64) {
        let known = |aside: &Aside| Known {
            binding: aside.binding,
            id: aside.id,
            push: aside.push,
            mine: aside.tries.is_some(),
            anyone: aside.anyone,
            stage: Stage::Waits,
        };
        self.aside.known = aside.iter().map(known).collect();
        let count = self.aside.known.len() as u64;
        if count > 0 {
            self.aside.known.rotate_left(usize::try_from(turn % count).unwrap_or(0));
        }
    }

    /// The store has set this one aside, which is unanswered on this connection: what is behind it goes on. Its packet id and
    /// its place stay taken.
    pub(in crate::mqtt) fn set_aside(&mut self, sent: Sent) {
        if !self.window.has(sent.binding, sent.id.seq) || self.aside.is_mine(sent.binding, sent.id) {
            return;
        }
        self.pass(sent.binding, sent.id, sent.push);
        // It does not come by its other addresses instead.
        let together: Vec<_> = self.siblings.extract_if(.., |(of, _, _)| *of == sent.push).collect();
        for (_, binding, seq) in together {
            if let Some(flow) = self.flows.iter().find(|flow| flow.binding == binding).map(|flow| flow.flow) {
                self.pass(binding, DispatchId { flow, seq }, sent.push);
            }
        }
        self.moved = true;
    }

    fn pass(&mut self, binding: BindingId, id: DispatchId, push: PushKey) {
        let Some(flow) = self.flows.iter_mut().find(|flow| flow.binding == binding) else { return };
        flow.set_aside(id.seq);
        let here = Known { binding, id, push, mine: true, anyone: false, stage: Stage::SetHere };
        match self.aside.at(binding, id) {
            Some(at) => self.aside.known[at] = here,
            None => self.aside.known.push(here),
        }
    }

    /// The store says that it is over: the cursor steps over it.
    pub(in crate::mqtt) fn step_over(&mut self, sent: Sent) {
        let mut over = vec![(sent.binding, sent.id.seq)];
        // What came by it at its other addresses will not be answered either.
        let together = self.siblings.extract_if(.., |(of, _, _)| *of == sent.push);
        over.extend(together.map(|(_, binding, seq)| (binding, seq)));
        for (binding, seq) in over {
            if let Some(flow) = self.flows.iter_mut().find(|flow| flow.binding == binding) {
                self.moved |= flow.step_over(seq);
            }
        }
    }

    /// Too many are set aside: this one stays as it is, and the store is not asked again on this connection.
    pub(in crate::mqtt) fn leave_unanswered(&mut self, sent: Sent) {
        self.left_unanswered.push((sent.binding, sent.id));
    }

    /// What was set aside by another address of a push is answered with it.
    pub(super) fn answer_siblings_aside(&mut self, push: PushKey, outcome: Outcome) {
        let here = |known: &&Known| known.push == push && known.stage != Stage::Waits;
        let together: Vec<_> = self.aside.known.iter().filter(here).map(|known| (known.binding, known.id)).collect();
        for (binding, id) in together {
            self.answer_aside(binding, id, outcome);
        }
    }

    /// An answer; whether it was to one of these.
    pub(super) fn answer_aside(&mut self, binding: BindingId, id: DispatchId, outcome: Outcome) -> bool {
        let Some(at) = self.aside.at(binding, id) else { return false };
        let Some(flow) = self.flows.iter_mut().find(|flow| flow.binding == binding) else { return false };
        self.aside.known.swap_remove(at);
        flow.answer_aside(id.seq, outcome);
        self.moved = true;
        true
    }

    /// The next one to be tried, if now is the time. What this client could not take goes out with everything answered that was
    /// owed when this connection began, and with nothing else under way, so that its failure is its own. In a group that is never
    /// quiet everything else waits for that moment, once.
    pub(in crate::mqtt) fn next_aside(&mut self, outbox: &Outbox, now: Instant) -> Option<Wanted> {
        if self.aside.known.is_empty() || !outbox.is_free() {
            return None;
        }
        let ready = |known: &&Known| {
            known.stage == Stage::Waits && !self.aside.was_sent(known.push) && !self.carries(known.push)
        };
        let wanted = |known: &Known| Wanted {
            flow: known.id.flow,
            binding: known.binding,
            after: known.id.seq.before(),
            limit: 1,
        };
        let others = self.aside.known.iter().filter(ready).find(|known| !known.mine);
        if let Some(known) = others.filter(|_| self.window.has_room() && !self.is_behind()) {
            return Some(wanted(known));
        }
        let mine = self.aside.known.iter().filter(ready).find(|known| known.mine).map(wanted)?;
        if self.flows.iter().any(|flow| flow.resolved() < flow.begun_at) {
            return None;
        }
        if self.window.is_empty() {
            return Some(mine);
        }
        if !std::mem::replace(&mut self.drained, true) {
            self.window.drain(now);
        }
        None
    }

    /// A binding is closed, or its group is deleted.
    pub(in crate::mqtt) fn forget_aside(&mut self, binding: BindingId) {
        self.aside.forget_binding(binding);
    }

    /// Sends what was fetched for [`Session::next_aside`].
    pub(in crate::mqtt) fn take_aside(
        &mut self,
        wanted: &Wanted,
        portion: &Portion,
        outbox: &mut Outbox,
        sink: &impl Sink,
        now: Now,
        is_withheld: impl Fn(DispatchId) -> bool,
    ) {
        self.window.end_drain();
        let id = DispatchId { flow: wanted.flow, seq: wanted.after.next() };
        let Some(at) = self.aside.at(wanted.binding, id) else { return };
        let owed = portion.parcels.first().filter(|owed| owed.parcel.seq == id.seq && owed.parcel.deadline > now.wall);
        let Some(owed) = owed else {
            self.aside.known.swap_remove(at);
            return;
        };
        let answered = self.answered.iter().find(|(push, _)| *push == owed.parcel.push).map(|(_, outcome)| *outcome);
        if let Some(outcome) = answered.or_else(|| owed.settled.map(Outcome::from)) {
            self.answer_aside(wanted.binding, id, outcome);
            return;
        }
        let room = self.window.has_room() && outbox.is_free();
        if self.carries(owed.parcel.push) || !room || (!owed.held && is_withheld(id)) {
            return;
        }
        if self.aside.known[at].mine {
            if !self.window.is_empty() {
                return;
            }
            self.window.slow_down();
        }
        self.aside.known[at].stage = Stage::Tried;
        let qos0 = self.flows.iter().any(|flow| flow.binding == wanted.binding && flow.qos0);
        self.transmit(wanted.binding, &mut Frames::new(&owed.parcel, false), qos0, outbox, sink, now);
    }

    /// Pushes that were tried again on this connection, which ends, and not answered, though it answered others.
    pub(in crate::mqtt) fn failed_tries(&self) -> Vec<FailedTry> {
        if !self.answered_any {
            return Vec::new();
        }
        let alone = self.window.alone();
        let tried = self.aside.known.iter().filter(|known| known.mine && known.stage == Stage::Tried);
        let failed = tried.filter_map(|known| {
            let in_window = self.window.sent(known.binding, known.id);
            let sent = in_window.or_else(|| self.unwritten_alone(known.binding, known.id))?;
            let proven =
                in_window.is_none() || alone == Some(sent) || self.window.is_overtaken(known.binding, known.id);
            proven.then_some(FailedTry { sent, anyone: known.anyone })
        });
        failed.collect()
    }

    /// A QoS 0 push that the socket did not take whole, and nothing else was under way.
    fn unwritten_alone(&self, binding: BindingId, id: DispatchId) -> Option<Sent> {
        let (_, sent) = *self.unwritten.front().filter(|_| self.unwritten.len() == 1 && self.window.is_empty())?;
        (sent.binding == binding && sent.id == id).then_some(sent)
    }

    /// The push that went out first of those that are unanswered and not set aside, and whether it is to blame for the end of
    /// this connection: it was alone under way, and another waits behind it. One that is set aside waits, too: a push on which
    /// the client always closes would keep it from ever being tried.
    pub(in crate::mqtt) fn suspect(&self) -> Option<(Sent, bool)> {
        let first = self.window.unanswered().find(|sent| !self.aside.is_mine(sent.binding, sent.id));
        let unwritten = || self.unwritten.front().map(|(_, sent)| *sent);
        let sent = first.or_else(unwritten)?;
        let alone = self.window.alone() == Some(sent) || (self.window.is_empty() && self.unwritten.len() == 1);
        Some((sent, alone && (self.is_behind() || self.aside.has_waiting())))
    }

    /// Pushes that this client leaves unanswered although it answers later ones.
    pub(in crate::mqtt) fn overdue(&self, now: Instant) -> Vec<Sent> {
        let left = |sent: &Sent| self.left_unanswered.contains(&(sent.binding, sent.id));
        self.window.overdue(now).filter(|sent| !self.aside.is_mine(sent.binding, sent.id) && !left(sent)).collect()
    }
}
