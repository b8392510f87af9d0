//! Users of whom every packet is told for a while.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::clock::{self, Millis};

/// Users that are traced at once at most: each costs the whole gateway a little.
const MOST: usize = 100;

#[derive(Debug, Default)]
pub struct Traced {
    /// Whether there may be any: the one thing that is looked at for each packet.
    any: AtomicBool,
    until: RwLock<HashMap<String, Millis>>,
}

impl Traced {
    /// Traces a user until then; `false` where too many are traced already.
    pub fn begin(&self, user: &str, until: Millis) -> bool {
        let now = clock::now();
        let mut all = self.until.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, until| *until > now);
        if all.len() >= MOST && !all.contains_key(user) {
            return false;
        }
        all.insert(user.to_owned(), until);
        self.any.store(true, Ordering::Relaxed);
        true
    }

    /// Answers whether it was traced.
    pub fn end(&self, user: &str) -> bool {
        let mut all = self.until.write().unwrap_or_else(PoisonError::into_inner);
        let was_traced = all.remove(user).is_some();
        self.any.store(!all.is_empty(), Ordering::Relaxed);
        was_traced
    }

    /// Until when a user is traced.
    pub fn until(&self, user: &str) -> Option<Millis> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        let all = self.until.read().unwrap_or_else(PoisonError::into_inner);
        all.get(user).copied().filter(|until| *until > clock::now())
    }

    /// Whether anybody is traced at all; those whose time is up are forgotten.
    #[must_use]
    pub fn is_any(&self) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let now = clock::now();
        let mut all = self.until.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, until| *until > now);
        self.any.store(!all.is_empty(), Ordering::Relaxed);
        !all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_ends_by_itself() {
        let traced = Traced::default();
        assert!(traced.begin("alice", clock::now() + 60_000) && traced.is_any());
        assert!(traced.until("alice").is_some() && traced.until("bob").is_none());
        assert!(traced.begin("alice", clock::now() - 1));
        assert!(traced.until("alice").is_none() && !traced.is_any());
        for user in 0..MOST {
            assert!(traced.begin(&user.to_string(), clock::now() + 60_000));
        }
        assert!(!traced.begin("one more", clock::now() + 60_000));
        assert!(traced.end("1") && !traced.end("1"));
    }
}
