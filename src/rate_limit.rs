//! How often somebody may do something: a bucket for each, filled at a rate, emptied by what he does. It holds what comes in one
//! window, so that short bursts pass.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Those who are told apart in each of two generations; beyond it the older one is forgotten. So nobody is kept out because many
/// others came, and no look walks through all of them.
const REMEMBERED: usize = 10_000;

/// One bucket.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    left: f64,
    since: Instant,
}

/// So much in so long.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub most: u32,
    pub window: Duration,
}

impl Rate {
    /// How much is in the bucket now.
    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let passed = now.duration_since(bucket.since).as_secs_f64() / self.window.as_secs_f64();
        (bucket.left + passed * f64::from(self.most)).min(f64::from(self.most))
    }

    /// Takes one from a bucket; an error is how long it takes until there is one again.
    pub fn take(&self, bucket: &mut Option<Bucket>, now: Instant) -> Result<(), Duration> {
        let left = bucket.map_or(f64::from(self.most), |bucket| self.filled(&bucket, now));
        if left < 1.0 {
            *bucket = Some(Bucket { left, since: now });
            return Err(self.window.mul_f64((1.0 - left) / f64::from(self.most.max(1))));
        }
        *bucket = Some(Bucket { left: left - 1.0, since: now });
        Ok(())
    }
}

/// Buckets by whose they are. The rate comes with each question: it may have changed since the last one.
#[derive(Debug)]
pub struct RateLimits<K> {
    known: Mutex<Generations<K>>,
}

#[derive(Debug)]
struct Generations<K> {
    young: HashMap<K, Option<Bucket>>,
    old: HashMap<K, Option<Bucket>>,
}

impl<K> Default for RateLimits<K> {
    fn default() -> Self {
        Self { known: Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() }) }
    }
}

impl<K: Hash + Eq> RateLimits<K> {
    /// One more of this one's; an error is how long he should wait.
    pub fn pass(&self, rate: Rate, key: K) -> Result<(), Duration> {
        self.pass_at(rate, key, Instant::now())
    }

    fn pass_at(&self, rate: Rate, key: K, now: Instant) -> Result<(), Duration> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { young, old } = &mut *known;
        if let Some(bucket) = young.get_mut(&key) {
            return rate.take(bucket, now);
        }
        let mut bucket = old.remove(&key).flatten();
        if young.len() >= REMEMBERED {
            *old = std::mem::take(young);
        }
        let taken = rate.take(&mut bucket, now);
        young.insert(key, bucket);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { most: 10, window: Duration::from_secs(1) };

    #[test]
    fn a_burst_passes_and_then_so_many_a_second() {
        let limits = RateLimits::default();
        let begin = Instant::now();
        let passed = (0..15).filter(|_| limits.pass_at(RATE, "a", begin).is_ok()).count();
        assert_eq!(passed, 10);
        assert_eq!(limits.pass_at(RATE, "a", begin), Err(Duration::from_millis(100)));
        assert_eq!(limits.pass_at(RATE, "b", begin), Ok(()), "another one");
        let later = begin + Duration::from_millis(250);
        let passed = (0..15).filter(|_| limits.pass_at(RATE, "a", later).is_ok()).count();
        assert_eq!(passed, 2);
    }

    #[test]
    fn however_many_come_newcomers_pass_and_so_many_are_remembered() {
        let limits = RateLimits::default();
        let begin = Instant::now();
        (0..10).for_each(|_| assert_eq!(limits.pass_at(RATE, 0, begin), Ok(())));
        // As many as one generation holds: the first one is not forgotten.
        (1..=REMEMBERED).for_each(|one| assert_eq!(limits.pass_at(RATE, one, begin), Ok(())));
        assert!(limits.pass_at(RATE, 0, begin).is_err());
        (0..5 * REMEMBERED).for_each(|one| assert_eq!(limits.pass_at(RATE, 1_000_000 + one, begin), Ok(())));
        let known = limits.known.lock().unwrap();
        assert!(known.young.len() + known.old.len() <= 2 * REMEMBERED);
    }
}
