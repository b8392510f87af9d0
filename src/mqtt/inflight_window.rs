//! QoS 1 towards one terminal: packet ids, and what is under way (MQTT 5.0 §4.4, §4.9). Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::broker::OpenMessage;
use crate::clock::Millis;
use crate::parcel::{BindingId, DispatchId, PushKey, Seq};

/// A push that went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) binding: BindingId,
    pub(super) id: DispatchId,
    pub(super) push: PushKey,
    /// Another address of the push may reach the same user.
    pub(super) shared: bool,
    /// Bytes of its packet.
    pub(super) size: usize,
    /// Since when it could be delivered.
    pub(super) since: Millis,
    /// How often it went out, this time included.
    pub(super) times: u32,
}

/// What a packet id stands for.
#[derive(Debug, Clone)]
pub(super) enum Load {
    Push(Sent),
    /// A message between terminals, and how many connections it has ended, alone under way.
    Open {
        message: Arc<OpenMessage>,
        ended: u32,
    },
}

impl Load {
    /// What is known of a message that goes out again; a push may have another size by now.
    fn or_newer(self, newer: Self) -> Self {
        match (self, newer) {
            (Self::Push(known), Self::Push(newer)) => {
                Self::Push(Sent { times: known.times.saturating_add(1), ..newer })
            }
            (known, _) => known,
        }
    }

    fn push(&self) -> Option<(BindingId, DispatchId)> {
        match self {
            Self::Push(sent) => Some((sent.binding, sent.id)),
            Self::Open { .. } => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) id: u16,
    pub(super) load: Load,
    since: Instant,
    /// How many that went out later have been answered: MQTT wants answers in order (5.0 §4.6).
    overtaken: u32,
}

impl InFlight {
    /// When it went out, and how often it has by now.
    fn sent(&self) -> (Instant, u32) {
        let times = if let Load::Push(sent) = &self.load { sent.times } else { 1 };
        (self.since, times)
    }
}

/// What an interrupted session had under way; its next connection sends it again under the same packet ids.
#[derive(Debug, Default)]
pub(super) struct Resume {
    pub(super) inflight: Vec<(u16, Load)>,
    /// QoS 2 publishes of the client that wait for their PUBREL.
    pub(super) received: Vec<u16>,
}

/// A client that a push ends has ended by then.
const STAYS: Duration = Duration::from_secs(1);

/// A push that stays unanswered for so long while so many later ones are answered was dropped (docs/ledger.md, rule 20).
const OVERDUE: Duration = Duration::from_secs(10);
const OVERTAKEN: u32 = 8;

/// What one session may have under way at most, over all its connections.
const RESUME: usize = 2_048;

impl Resume {
    pub(super) fn is_empty(&self) -> bool {
        self.inflight.is_empty() && self.received.is_empty()
    }

    /// The pushes among it.
    pub(super) fn pushes(&self) -> impl Iterator<Item = (BindingId, DispatchId)> {
        self.inflight.iter().filter_map(|(_, load)| load.push())
    }

    /// Keeps the pushes that are still owed.
    pub(super) fn keep(&mut self, owed: impl Fn(&Sent) -> bool) {
        self.inflight.retain(|(_, load)| match load {
            Load::Push(sent) => owed(sent),
            Load::Open { .. } => true,
        });
        self.inflight.truncate(RESUME);
    }
}

#[derive(Debug)]
pub(super) struct Window {
    max: usize,
    /// What may be under way now: less than `max` for a client whose last connection ended with pushes unanswered.
    limit: usize,
    /// Nothing goes out until nothing is under way, since then.
    draining: Option<Instant>,
    last_id: u16,
    inflight: VecDeque<InFlight>,
    /// Not yet sent again on this connection.
    resumed: Vec<(u16, Load)>,
}

impl Window {
    pub(super) fn new(max: usize, resumed: Vec<(u16, Load)>) -> Self {
        let max = max.max(1);
        Self { max, limit: max, draining: None, last_id: 0, inflight: VecDeque::new(), resumed }
    }

    /// Begins with one at a time and doubles with each answer: if the connection ends again, the push that ended it is
    /// known.
    pub(super) fn carefully(mut self) -> Self {
        self.limit = 1;
        self
    }

    /// Widens as if there had been an answer, once what went out last has been out for [`STAYS`]: a client that is still here
    /// was not ended by it, and what it leaves unanswered must not keep everything else from it.
    pub(super) fn widen(&mut self, now: Instant) -> bool {
        if self.draining.take_if(|since| now.duration_since(*since) >= STAYS).is_some() {
            return true;
        }
        let stays = self.limit < self.max
            && !self.has_room()
            && self.inflight.back().is_some_and(|newest| now.duration_since(newest.since) >= STAYS);
        if stays {
            self.limit = self.max.min(self.limit * 2);
        }
        stays
    }

