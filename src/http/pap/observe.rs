//! What an operator sees of requests: counters, one log line for each sender and kind of repair, and some lines for each
//! sender and kind of refusal, so that it is known who sends what and nobody's log fills up.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::kept_documents::KeptDocuments;
use super::repair_log::RepairLog;
use crate::http::remote::Remote;
use crate::pap::fragment::mask_user_info;
use crate::pap::repair::{Repair, Repairs};
use crate::signals::{Event, PapRepair, Signals, Submission};

/// Kinds of repairs that are remembered as logged; beyond it every one counts as logged. As many kinds of refusals are
/// remembered with their counts.
const REMEMBERED: usize = 10_000;
/// So many refusals of one kind from one sender are logged in one [`WINDOW`]; the others are counted.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Characters of a reason.
const REASON: usize = 500;

/// Who sent a request, and where to.
#[derive(Debug)]
pub(in crate::http) struct Sender<'a> {
    pub(in crate::http) initiator: &'a str,
    pub(in crate::http) endpoint: &'a str,
    /// Tells initiators apart that need not say who they are.
    pub(in crate::http) remote: Option<Remote>,
    /// The name of the request.
    pub(in crate::http) request: Option<&'a str>,
}

/// What is logged once.
type Logged = (String, Option<IpAddr>, Repair);

/// What is logged some times in a while: sender, operation, code and what happened.
type Refusal = (String, Option<IpAddr>, &'static str, u16, &'static str);

/// Lines of one kind.
#[derive(Debug)]
struct Lines {
    since: Instant,
    logged: u32,
    /// Those that were not, since the last one that was.
    left_out: u64,
}

#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Observer {
    pub(in crate::http) signals: Arc<Signals>,
    pub(in crate::http) documents: Arc<KeptDocuments>,
    pub(in crate::http) repair_log: Arc<RepairLog>,
    logged: Arc<Mutex<HashSet<Logged>>>,
    refusals: Arc<Mutex<Refusals>>,
}

#[derive(Debug, Default)]
struct Refusals {
    kinds: HashMap<Refusal, Lines>,
}

impl Refusals {
    /// Whether this one is logged; then with how many were not before it.
    fn count(&mut self, kind: Refusal, now: Instant) -> Option<u64> {
        if self.kinds.len() >= REMEMBERED && !self.kinds.contains_key(&kind) {
            self.kinds.retain(|_, lines| now.duration_since(lines.since) < WINDOW);
            if self.kinds.len() >= REMEMBERED {
                // So many senders at a time are an attack; /metrics counts them.
                return None;
            }
        }
        let lines = self.kinds.entry(kind).or_insert(Lines { since: now, logged: 0, left_out: 0 });
        if now.duration_since(lines.since) >= WINDOW {
            (lines.since, lines.logged) = (now, 0);
        }
        if lines.logged >= LINES {
            lines.left_out += 1;
            return None;
        }
        lines.logged += 1;
        Some(std::mem::take(&mut lines.left_out))
    }
}

impl Observer {
    pub(in crate::http) fn new(signals: Arc<Signals>) -> Self {
        Self { signals, ..Self::default() }
    }

    /// A request was answered; `interface` is `pap` or `json`.
    pub(in crate::http) fn request(&self, interface: &'static str, operation: &'static str, code: u16) {
        self.signals.metrics.submissions.get_or_create(&Submission { interface, operation, code }).inc();
    }

    pub(super) fn repairs(&self, sender: &Sender<'_>, repairs: &Repairs) {
        for repair in repairs.as_slice() {
            let remote = sender.remote.map(|remote| remote.address.ip());
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            // In mode `open` anybody may invent names.
            let initiator = if logged.len() < REMEMBERED { sender.initiator } else { "others" };
            let label = PapRepair { initiator: initiator.to_owned(), row: repair.row() };
            self.signals.metrics.pap_repairs.get_or_create(&label).inc();
            self.repair_log.note(initiator, *repair);
            if logged.len() < REMEMBERED && logged.insert((sender.initiator.to_owned(), remote, *repair)) {
                let unknown = repairs.unknown();
                tracing::info!(
                    initiator = sender.initiator,
                    remote = remote.map(tracing::field::display),
                    endpoint = sender.endpoint,
                    row = repair.row(),
                    unknown = (*repair == Repair::Unknown && !unknown.is_empty()).then_some(tracing::field::debug(unknown)),
                    %repair,
                    "a malformed PAP request was accepted; further ones like it are only counted"
                );
            }
        }
    }

    /// Something was refused: one line that says who sent it and why it was.
    pub(in crate::http) fn refused(&self, sender: &Sender<'_>, operation: &'static str, code: u16, reason: &str) {
        self.tell(sender, operation, code, reason, "a request was refused");
        let what = if operation.starts_with("cancel") { "cancel" } else { "push" };
        self.signals.report(Event::Refused {
            what,
            who: sender.initiator.to_owned(),
            user: None,
            push_id: None,
            code: code.to_string(),
            desc: mask_user_info(reason).chars().take(REASON).collect(),
            request: sender.request.map(ToOwned::to_owned),
        });
    }

    /// Something was taken, but not for all its addresses.
    pub(super) fn left_out(&self, sender: &Sender<'_>, operation: &'static str, code: u16, reason: &str) {
        self.tell(sender, operation, code, reason, "a push was accepted without some of its addresses");
    }

    fn tell(&self, sender: &Sender<'_>, operation: &'static str, code: u16, reason: &str, what: &'static str) {
        let remote = sender.remote.map(|remote| remote.address.ip());
        let kind = (sender.initiator.to_owned(), remote, operation, code, what);
        let counted = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).count(kind, Instant::now());
        let Some(left_out) = counted else { return };
        let reason: String = mask_user_info(reason).chars().take(REASON).collect();
        tracing::info!(
            initiator = sender.initiator,
            remote = remote.map(tracing::field::display),
            endpoint = sender.endpoint,
            operation,
            code,
            request = sender.request,
            reason = reason.as_str(),
            not_logged = (left_out > 0).then_some(left_out),
            "{what}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_one_kind_are_logged_some_times_and_then_counted() {
        let mut refusals = Refusals::default();
        let kind = |code: u16| ("a".to_owned(), None, "push-message", code, "a request was refused");
        let begin = Instant::now();
        for _ in 0..LINES {
            assert_eq!(refusals.count(kind(2002), begin), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(refusals.count(kind(2002), begin), None);
        }
        assert_eq!(refusals.count(kind(2007), begin), Some(0), "another kind");
        assert_eq!(refusals.count(kind(2002), begin + WINDOW), Some(7));
        assert_eq!(refusals.count(kind(2002), begin + WINDOW), Some(0));
    }

    #[test]
    fn however_many_send_nonsense_so_many_are_remembered() {
        let mut refusals = Refusals::default();
        let kind = |number: usize| (number.to_string(), None, "push-message", 2000, "a request was refused");
        let begin = Instant::now();
        for number in 0..REMEMBERED {
            assert_eq!(refusals.count(kind(number), begin), Some(0));
        }
        assert_eq!(refusals.count(kind(REMEMBERED), begin), None);
        assert_eq!(refusals.kinds.len(), REMEMBERED);
        assert_eq!(refusals.count(kind(REMEMBERED), begin + WINDOW), Some(0));
        assert_eq!(refusals.kinds.len(), 1);
    }
}
