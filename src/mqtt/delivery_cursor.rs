//! One binding as one connection serves it: how far it has been sent, how far it is resolved, and what stands between
//! (docs/ledger.md, rules 5 to 10). Pure.

use std::collections::VecDeque;

use crate::parcel::{BindingId, FlowId, Membership, Seq};
use crate::store::{CursorMove, Exception, ExceptionKind, Settled};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Got,
    /// With the PAP code.
    Refused(u16),
}

impl From<Settled> for Outcome {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Got => Self::Got,
            Settled::Refused { code } => Self::Refused(code),
        }
    }
}

#[derive(Debug)]
struct Entry {
    seq: Seq,
    resolved: bool,
    /// What has to be said of it beside that it is resolved.
    exception: Option<Exception>,
    /// It was resolved while something before it was not, and that has been reported.
    reported: bool,
}

#[derive(Debug)]
pub(super) struct Flow {
    pub(super) flow: FlowId,
    pub(super) binding: BindingId,
    /// Everything up to here has been sent on this connection, or may be left out.
    pub(super) sent: Seq,
    /// Live pushes are not sent: something before them has to be fetched first.
    pub(super) behind: bool,
    /// A live push was dropped since the last fetch began.
    pub(super) dirty: bool,
    /// A SUBSCRIBE at QoS 0 lowers the delivery.
    pub(super) qos0: bool,
    /// What was owed when this connection began: up to here.
    pub(super) begun_at: Seq,
    resolved: Seq,
    reported: Seq,
    /// Sent and not yet part of the resolved prefix, in order.
    open: VecDeque<Entry>,
    exceptions: Vec<Exception>,
}

impl Flow {
    pub(super) fn new(membership: &Membership) -> Self {
        let start = membership.joined.max(membership.acked);
        Self {
            flow: membership.flow,
            binding: membership.binding,
            sent: start,
            behind: false,
            dirty: false,
            qos0: false,
            begun_at: membership.head,
            resolved: start,
            reported: start,
            open: VecDeque::new(),
            exceptions: Vec::new(),
        }
    }

    /// Entries that are not part of the prefix yet.
    pub(super) fn open_entries(&self) -> usize {
        self.open.len()
    }

    /// `seq` is under way.
    pub(super) fn send(&mut self, seq: Seq) {
        self.open.push_back(Entry { seq, resolved: false, exception: None, reported: false });
        self.sent = seq;
    }

    /// Nothing between what was sent last and `upto` will be sent: it expired, or was cancelled or settled elsewhere.
    pub(super) fn skip(&mut self, upto: Seq) {
        if upto <= self.sent {
            return;
        }
        let skipped = Exception { seq: self.sent.next(), kind: ExceptionKind::Skipped { upto } };
        self.open.push_back(Entry { seq: upto, resolved: true, exception: Some(skipped), reported: false });
        self.sent = upto;
        self.advance();
    }

    /// `seq` is set aside: the cursor passes it, and what comes behind it goes on.
    pub(super) fn set_aside(&mut self, seq: Seq) {
        let aside = Some(Exception { seq, kind: ExceptionKind::Aside });
        match self.open.binary_search_by_key(&seq, |entry| entry.seq) {
            Ok(at) => {
                let entry = &mut self.open[at];
                if !entry.resolved {
                    *entry = Entry { seq, resolved: true, exception: aside, reported: false };
                }
            }
            Err(_) if seq > self.sent => {
                self.open.push_back(Entry { seq, resolved: true, exception: aside, reported: false });
                self.sent = seq;
            }
            // The cursor has passed it.
            Err(_) => {}
        }
        self.advance();
    }

    /// `seq` went out, and is over without an answer.
    pub(super) fn step_over(&mut self, seq: Seq) -> bool {
        let Ok(at) = self.open.binary_search_by_key(&seq, |entry| entry.seq) else { return false };
        if self.open[at].resolved {
            return false;
        }
        let skipped = Some(Exception { seq, kind: ExceptionKind::Skipped { upto: seq } });
        self.open[at] = Entry { seq, resolved: true, exception: skipped, reported: false };
        self.advance();
        true
    }

    /// An answer for one that was set aside, wherever the cursor is by now: it is said by name.
    pub(super) fn answer_aside(&mut self, seq: Seq, outcome: Outcome) {
        let kind = match outcome {
            Outcome::Got => ExceptionKind::Got,
            Outcome::Refused(code) => ExceptionKind::Refused { code },
        };
        let answer = Exception { seq, kind };
        match self.open.binary_search_by_key(&seq, |entry| entry.seq) {
            Ok(at) => self.open[at] = Entry { seq, resolved: true, exception: Some(answer), reported: false },
            Err(_) => self.exceptions.push(answer),
        }
        self.advance();
    }

    /// Everything up to here is resolved, or set aside.
    pub(super) fn resolved(&self) -> Seq {
        self.resolved
    }

    /// An answer for `seq`. Answers whether this was news.
    pub(super) fn resolve(&mut self, seq: Seq, outcome: Outcome) -> bool {
        let Ok(at) = self.open.binary_search_by_key(&seq, |entry| entry.seq) else { return false };
        let entry = &mut self.open[at];
        if entry.resolved {
            return false;
        }
        entry.resolved = true;
        if let Outcome::Refused(code) = outcome {
            entry.exception = Some(Exception { seq, kind: ExceptionKind::Refused { code } });
        }
        self.advance();
        true
    }

    /// Sent and not answered.
    pub(super) fn is_open(&self, seq: Seq) -> bool {
        let found = self.open.binary_search_by_key(&seq, |entry| entry.seq);
        found.is_ok_and(|at| !self.open[at].resolved)
    }