    pub(super) fn has_room(&self) -> bool {
        self.room() > 0
    }

    pub(super) fn room(&self) -> usize {
        if self.draining.is_some() { 0 } else { self.limit.saturating_sub(self.inflight.len()) }
    }

    /// As much is under way as ever may be.
    pub(super) fn is_full(&self) -> bool {
        self.inflight.len() >= self.max
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// The packet id for a push, and whether it went out under it before.
    pub(super) fn open(&mut self, load: Load, now: Instant) -> (u16, bool) {
        let before = self.resumed.iter().position(|(_, known)| same(known, &load));
        let (id, load, dup) = match before {
            Some(at) => {
                let (id, known) = self.resumed.remove(at);
                (id, known.or_newer(load), true)
            }
            None => (self.free_id(), load, false),
        };
        self.inflight.push_back(InFlight { id, load, since: now, overtaken: 0 });
        (id, dup)
    }

    /// The binding whose push has to go out again next, and how many of its own follow each other: what was under way goes
    /// out again in its order, across topics too (MQTT 5.0 §4.6).
    /// Those that are set aside (`left_out`) keep their packet ids and wait.
    pub(super) fn next_resumed(&self, left_out: impl Fn(BindingId, DispatchId) -> bool) -> Option<(BindingId, usize)> {
        let pushes = self.resumed.iter().filter_map(|(_, load)| load.push());
        let mut pushes = pushes.filter(|(binding, id)| !left_out(*binding, *id));
        let (first, _) = pushes.next()?;
        Some((first, 1 + pushes.take_while(|(binding, _)| *binding == first).count()))
    }

    /// There is always one: far fewer are taken than there are (see [`Resume::keep`]).
    fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = self.last_id;
            if !self.inflight.iter().any(|entry| entry.id == id) && !self.resumed.iter().any(|(taken, _)| *taken == id)
            {
                return id;
            }
        }
    }

    /// Everything of a binding up to `seq` has been sent, is not owed any more, or is set aside (`kept`).
    pub(super) fn forget(&mut self, binding: BindingId, seq: Seq, kept: impl Fn(DispatchId) -> bool) {
        let gone = |sent: &Sent| sent.binding == binding && sent.id.seq <= seq && !kept(sent.id);
        self.resumed.retain(|(_, load)| !matches!(load, Load::Push(sent) if gone(sent)));
    }

    /// The terminal has answered `id`.
    pub(super) fn close(&mut self, id: u16) -> Option<Load> {
        let at = self.inflight.iter().position(|entry| entry.id == id)?;
        self.inflight.iter_mut().take(at).for_each(|entry| entry.overtaken += 1);
        self.limit = self.max.min(self.limit * 2);
        self.inflight.remove(at).map(|entry| entry.load)
    }

