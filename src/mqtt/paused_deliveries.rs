//! What is not sent although it is owed: dispatches that were cancelled while they may still be on their way here, and
//! dispatches whose replacement is being decided (docs/ledger.md, rules 17 and 19).

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::parcel::Seq;

/// A publish or a fetch that began before a cancel has long arrived by then.
const REVOKED: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct Withheld {
    /// Cancelled, and until when one is believed to be on its way.
    revoked: RefCell<HashMap<Seq, Instant>>,
    /// Held back, and by how many replacements.
    held_back: RefCell<HashMap<Seq, usize>>,
    /// Something was let go.
    let_go: Notify,
}

impl Withheld {
    /// Looked at when a frame is written, and not before.
    pub(super) fn is_withheld(&self, seq: Seq) -> bool {
        self.revoked.borrow().contains_key(&seq) || self.is_held_back(seq)
    }

    fn is_held_back(&self, seq: Seq) -> bool {
        self.held_back.borrow().contains_key(&seq)
    }

    pub(super) fn revoke(&self, seqs: &[Seq], now: Instant) {
        self.revoked.borrow_mut().extend(seqs.iter().map(|seq| (*seq, now + REVOKED)));
    }

    /// Forgets what cannot be on its way any more.
    pub(super) fn prune(&self, now: Instant) {
        self.revoked.borrow_mut().retain(|_, until| *until > now);
    }

    pub(super) fn hold_back(&self, seq: Seq) {
        *self.held_back.borrow_mut().entry(seq).or_default() += 1;
    }

    pub(super) fn let_go(&self, seqs: impl IntoIterator<Item = Seq>) {
        let mut held_back = self.held_back.borrow_mut();
        for seq in seqs {
            if let Some(count) = held_back.get_mut(&seq) {
                *count -= 1;
                if *count == 0 {
                    held_back.remove(&seq);
                }
            }
        }
        self.let_go.notify_waiters();
    }

    /// Waits while this one is held back; a matter of one commit.
    pub(super) async fn until_let_go(&self, seq: Seq) {
        while self.is_held_back(seq) {
            self.let_go.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    /// Replacements that overlap without end kept everybody waiting who had come upon one of them.
    #[test]
    fn who_came_upon_one_replacement_waited_for_all_others() {
        let withheld = Withheld::default();
        withheld.hold_back(1);
        withheld.hold_back(2);
        let mut waiting = std::pin::pin!(withheld.until_let_go(1));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        withheld.let_go([1]);
        assert!(waiting.as_mut().poll(&mut context).is_ready());
        assert!(withheld.is_withheld(2) && !withheld.is_withheld(1));
    }

    #[test]
    fn two_replacements_of_one_push_let_it_go_when_both_have() {
        let withheld = Withheld::default();
        withheld.hold_back(1);
        withheld.hold_back(1);
        withheld.let_go([1]);
        assert!(withheld.is_withheld(1));
        withheld.let_go([1, 7]);
        assert!(!withheld.is_withheld(1));
    }

    #[test]
    fn what_was_cancelled_is_forgotten_in_the_end() {
        let withheld = Withheld::default();
        let now = Instant::now();
        withheld.revoke(&[1], now);
        withheld.prune(now + REVOKED / 2);
        assert!(withheld.is_withheld(1));
        withheld.prune(now + REVOKED);
        assert!(!withheld.is_withheld(1));
    }
}