    fn advance(&mut self) {
        while self.open.front().is_some_and(|entry| entry.resolved) {
            if let Some(entry) = self.open.pop_front() {
                self.resolved = entry.seq;
                // Also if it was reported before: what the cursor passes without a word counts as got.
                self.exceptions.extend(entry.exception);
            }
        }
    }

    /// What there is to write down since the last time.
    pub(super) fn take_move(&mut self) -> Option<CursorMove> {
        let mut exceptions = std::mem::take(&mut self.exceptions);
        for entry in self.open.iter_mut().filter(|entry| entry.resolved && !entry.reported) {
            entry.reported = true;
            exceptions.push(entry.exception.unwrap_or(Exception { seq: entry.seq, kind: ExceptionKind::Got }));
        }
        if self.resolved == self.reported && exceptions.is_empty() {
            return None;
        }
        let from = std::mem::replace(&mut self.reported, self.resolved);
        Some(CursorMove { binding: self.binding, from, upto: self.resolved, exceptions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{GroupId, Target};

    fn flow() -> Flow {
        let target = Target::Group(GroupId::parse("g").unwrap());
        Flow::new(&Membership { binding: 1, flow: 2, target, joined: Seq(3), acked: Seq(5), head: Seq(5) })
    }

    fn moved(flow: &mut Flow) -> Option<(Seq, Vec<Exception>)> {
        flow.take_move().map(|cursor| (cursor.upto, cursor.exceptions))
    }

    #[test]
    fn rule_7_the_cursor_moves_over_the_resolved_prefix_only() {
        let mut flow = flow();
        flow.send(Seq(6));
        flow.send(Seq(7));
        flow.send(Seq(9));
        assert!(flow.resolve(Seq(6), Outcome::Got));
        assert!(!flow.resolve(Seq(6), Outcome::Got), "twice is no news");
        assert_eq!(moved(&mut flow), Some((Seq(6), vec![])));
        assert_eq!(moved(&mut flow), None);
        flow.resolve(Seq(7), Outcome::Got);
        flow.resolve(Seq(9), Outcome::Got);
        assert_eq!(flow.take_move(), Some(CursorMove { binding: 1, from: Seq(6), upto: Seq(9), exceptions: vec![] }));
        assert_eq!(flow.open_entries(), 0);
    }

    #[test]
    fn rule_8_an_acknowledgement_above_a_hole_is_reported_once() {
        let mut flow = flow();
        flow.send(Seq(6));
        flow.send(Seq(7));
        flow.resolve(Seq(7), Outcome::Got);
        let got = Exception { seq: Seq(7), kind: ExceptionKind::Got };
        assert_eq!(moved(&mut flow), Some((Seq(5), vec![got])));
        assert_eq!(moved(&mut flow), None);
        flow.resolve(Seq(6), Outcome::Got);
        assert_eq!(moved(&mut flow), Some((Seq(7), vec![])));
    }

    #[test]
    fn rule_5_what_was_stepped_over_is_said() {
        let mut flow = flow();
        flow.skip(Seq(8));
        flow.send(Seq(9));
        let skipped = Exception { seq: Seq(6), kind: ExceptionKind::Skipped { upto: Seq(8) } };
        assert_eq!(moved(&mut flow), Some((Seq(8), vec![skipped])));
        flow.resolve(Seq(9), Outcome::Got);
        flow.skip(Seq(9));
        assert_eq!(moved(&mut flow), Some((Seq(9), vec![])), "nothing lies between");
    }

    #[test]
    fn what_was_refused_above_a_hole_is_said_again_when_the_cursor_passes_it() {
        let mut flow = flow();
        flow.send(Seq(6));
        flow.send(Seq(7));
        flow.resolve(Seq(7), Outcome::Refused(5238));
        let refused = Exception { seq: Seq(7), kind: ExceptionKind::Refused { code: 5238 } };
        assert_eq!(moved(&mut flow), Some((Seq(5), vec![refused])));
        assert_eq!(moved(&mut flow), None);
        flow.resolve(Seq(6), Outcome::Got);
        assert_eq!(moved(&mut flow), Some((Seq(7), vec![refused])));
    }

    #[test]
    fn rule_20_the_cursor_passes_what_is_set_aside_and_says_so() {
        let mut flow = flow();
        flow.send(Seq(6));
        flow.send(Seq(7));
        flow.resolve(Seq(7), Outcome::Got);
        flow.set_aside(Seq(6));
        let aside = Exception { seq: Seq(6), kind: ExceptionKind::Aside };
        assert_eq!(moved(&mut flow), Some((Seq(7), vec![aside])));
        // Its acknowledgement comes late.
        flow.answer_aside(Seq(6), Outcome::Got);
        let got = Exception { seq: Seq(6), kind: ExceptionKind::Got };
        assert_eq!(moved(&mut flow), Some((Seq(7), vec![got])));
        // One that was set aside by a connection before this one is passed over.
        flow.set_aside(Seq(8));
        assert_eq!((flow.sent, flow.resolved(), flow.open_entries()), (Seq(8), Seq(8), 0));
    }

    #[test]
    fn rule_6_a_refusal_is_an_exception() {
        let mut flow = flow();
        flow.send(Seq(6));
        flow.resolve(Seq(6), Outcome::Refused(5238));
        let refused = Exception { seq: Seq(6), kind: ExceptionKind::Refused { code: 5238 } };
        assert_eq!(moved(&mut flow), Some((Seq(6), vec![refused])));
    }
}
