//! One at a time: a user's joins, leaves and arrivals wait for each other until the workers have confirmed the last
//! (docs/ledger.md, rule 14).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

use crate::ids::UserId;

type Lock = tokio::sync::Mutex<()>;

#[derive(Debug, Default)]
pub(super) struct UserLocks {
    held: Mutex<HashMap<UserId, Weak<Lock>>>,
}

impl UserLocks {
    pub(super) async fn lock(&self, user: &UserId) -> OwnedMutexGuard<()> {
        let lock = {
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
        };
        lock.lock_owned().await
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

    async fn futures_pending<F: Future>(future: F) -> bool {
        tokio::time::timeout(std::time::Duration::from_millis(20), future).await.is_err()
    }
}
