//! What is not sent although it is owed: dispatches that were cancelled while they may still be on their way here, and
//! dispatches whose replacement is being decided (docs/ledger.md, rules 17 and 19).

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::feed::Pause;
use crate::parcel::DispatchId;

/// A publish or a fetch that began before a cancel has long arrived by then.
const REVOKED: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct Withheld {
    /// Cancelled, and until when one is believed to be on its way.
    revoked: RefCell<HashMap<DispatchId, Instant>>,
    /// Held back, and by which replacements.
    held_back: RefCell<HashMap<DispatchId, Vec<Arc<Pause>>>>,
    /// Something was let go.
    let_go: Notify,
}

impl Withheld {
    /// Looked at when a frame is written, and not before.
    pub(super) fn is_withheld(&self, id: DispatchId) -> bool {
        self.revoked.borrow().contains_key(&id) || self.is_held_back(id)
    }

    fn is_held_back(&self, id: DispatchId) -> bool {
        self.held_back.borrow().contains_key(&id)
    }

    pub(super) fn revoke(&self, dispatches: &[DispatchId], now: Instant) {
        self.revoked.borrow_mut().extend(dispatches.iter().map(|id| (*id, now + REVOKED)));
    }

    /// Forgets what cannot be on its way any more.
    pub(super) fn prune(&self, now: Instant) {
        self.revoked.borrow_mut().retain(|_, until| *until > now);
    }

    pub(super) fn hold_back(&self, pause: &Arc<Pause>) {
        let mut held_back = self.held_back.borrow_mut();
        for &id in &pause.dispatches {
            held_back.entry(id).or_default().push(Arc::clone(pause));
        }
    }

    /// A pause has ended.
    pub(super) fn let_go(&self) {
        self.held_back.borrow_mut().retain(|_, pauses| {
            pauses.retain(|pause| !pause.is_over());
            !pauses.is_empty()
        });
        self.let_go.notify_waiters();
    }

    /// Waits while this one is held back; a matter of one commit.
    pub(super) async fn until_let_go(&self, id: DispatchId) {
        while self.is_held_back(id) {
            self.let_go.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;
    use crate::parcel::Seq;

    const fn id(seq: i64) -> DispatchId {
        DispatchId { flow: 1, seq: Seq(seq) }
    }

    fn pause(withheld: &Withheld, seq: i64) -> Arc<Pause> {
        let pause = Arc::new(Pause::new(vec![id(seq)]));
        withheld.hold_back(&pause);
        pause
    }

    /// Replacements that overlap without end kept everybody waiting who had come upon one of them.
    #[test]
    fn who_came_upon_one_replacement_waited_for_all_others() {
        let withheld = Withheld::default();
        let first = pause(&withheld, 1);
        let _second = pause(&withheld, 2);
        let mut waiting = std::pin::pin!(withheld.until_let_go(id(1)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        first.end();
        withheld.let_go();
        assert!(waiting.as_mut().poll(&mut context).is_ready());
        assert!(withheld.is_withheld(id(2)) && !withheld.is_withheld(id(1)));
    }

    #[test]
    fn two_replacements_of_one_push_let_it_go_when_both_have() {
        let withheld = Withheld::default();
        let (first, second) = (pause(&withheld, 1), pause(&withheld, 1));
        second.end();
        withheld.let_go();
        assert!(withheld.is_withheld(id(1)));
        first.end();
        withheld.let_go();
        assert!(!withheld.is_withheld(id(1)));
    }

    #[test]
    fn the_same_number_of_another_flow_is_another_dispatch() {
        let withheld = Withheld::default();
        withheld.revoke(&[id(1)], Instant::now());
        assert!(withheld.is_withheld(id(1)));
        assert!(!withheld.is_withheld(DispatchId { flow: 2, seq: Seq(1) }));
    }

    #[test]
    fn what_was_cancelled_is_forgotten_in_the_end() {
        let withheld = Withheld::default();
        let now = Instant::now();
        withheld.revoke(&[id(1)], now);
        withheld.prune(now + REVOKED / 2);
        assert!(withheld.is_withheld(id(1)));
        withheld.prune(now + REVOKED);
        assert!(!withheld.is_withheld(id(1)));
    }
}