    /// The pushes that are unanswered on this connection, in the order in which they went out.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = Sent> {
        self.inflight.iter().filter_map(|entry| match &entry.load {
            Load::Push(sent) => Some(*sent),
            Load::Open { .. } => None,
        })
    }

    pub(super) fn sent(&self, binding: BindingId, id: DispatchId) -> Option<Sent> {
        self.unanswered().find(|sent| sent.binding == binding && sent.id == id)
    }

    /// The only thing that is under way on this connection, where that is a push.
    pub(super) fn alone(&self) -> Option<Sent> {
        self.unanswered().next().filter(|_| self.inflight.len() == 1)
    }

    /// Pushes that are unanswered for so long although many that went out later were answered.
    pub(super) fn overdue(&self, now: Instant) -> impl Iterator<Item = Sent> {
        let overdue =
            move |entry: &&InFlight| entry.overtaken >= OVERTAKEN && now.duration_since(entry.since) >= OVERDUE;
        self.inflight.iter().filter(overdue).filter_map(|entry| match &entry.load {
            Load::Push(sent) => Some(*sent),
            Load::Open { .. } => None,
        })
    }

    /// Whether one that went out later than this push was answered.
    pub(super) fn is_overtaken(&self, binding: BindingId, id: DispatchId) -> bool {
        let is = |entry: &InFlight| entry.load.push() == Some((binding, id)) && entry.overtaken > 0;
        self.inflight.iter().any(is)
    }

    /// Nothing is under way on this connection.
    pub(super) fn is_empty(&self) -> bool {
        self.inflight.is_empty()
    }

    /// One at a time from now on, until there are answers: whatever goes out next is alone.
    pub(super) fn slow_down(&mut self) {
        self.limit = 1;
        self.draining = None;
    }

    /// Nothing goes out until nothing is under way; for a moment at most.
    pub(super) fn drain(&mut self, now: Instant) {
        self.draining = Some(now);
    }

    pub(super) fn end_drain(&mut self) {
        self.draining = None;
    }

    /// Whether a push is under way by one of its addresses.
    pub(super) fn carries(&self, push: PushKey) -> bool {
        self.inflight.iter().any(|entry| matches!(&entry.load, Load::Push(sent) if sent.push == push))
    }

    /// The pushes that are under way, also since a connection before this one.
    pub(super) fn pushes(&self) -> impl Iterator<Item = (BindingId, DispatchId)> {
        let resumed = self.resumed.iter().filter_map(|(_, load)| load.push());
        self.inflight.iter().filter_map(|entry| entry.load.push()).chain(resumed)
    }

    /// The push that went out first of those that are not answered.
    pub(super) fn oldest_push(&self) -> Option<PushKey> {
        let push = |entry: &InFlight| match &entry.load {
            Load::Push(sent) => Some(sent.push),
            Load::Open { .. } => None,
        };
        self.inflight.iter().find_map(push)
    }

    /// When a push went out by any of its addresses.
    pub(super) fn push_sent_at(&self, push: PushKey) -> Option<(Instant, u32)> {
        let is_it = |entry: &&InFlight| matches!(&entry.load, Load::Push(sent) if sent.push == push);
        self.inflight.iter().find(is_it).map(InFlight::sent)
    }

    /// When a dispatch went out on this connection that is not answered, and how often in all.
    pub(super) fn sent_at(&self, binding: BindingId, id: DispatchId) -> Option<(Instant, u32)> {
        let is_it = |entry: &&InFlight| entry.load.push() == Some((binding, id));
        self.inflight.iter().find(is_it).map(InFlight::sent)
    }

    /// Whether this very dispatch is under way on this connection.
    pub(super) fn has(&self, binding: BindingId, seq: Seq) -> bool {
        self.inflight
            .iter()
            .any(|entry| matches!(&entry.load, Load::Push(sent) if sent.binding == binding && sent.id.seq == seq))
    }

    /// When the oldest that is still unanswered was sent. Those that are set aside (`aside`) keep nobody waiting but where
    /// nothing else is under way.
    pub(super) fn oldest(&self, aside: impl Fn(&Sent) -> bool) -> Option<Instant> {
        let waits = |entry: &&InFlight| !matches!(&entry.load, Load::Push(sent) if aside(sent));
        self.inflight.iter().find(waits).or(self.inflight.front()).map(|entry| entry.since)
    }

    /// Messages between terminals that were under way when the last connection ended.
    pub(super) fn resumed_messages(&self) -> Vec<Arc<OpenMessage>> {
        let open = self.resumed.iter().filter_map(|(_, load)| match load {
            Load::Open { message, .. } => Some(Arc::clone(message)),
            Load::Push(_) => None,
        });
        open.collect()
    }

    /// The connection has ended by itself. A message between terminals that, alone under way, has ended so many connections is
    /// dropped; answers whether one was.
    pub(super) fn drop_poison(&mut self, limit: u32) -> bool {
        let [InFlight { load: Load::Open { ended, .. }, .. }] = self.inflight.make_contiguous() else { return false };
        *ended += 1;
        let poison = *ended >= limit;
        if poison {
            self.inflight.clear();
        }
        poison
    }

    /// What the next connection of this session will need.
    pub(super) fn into_resume(self) -> Vec<(u16, Load)> {
        let unanswered = self.inflight.into_iter().map(|entry| (entry.id, entry.load));
        unanswered.chain(self.resumed).collect()
    }
}

