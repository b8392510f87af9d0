//! The end of MQTT sessions: at once, or once they have been away too long, or when the store can take it again.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::Gateway;
use crate::clock::{self, Millis};
use crate::ids::UserId;
use crate::store::{Error, Fate};

/// Sessions that are dealt with together.
const PORTION: usize = 500;
/// A session that ends may come to hold one more user's binding between two looks; that often in a row it does not.
const ATTEMPTS: usize = 5;

/// Ends that could not be stored and are remembered; further ones have to wait for the next start.
const REMEMBERED: usize = 100_000;

/// Ends of connections that could not be stored, by client id: whose they were, and how long the session may stay away.
#[derive(Debug, Default)]
pub(super) struct Unstored(Mutex<HashMap<String, (UserId, Millis)>>);

impl Unstored {
    pub(super) fn note(&self, client: &str, user: &UserId, expiry: Millis) -> bool {
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

    pub(super) fn all(&self) -> Vec<End> {
        let ends = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = |(client, (user, expiry)): (&String, &(UserId, Millis))| {
            let fate = if *expiry > 0 { Fate::Away { expiry: *expiry } } else { Fate::Over };
            End { client: client.clone(), user: user.clone(), fate }
        };
        ends.iter().map(end).collect()
    }
}

/// A session whose connection is gone.
#[derive(Debug)]
pub(super) struct End {
    client: String,
    user: UserId,
    fate: Fate,
}

impl Gateway {
    /// A connection is gone: its session stays away for `expiry`, or is over. What cannot be stored now (a full disk) is
    /// tried again until it can.
    pub async fn connection_ended(&self, client: &str, user: &UserId, expiry: Millis) {
        let Err(error) = self.store_end(client, user, expiry).await else { return };
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

    /// An MQTT session is over, with the bindings it held, whoever's they are.
    pub async fn end_session(&self, client: &str, user: &UserId) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let mut users = self.store.session_users(vec![client.to_owned()]).await?;
            users.push(user.clone());
            let _one_at_a_time = self.locks.lock_all(users.clone()).await;
            for user in &users {
                self.terminals().settle(user).await;
            }
            let over = vec![(client.to_owned(), Fate::Over)];
            let ended = self.store.end_sessions(over, users, clock::now()).await?;
            self.feed.until_in_force().await;
            if !ended.is_empty() {
                return Ok(());
            }
        }
        Err(Error::Unreadable(format!("the session of {client} changes all the time")))
    }

    /// Ends what is over by now, and stores the ends that could not be stored before.
    pub(super) async fn end_sessions(&self) -> Result<(), Error> {
        for portion in self.unstored.all().chunks(PORTION) {
            self.end_some(portion).await?;
        }
        let now = clock::now();
        loop {
            let over = self.store.expired_sessions(now, PORTION).await?;
            let ends: Vec<End> =
                over.into_iter().map(|(client, user)| End { client, user, fate: Fate::Expired }).collect();
            if ends.is_empty() || !self.end_some(&ends).await? {
                return Ok(());
            }
        }
    }

    /// Deals with a portion; one that cannot be dealt with does not keep the others. Answers whether anything changed.
    async fn end_some(&self, ends: &[End]) -> Result<bool, Error> {
        let together = self.end_together(ends).await;
        if !matches!(together, Err(Error::Damaged(_) | Error::Sqlite(_) | Error::Unreadable(_))) || ends.len() == 1 {
            return together;
        }
        let mut changed = false;
        for end in ends {
            match self.end_together(std::slice::from_ref(end)).await {
                Ok(done) => changed |= done,
                Err(error) => tracing::error!(%error, client = end.client, "a session could not be ended"),
            }
        }
        Ok(changed)
    }

    /// One transaction for as many of these as it may take, while nobody joins or leaves for any of their users.
    async fn end_together(&self, ends: &[End]) -> Result<bool, Error> {
        let clients = ends.iter().map(|end| end.client.clone()).collect();
        let mut users = self.store.session_users(clients).await?;
        users.extend(ends.iter().map(|end| end.user.clone()));
        let _one_at_a_time = self.locks.lock_all(users.clone()).await;
        let fates: Vec<(String, Fate)> =
            ends.iter().filter_map(|end| Some((end.client.clone(), self.fate(end)?))).collect();
        if fates.is_empty() {
            return Ok(false);
        }
        let present: HashSet<String> =
            fates.iter().filter(|(_, fate)| *fate != Fate::Expired).map(|(client, _)| client.clone()).collect();
        self.terminals().settle_all().await;
        let ended = self.store.end_sessions(fates, users, clock::now()).await?;
        for client in &ended {
            self.unstored.forget(client);
            if !present.contains(client) {
                self.terminals().forget_session(client);
            }
        }
        self.feed.until_in_force().await;
        Ok(!ended.is_empty())
    }

    /// What becomes of a session now that nothing can change about its users; `None` where that is for its client to say.
    fn fate(&self, end: &End) -> Option<Fate> {
        if !self.terminals().is_connected(&end.client) {
            return Some(end.fate);
        }
        // It has come back and will say so, or is only just going. An expired session may have begun again where that could
        // not be stored; otherwise its client is about to look for it, and finds it over.
        let begun = || self.connections(&end.user).iter().any(|connection| connection.client_id == end.client);
        (end.fate == Fate::Expired && begun()).then_some(Fate::Present)
    }

    /// A client has come back and found its session as it was: that is dealt with by now.
    pub fn session_found(&self, client: &str) {
        self.unstored.forget(client);
    }
}
