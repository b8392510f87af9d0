//! Sessions of the console. They are kept in memory, by the hash of what the cookie says, and name the token that they were begun
//! with: where that works no more, neither does the session.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::token::{Hash, NoRandom, digest, random_text};

/// How long one lasts.
pub(in crate::http) const LASTS: Duration = Duration::from_secs(12 * 3_600);
/// Sessions at a time, in all and of one token; a new one takes the place of the oldest.
const MOST: usize = 1_000;
const OF_ONE: usize = 20;

/// A session that lives.
#[derive(Clone)]
pub(in crate::http) struct Session {
    /// Which token it was begun with.
    pub(in crate::http) credential: Hash,
    /// What has to come with whatever changes something.
    pub(in crate::http) csrf: String,
    since: Instant,
}

/// Without the secret.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("since", &self.since).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
pub(in crate::http) struct Sessions {
    known: Mutex<HashMap<Hash, Session>>,
}

impl Sessions {
    fn known(&self) -> MutexGuard<'_, HashMap<Hash, Session>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the cookie says from now on, and the second secret.
    pub(super) fn begin(&self, credential: Hash) -> Result<(String, String), NoRandom> {
        let (id, csrf) = (random_text()?, random_text()?);
        let now = Instant::now();
        let mut known = self.known();
        known.retain(|_, session| now.duration_since(session.since) < LASTS);
        let its = |session: &Session| session.credential == credential;
        let full = known.len() >= MOST;
        if full || known.values().filter(|session| its(session)).count() >= OF_ONE {
            // Nobody signs others out as long as there is one of his own to go.
            let of_its = known.iter().filter(|(_, session)| its(session)).min_by_key(|(_, session)| session.since);
            let oldest = of_its.or_else(|| known.iter().min_by_key(|(_, session)| session.since)).map(|(id, _)| *id);
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        known.insert(digest(id.as_bytes()), Session { credential, csrf: csrf.clone(), since: now });
        Ok((id, csrf))
    }

    pub(in crate::http) fn find(&self, id: &str) -> Option<Session> {
        let session = self.known().get(&digest(id.as_bytes())).cloned();
        session.filter(|session| session.since.elapsed() < LASTS)
    }

    pub(super) fn end(&self, id: &str) {
        self.known().remove(&digest(id.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_sessions_live_at_a_time_and_the_oldest_goes() {
        let sessions = Sessions::default();
        let (first, csrf) = sessions.begin([1; 32]).unwrap();
        assert_eq!(sessions.find(&first).unwrap().csrf, csrf);
        assert!(sessions.find("guess").is_none());
        // Another token's sessions take each other's places.
        for _ in 0..2 * OF_ONE {
            sessions.begin([2; 32]).unwrap();
        }
        assert!(sessions.find(&first).is_some());
        assert_eq!(sessions.known().len(), 1 + OF_ONE);
        for number in 0..MOST {
            let mut credential = [3; 32];
            credential[..8].copy_from_slice(&number.to_be_bytes());
            sessions.begin(credential).unwrap();
        }
        assert!(sessions.find(&first).is_none());
        assert_eq!(sessions.known().len(), MOST);
    }
}
