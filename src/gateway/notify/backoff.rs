//! When a result notification is tried again: after pauses that double, until it is given up.

use std::hash::{BuildHasher as _, RandomState};

use crate::clock::{self, Millis};
use crate::store::Notification;

const FIRST_PAUSE: Millis = 1_000;
const LONGEST_PAUSE: Millis = 3_600_000;

/// When to try again; `None` where that would be too late.
pub(super) fn next_attempt(notification: &Notification, give_up: Millis) -> Option<Millis> {
    let now = clock::now();
    let pause = FIRST_PAUSE.saturating_mul(1 << notification.attempts.min(20)).min(LONGEST_PAUSE);
    // Up to a half longer, so that what failed together is not tried together for ever.
    let jitter = (RandomState::new().hash_one(notification.dispatch) % 512) as Millis * pause / 1_024;
    let next = now + pause + jitter;
    (next - notification.begun_at <= give_up).then_some(next)
}
