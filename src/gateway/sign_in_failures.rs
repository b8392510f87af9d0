//! Whoever fails to sign in again and again waits longer each time. Others from the same address who show a right token do
//! not: a carrier hides thousands behind one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::client_address::subscriber;

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;
/// The first wait, doubled with each further failure, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// An address without a failure for so long is forgotten.
const MEMORY: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const REMEMBERED: usize = 10_000;
/// Those who wait at a time; more are answered at once.
const WAITING: usize = 1_000;

#[derive(Debug)]
pub(super) struct Failures {
    known: Mutex<HashMap<IpAddr, (u32, Instant)>>,
    waiting: Semaphore,
}

impl Default for Failures {
    fn default() -> Self {
        Self { known: Mutex::default(), waiting: Semaphore::new(WAITING) }
    }
}

impl Failures {
    /// One more failure from here: waits for as long as that costs.
    pub(super) async fn wait(&self, from: IpAddr) {
        let wait = self.note(from, Instant::now());
        if wait.is_zero() {
            return;
        }
        if let Ok(_place) = self.waiting.try_acquire() {
            tokio::time::sleep(wait).await;
        }
    }

    fn note(&self, from: IpAddr, now: Instant) -> Duration {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let from = subscriber(from);
        if known.len() >= REMEMBERED && !known.contains_key(&from) {
            known.retain(|_, (_, last)| now.duration_since(*last) < MEMORY);
            if known.len() >= REMEMBERED {
                // So many addresses at a time are an attack.
                return LONGEST;
            }
        }
        let (count, last) = known.entry(from).or_insert((0, now));
        if now.duration_since(*last) >= MEMORY {
            *count = 0;
        }
        (*count, *last) = (count.saturating_add(1), now);
        match count.checked_sub(FREE + 1) {
            None => Duration::ZERO,
            Some(beyond) => FIRST.saturating_mul(1 << beyond.min(16)).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_with_each_failure_and_is_forgotten() {
        let failures = Failures::default();
        let now = Instant::now();
        let here: IpAddr = [10, 0, 0, 1].into();
        for _ in 0..FREE {
            assert_eq!(failures.note(here, now), Duration::ZERO);
        }
        let waits = [failures.note(here, now), failures.note(here, now), failures.note(here, now)];
        assert_eq!(waits, [100, 200, 400].map(Duration::from_millis));
        (0..20).for_each(|_| assert!(failures.note(here, now) <= LONGEST));
        assert_eq!(failures.note([10, 0, 0, 2].into(), now), Duration::ZERO, "another address");
        assert_eq!(failures.note(here, now + MEMORY), Duration::ZERO);
    }

    #[test]
    fn so_many_addresses_are_remembered() {
        let failures = Failures::default();
        let now = Instant::now();
        for number in 0..REMEMBERED as u32 {
            failures.note(IpAddr::V4(number.into()), now);
        }
        assert_eq!(failures.note([255, 0, 0, 1].into(), now), LONGEST);
        assert_eq!(failures.known.lock().unwrap().len(), REMEMBERED);
        assert_eq!(failures.note([255, 0, 0, 1].into(), now + MEMORY), Duration::ZERO);
    }
}
