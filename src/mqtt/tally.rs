//! What a worker counts of deliveries: by itself, and handed over once in a while, so that a delivery pays next to nothing for
//! it. And packets of clients that are traced.

use std::cell::Cell;
use std::sync::Arc;

use super::session::Session;
use crate::clock::{self, Millis};
use crate::signals::{Event, LocalHistogram, Signals};

#[derive(Debug, Default)]
pub(super) struct Tally {
    signals: Arc<Signals>,
    /// From when a push could be delivered until a member had it.
    member: LocalHistogram,
    delivered: Cell<u64>,
    refused: Cell<u64>,
    too_large: Cell<u64>,
    /// Whether anybody is traced, as it was a moment ago.
    tracing: Cell<bool>,
}

impl Tally {
    pub(super) fn new(signals: Arc<Signals>) -> Self {
        Self { signals, ..Self::default() }
    }

    /// A member has a push that could be delivered since then.
    pub(super) fn delivered(&self, since: Millis) {
        self.delivered.set(self.delivered.get() + 1);
        self.member.observe_millis(clock::now() - since);
    }

    pub(super) fn refused(&self, is_too_large: bool) {
        let count = if is_too_large { &self.too_large } else { &self.refused };
        count.set(count.get() + 1);
    }

    /// Makes known what was counted, and looks whether anybody is traced.
    pub(super) fn hand_over(&self) {
        let metrics = &self.signals.metrics;
        metrics.deliveries.inc_by(self.delivered.take());
        metrics.member_seconds.absorb(&self.member);
        metrics.refused("terminal", self.refused.take());
        metrics.refused("too-large", self.too_large.take());
        self.tracing.set(self.signals.traced.is_any());
    }

    #[inline]
    pub(super) fn is_tracing(&self) -> bool {
        self.tracing.get()
    }

    /// A packet of a client that may be traced.
    #[cold]
    pub(super) fn trace(&self, session: &Session, direction: &'static str, packet: impl FnOnce() -> String) {
        let Some(user) = &session.user else { return };
        if self.signals.traced.until(user.as_str()).is_none() {
            return;
        }
        let (user, client_id) = (user.to_string(), session.client_id.clone());
        self.signals.report(Event::Trace { user, client_id, direction, packet: packet() });
    }
}