fn same(a: &Load, b: &Load) -> bool {
    match (a, b) {
        (Load::Push(a), Load::Push(b)) => a.binding == b.binding && a.id == b.id,
        (Load::Open { message: a, .. }, Load::Open { message: b, .. }) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(seq: i64) -> Load {
        of(1, seq)
    }

    fn of(binding: BindingId, seq: i64) -> Load {
        let id = DispatchId { flow: binding, seq: Seq(seq) };
        Load::Push(Sent { binding, id, push: seq, shared: false, size: 1, since: 0, times: 1 })
    }

    #[test]
    fn ids_are_not_used_twice_at_once_and_never_zero() {
        let mut window = Window::new(4, vec![(2, push(99))]);
        window.last_id = u16::MAX - 1;
        let now = Instant::now();
        let ids: Vec<u16> = (1..=4).map(|seq| window.open(push(seq), now).0).collect();
        assert_eq!(ids, [u16::MAX, 1, 3, 4], "2 belongs to what was under way before");
        assert!(!window.has_room());
        assert!(window.close(1).is_some());
        assert!(window.close(1).is_none());
        assert_eq!(window.room(), 1);
    }

    #[test]
    fn after_a_connection_that_ended_with_pushes_unanswered_nobody_could_tell_which_one_ended_it() {
        let mut window = Window::new(6, vec![]).carefully();
        let now = Instant::now();
        let mut limits = Vec::new();
        for seq in 1..=4 {
            limits.push(window.room());
            let (id, _) = window.open(push(seq), now);
            assert!(window.unanswered().next().is_some_and(|sent| sent.id.seq == Seq(seq)));
            assert!(window.close(id).is_some());
        }
        assert_eq!((limits, window.room()), (vec![1, 2, 4, 6], 6));
    }

    #[test]
    fn one_push_that_was_never_answered_kept_the_window_at_one() {
        let mut window = Window::new(6, vec![]).carefully();
        let begin = Instant::now();
        let mut limits = Vec::new();
        for seq in 1..=5 {
            let now = begin + STAYS * (seq - 1);
            window.widen(now);
            limits.push(window.limit);
            while window.has_room() {
                window.open(push(i64::from(seq)), now);
            }
            assert!(!window.widen(now + STAYS / 2), "it may still be ended by that");
        }
        assert_eq!(limits, [1, 2, 4, 6, 6]);
    }

    #[test]
    fn rule_20_a_push_that_is_overtaken_for_long_is_overdue() {
        let mut window = Window::new(20, vec![]);
        let now = Instant::now();
        let ids: Vec<u16> = (1..=9).map(|seq| window.open(push(seq), now).0).collect();
        for id in &ids[1..8] {
            window.close(*id);
        }
        assert_eq!(window.overdue(now + OVERDUE).count(), 0, "seven are not enough");
        window.close(ids[8]);
        assert_eq!(window.overdue(now + OVERDUE / 2).count(), 0);
        assert_eq!(window.overdue(now + OVERDUE).map(|sent| sent.id.seq).collect::<Vec<_>>(), [Seq(1)]);
        assert!(window.alone().is_some_and(|sent| sent.id.seq == Seq(1)));
        // A healthy connection was ended because of what was set aside.
        window.open(push(10), now + OVERDUE);
        assert_eq!(window.oldest(|sent| sent.id.seq == Seq(1)), Some(now + OVERDUE));
        window.close(ids[0]);
    }

    #[test]
    fn rule_20_what_is_tried_again_waits_for_a_moment_without_anything_else_and_not_for_ever() {
        let mut window = Window::new(3, vec![]);
        let now = Instant::now();
        let (id, _) = window.open(push(1), now);
        window.drain(now);
        assert!(!window.has_room() && !window.widen(now + STAYS / 2));
        window.close(id);
        assert!(window.is_empty() && !window.has_room());
        window.slow_down();
        assert_eq!(window.room(), 1);
        window.open(push(2), now);
        window.drain(now);
        assert!(window.widen(now + STAYS), "others have waited long enough");
    }

    #[test]
    fn what_was_under_way_goes_out_again_under_its_id() {
        let mut window = Window::new(4, vec![]);
        let now = Instant::now();
        assert_eq!(window.open(push(7), now), (1, false));
        assert_eq!(window.open(push(8), now), (2, false));
        window.close(1);
        let mut window = Window::new(4, window.into_resume());
        assert_eq!(window.open(push(8), now), (2, true));
        assert_eq!(window.open(push(9), now), (1, false));
    }

    #[test]
    fn a_message_between_terminals_that_ends_one_connection_after_the_other_is_dropped() {
        let properties = crate::broker::OpenProperties::default();
        let message = OpenMessage { topic: "t".into(), qos: 1, client: "c".into(), payload: "x".into(), properties };
        let message = Arc::new(message);
        let mut resumed = Vec::new();
        let mut dropped = Vec::new();
        for _ in 0..3 {
            let mut window = Window::new(4, std::mem::take(&mut resumed));
            window.open(Load::Open { message: Arc::clone(&message), ended: 0 }, Instant::now());
            dropped.push(window.drop_poison(3));
            resumed = window.into_resume();
        }
        assert_eq!((dropped, resumed.len()), (vec![false, false, true], 0));
        // Not alone: nobody knows which it was.
        let mut window = Window::new(4, vec![]);
        window.open(push(1), Instant::now());
        window.open(Load::Open { message, ended: 2 }, Instant::now());
        assert!(!window.drop_poison(3));
    }

    #[test]
    fn what_was_under_way_keeps_its_order_across_bindings() {
        let resumed = [of(1, 1), of(1, 2), of(2, 3), of(1, 4)];
        let mut window = Window::new(8, (1..).zip(resumed.clone()).collect());
        let mut order = Vec::new();
        for load in resumed {
            order.extend(window.next_resumed(|_, _| false));
            window.open(load, Instant::now());
        }
        assert_eq!(order, [(1, 2), (1, 1), (2, 1), (1, 1)]);
        assert_eq!(window.next_resumed(|_, _| false), None);
    }
}
