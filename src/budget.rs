//! A number of bytes that many may hold together: what would go beyond it is refused to whoever asks last.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What may be held; clones share it.
#[derive(Debug, Clone)]
pub struct Budget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    held: AtomicUsize,
    most: AtomicUsize,
}

/// A part of a budget; given back when dropped.
#[derive(Debug)]
pub struct Held {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { inner: Arc::new(Inner { held: AtomicUsize::new(0), most: AtomicUsize::new(most) }) }
    }

    /// From now on so many may be held; what is held already stays.
    pub fn set_most(&self, most: usize) {
        self.inner.most.store(most, Ordering::Relaxed);
    }

    /// Nothing yet; see [`Held::resize`].
    #[must_use]
    pub fn hold(&self) -> Held {
        Held { budget: self.clone(), bytes: 0 }
    }

    /// Bytes that are held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.inner.held.load(Ordering::Relaxed)
    }
}

impl Held {
    /// Holds so many bytes from now on. `false`: that is too much, and it holds what it held before.
    #[must_use]
    pub fn resize(&mut self, bytes: usize) -> bool {
        let inner = &self.budget.inner;
        if bytes == self.bytes {
            return true;
        }
        if bytes < self.bytes {
            inner.held.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            self.bytes = bytes;
            return true;
        }
        let more = bytes - self.bytes;
        let before = inner.held.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > inner.most.load(Ordering::Relaxed) {
            inner.held.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.inner.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_may_be_held_again() {
        let budget = Budget::new(10);
        let (mut one, mut two) = (budget.hold(), budget.hold());
        assert!(one.resize(7) && !two.resize(4) && two.resize(3));
        assert_eq!(budget.held(), 10);
        assert!(one.resize(2) && two.resize(8));
        drop(one);
        drop(two);
        assert_eq!(budget.held(), 0);
    }
}
