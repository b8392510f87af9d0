//! One at a time: a user's joins, leaves and arrivals wait for each other until the workers have confirmed the last
//! (docs/ledger.md, rule 14).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

use crate::ids::UserId;

/// One user's lock, with how many have it or wait for it.
#[derive(Debug, Default)]
struct Lock {
    turn: Arc<tokio::sync::Mutex<()>>,
    crowd: AtomicUsize,
}

/// A user's turn; it ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    _turn: OwnedMutexGuard<()>,
    _place: Place,
}

/// One of those who have the lock or wait for it.
#[derive(Debug)]
struct Place(Arc<Lock>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.crowd.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
pub(super) struct UserLocks {
    held: Mutex<HashMap<UserId, Weak<Lock>>>,
}

impl UserLocks {
    /// Several users at once. Nobody waits for another user who holds one already, but for those who come here, and they
    /// all wait in the same order.
    pub(super) async fn lock_all(&self, mut users: Vec<UserId>) -> Vec<Turn> {
        users.sort_unstable();
        users.dedup();
        let mut held = Vec::with_capacity(users.len());
        for user in &users {
            held.push(self.lock(user).await);
        }
        held
    }

    pub(super) async fn lock(&self, user: &UserId) -> Turn {
        let lock = self.of(user);
        lock.crowd.fetch_add(1, Ordering::Relaxed);
        let place = Place(lock);
        let turn = Arc::clone(&place.0.turn).lock_owned().await;
        Turn { _turn: turn, _place: place }
    }

    /// The same, unless so many have it or wait for it already.
    pub(super) async fn lock_unless_crowded(&self, user: &UserId, crowd: usize) -> Option<Turn> {
        if self.of(user).crowd.load(Ordering::Relaxed) > crowd {
            return None;
        }
        Some(self.lock(user).await)
    }

    fn of(&self, user: &UserId) -> Arc<Lock> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() > 1024 && held.len() == held.capacity() {
            held.retain(|_, lock| lock.strong_count() > 0);
        }
        let known = held.get(user).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let fresh = Arc::new(Lock::default());
            held.insert(user.clone(), Arc::downgrade(&fresh));
            fresh
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_user_waits_for_itself_and_for_nobody_else() {
        let locks = UserLocks::default();
        let (a, b) = (UserId::parse("a").unwrap(), UserId::parse("b").unwrap());
        let first = locks.lock(&a).await;
        let _other = locks.lock(&b).await;
        assert!(futures_pending(locks.lock(&a)).await);
        drop(first);
        let _second = locks.lock(&a).await;
    }

    #[tokio::test]
    async fn a_storm_of_one_user_stood_in_a_queue_without_end() {
        let locks = UserLocks::default();
        let user = UserId::parse("a").unwrap();
        let held = locks.lock_unless_crowded(&user, 1).await.unwrap();
        let mut waiting = std::pin::pin!(locks.lock_unless_crowded(&user, 1));
        assert!(futures_pending(waiting.as_mut()).await);
        assert!(locks.lock_unless_crowded(&user, 1).await.is_none(), "one has it and one waits");
        drop(held);
        assert!(waiting.await.is_some());
        assert!(locks.lock_unless_crowded(&user, 1).await.is_some(), "all are gone");
    }

    #[tokio::test]
    async fn who_waits_for_several_waits_for_each_and_only_once() {
        let locks = UserLocks::default();
        let [a, b, c] = ["a", "b", "c"].map(|name| UserId::parse(name).unwrap());
        let held = locks.lock_all(vec![b.clone(), a.clone(), b.clone()]).await;
        assert_eq!(held.len(), 2);
        assert!(futures_pending(locks.lock(&a)).await);
        assert!(futures_pending(locks.lock_all(vec![c.clone(), b.clone()])).await);
        let _free = locks.lock(&c).await;
        drop(held);
        let _again = locks.lock_all(vec![a, b]).await;
    }

    async fn futures_pending<F: Future>(future: F) -> bool {
        tokio::time::timeout(std::time::Duration::from_millis(20), future).await.is_err()
    }
}
