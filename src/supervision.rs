//! Which parts of the process live. Every thread and every task that must not end is a part; one that ends without being
//! told to, by a panic too, is noticed at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

/// The parts of one process; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Whether each part lives.
    parts: Mutex<BTreeMap<String, bool>>,
    /// The part that ended first.
    first: OnceLock<String>,
    ended: Notify,
    stopping: AtomicBool,
}

impl Inner {
    fn parts(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by a part for as long as it lives.
#[derive(Debug)]
pub struct Part {
    health: Health,
    name: String,
}

impl Health {
    /// A part begins.
    #[must_use]
    pub fn part(&self, name: impl Into<String>) -> Part {
        let name = name.into();
        self.inner.parts().insert(name.clone(), true);
        Part { health: self.clone(), name }
    }

    /// From here on parts may end.
    pub fn stopping(&self) {
        self.inner.stopping.store(true, Ordering::Release);
    }

    /// Each part, and whether it lives.
    #[must_use]
    pub fn parts(&self) -> Vec<(String, bool)> {
        self.inner.parts().iter().map(|(name, lives)| (name.clone(), *lives)).collect()
    }

    /// Waits until a part has ended that should not have; answers its name.
    pub async fn first_end(&self) -> String {
        loop {
            let ended = self.inner.ended.notified();
            if let Some(name) = self.inner.first.get() {
                return name.clone();
            }
            ended.await;
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let inner = &self.health.inner;
        if !inner.stopping.load(Ordering::Acquire) {
            let name = std::mem::take(&mut self.name);
            inner.parts().insert(name.clone(), false);
            // What depends on it follows; it is not the cause.
            let _ = inner.first.set(name);
            inner.ended.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_thread_was_not_noticed() {
        let health = Health::default();
        let lasting = health.part("lasting");
        let part = health.part("brief");
        let thread = std::thread::spawn(move || {
            let _part = part;
            std::panic::resume_unwind(Box::new("a fault"));
        });
        assert!(thread.join().is_err());
        assert_eq!(health.first_end().await, "brief");
        assert_eq!(health.parts(), [("brief".to_owned(), false), ("lasting".to_owned(), true)]);
        health.stopping();
        drop(lasting);
        assert!(health.parts()[1].1, "it was told to end");
    }
}
