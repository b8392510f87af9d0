//! The end of MQTT sessions: at once, or once they have been away too long, or when the store can take it again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Gateway;
use crate::clock::{self, Millis};
use crate::ids::UserId;
use crate::store::Error;

/// Ends that could not be stored and are remembered; further ones have to wait for the next start.
const REMEMBERED: usize = 100_000;

/// Ends of connections that could not be stored, by client id: whose they were, and how long the session may stay away.
#[derive(Debug, Default)]
pub(super) struct Unstored(Mutex<HashMap<String, (UserId, Millis)>>);

impl Unstored {
    fn note(&self, client: &str, user: &UserId, expiry: Millis) -> bool {
        let mut ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = ends.len() < REMEMBERED || ends.contains_key(client);
        if room {
            ends.insert(client.to_owned(), (user.clone(), expiry));
        }
        room
    }

    fn forget(&self, client: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(client);
    }

    fn all(&self) -> Vec<(String, UserId, Millis)> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ends.iter().map(|(client, (user, expiry))| (client.clone(), user.clone(), *expiry)).collect()
    }
}

impl Gateway {
    /// A connection is gone: its session stays away for `expiry`, or is over. What cannot be stored now (a full disk) is
    /// tried again until it can.
    pub async fn connection_ended(&self, client: &str, user: &UserId, expiry: Millis) {
        if let Err(error) = self.store_end(client, user, expiry).await {
            self.try_later(client, user, expiry, &error);
        }
    }

    /// The same for a connection whose session did not begin. The caller has the user's turn.
    pub async fn connection_never_began(&self, client: &str, user: &UserId, expiry: Millis) {
        let stored = if expiry > 0 {
            self.store.session_away(client.to_owned(), expiry, clock::now()).await
        } else {
            self.end_locked(client, user).await
        };
        if let Err(error) = stored {
            self.try_later(client, user, expiry, &error);
        }
    }

    fn try_later(&self, client: &str, user: &UserId, expiry: Millis, error: &Error) {
        if self.unstored.note(client, user, expiry) {
            tracing::error!(%error, client, "the end of a session could not be stored; it is tried again");
        } else {
            tracing::error!(%error, client, "the end of a session could not be stored; it ends at the next start");
        }
    }

    async fn store_end(&self, client: &str, user: &UserId, expiry: Millis) -> Result<(), Error> {
        if expiry > 0 {
            return self.store.session_away(client.to_owned(), expiry, clock::now()).await;
        }
        self.end_session(client, user).await
    }

    /// An MQTT session is over, with the bindings it held.
    pub async fn end_session(&self, client: &str, user: &UserId) -> Result<(), Error> {
        let _one_at_a_time = self.locks.lock(user).await;
        self.end_locked(client, user).await
    }

    async fn end_locked(&self, client: &str, user: &UserId) -> Result<(), Error> {
        self.terminals().settle(user).await;
        let released = self.store.end_session(client.to_owned(), clock::now()).await?;
        self.detach_released(released).await;
        Ok(())
    }

    /// Ends what is over by now, and stores the ends that could not be stored before.
    pub(super) async fn end_sessions(&self) -> Result<(), Error> {
        for (client, user, expiry) in self.unstored.all() {
            self.store_late(&client, &user, expiry).await?;
        }
        let now = clock::now();
        loop {
            let over = self.store.expired_sessions(now).await?;
            let mut changed = false;
            for (client, user) in over {
                changed |= self.expire_session(&client, &user, now).await?;
            }
            if !changed {
                return Ok(());
            }
        }
    }

    async fn store_late(&self, client: &str, user: &UserId, expiry: Millis) -> Result<(), Error> {
        let _one_at_a_time = self.locks.lock(user).await;
        if self.terminals().is_connected(client) {
            return Ok(()); // It has come back, and will say so; or it is only just going.
        }
        if expiry > 0 {
            self.store.session_away(client.to_owned(), expiry, clock::now()).await?;
        } else {
            self.end_locked(client, user).await?;
        }
        self.unstored.forget(client);
        Ok(())
    }

    /// A client has come back and found its session as it was: that is dealt with by now.
    pub fn session_found(&self, client: &str) {
        self.unstored.forget(client);
    }

    /// Ends a session that has been away too long, unless its client has come back by now. Answers whether anything
    /// changed.
    async fn expire_session(&self, client: &str, user: &UserId, now: Millis) -> Result<bool, Error> {
        let _one_at_a_time = self.locks.lock(user).await;
        if self.terminals().is_connected(client) {
            // Its session has begun, and that could not be stored; or it is about to look for it, and finds it over.
            let begun = self.connections(user).iter().any(|connection| connection.client_id == client);
            if begun {
                self.store.session_present(client.to_owned()).await?;
            }
            return Ok(begun);
        }
        self.terminals().settle(user).await;
        let released = self.store.expire_session(client.to_owned(), now).await?;
        self.terminals().forget_session(client);
        self.detach_released(released).await;
        Ok(true)
    }
}
