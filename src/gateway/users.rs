//! What an operator does with a user as a whole: erase it, trace it, take it out of its groups when it never comes back.

use std::time::{Duration, Instant};

use super::Gateway;
use super::devices::AskedDevices;
use crate::caller::{Caller, Kind, Login};
use crate::clock::{self, Millis};
use crate::credentials::Order;
use crate::ids::UserId;
use crate::store::{Erased, Error, Hand, OwedPush, RefusedPush};

/// How long an erased user's connections may take to go, and how often it is looked.
const GOING: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

const DAY: Millis = 86_400_000;

/// Users that one step of `groups.forget_after` looks at.
const PAGE: usize = 1_000;

impl Gateway {
    /// Erases a user: its tokens work no more, its connections and sessions end, and nothing names it any more. `None` where there
    /// is none of this name.
    pub async fn erase_user(&self, caller: &Caller, user: &UserId) -> Result<Option<Erased>, Error> {
        self.signals.traced.end(user.as_str());
        // First the token: whoever is just signing in with it is found out by that.
        let remove = Order::Remove { kind: Kind::Device, name: user.to_string() };
        let had_token = self.look_after_credentials(remove).await.is_ok();
        self.sign_out(Login { kind: Kind::Device, name: Some(user.to_string()), hash: None }).await;
        self.disconnect_all(user).await;
        let sessions = self.end_sessions_of(user).await?;
        let pseudonym = format!("erased-{:016x}", uuid::Uuid::new_v4().as_u64_pair().0);
        let erased = {
            let _one_at_a_time = self.locks.lock(user).await;
            self.terminals().settle(user).await;
            let erased = self.store.erase_user(user.clone(), pseudonym.clone(), caller.hand(), clock::now()).await?;
            self.feed.until_in_force().await;
            erased
        };
        self.disconnect_all(user).await;
        self.signals.forget_user(user.as_str());
        let found = erased.is_some() || had_token || sessions > 0;
        let mut erased = erased.unwrap_or_default();
        erased.sessions += sessions;
        erased.credentials += u64::from(had_token);
        if !found {
            return Ok(None);
        }
        let detail = format!(
            "{} memberships, {} sessions, {} tokens, {} pushes",
            erased.memberships, erased.sessions, erased.credentials, erased.pushes
        );
        self.changed(caller, "erase", format!("user {pseudonym}"), detail).await;
        Ok(Some(erased))
    }

    /// Ends all connections of a user, and waits for a moment until they are gone.
    async fn disconnect_all(&self, user: &UserId) {
        self.terminals().disconnect(user.clone(), None).await;
        let begun = Instant::now();
        while self.is_here(user) && begun.elapsed() < GOING {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Its sessions end like any others: what they hold for other users is given back. Answers how many.
    async fn end_sessions_of(&self, user: &UserId) -> Result<u64, Error> {
        let clients = self.store.sessions_of(user.clone()).await?;
        for client in &clients {
            self.end_session(client, user).await?;
            self.terminals().forget_session(client);
        }
        Ok(clients.len() as u64)
    }

    /// Tells of every packet of a user's terminals for so long; `false` where too many are traced already.
    pub async fn trace(&self, caller: &Caller, user: &UserId, millis: Millis) -> bool {
        let begun = self.signals.traced.begin(user.as_str(), clock::now().saturating_add(millis));
        if begun {
            self.changed(caller, "trace", format!("user {user}"), format!("for {} seconds", millis / 1_000)).await;
        }
        begun
    }

    /// Answers whether it was traced.
    pub async fn end_trace(&self, caller: &Caller, user: &UserId) -> bool {
        let was_traced = self.signals.traced.end(user.as_str());
        if was_traced {
            self.changed(caller, "trace", format!("user {user}"), "no more".into()).await;
        }
        was_traced
    }

    /// Pushes that a user has not answered, oldest first.
    pub async fn refused_pushes(&self, user: &UserId, limit: usize) -> Result<Vec<RefusedPush>, Error> {
        self.store.refused_pushes(user.clone(), limit).await
    }

    pub async fn owed_pushes(&self, user: &UserId, limit: usize) -> Result<Vec<OwedPush>, Error> {
        self.store.owed_pushes(user.clone(), limit).await
    }

    /// Takes users out of their groups that were away for so long; answers how many memberships ended. With `only_count` nothing is
    /// changed.
    pub async fn forget_away(&self, caller: &Caller, away_for: Millis, only_count: bool) -> Result<u64, Error> {
        let ended = self.leave_of_the_away(away_for, Hand::Operator(caller.hand()), only_count).await?;
        if ended > 0 && !only_count {
            let detail = format!("{ended} memberships of users who were away for {} seconds", away_for / 1_000);
            self.changed(caller, "forget", "devices".into(), detail).await;
        }
        Ok(ended)
    }

    /// `groups.forget_after`.
    pub(super) async fn forget_the_away(&self) -> Result<(), Error> {
        let Some(away_for) = self.rules().forget_after else { return Ok(()) };
        // However long the gateway itself was away, devices have a day to come back.
        let up = clock::now() - self.signals.metrics.started_at();
        if up < away_for.min(DAY) {
            return Ok(());
        }
        let ended = self.leave_of_the_away(away_for, Hand::Forgotten, false).await?;
        if ended > 0 {
            let detail = format!("{ended} memberships of users who were away for too long");
            self.note_change("groups.forget_after".into(), "forget", "devices".into(), detail).await;
        }
        Ok(())
    }

    async fn leave_of_the_away(&self, away_for: Millis, hand: Hand, only_count: bool) -> Result<u64, Error> {
        let asked = AskedDevices { away_for: Some(away_for), ..AskedDevices::default() };
        let (mut ended, mut after) = (0, String::new());
        loop {
            let page = self.devices(&asked, after, PAGE).await?;
            for device in page.devices.iter().filter(|device| device.view.groups > 0) {
                let Ok(user) = UserId::parse(&device.view.user) else { continue };
                ended += self.leave_if_away(&user, away_for, &hand, only_count).await?;
            }
            match page.next {
                Some(next) => after = next,
                None => return Ok(ended),
            }
        }
    }

    /// Looks again while nothing of the user changes: it may have come back.
    async fn leave_if_away(
        &self,
        user: &UserId,
        away_for: Millis,
        hand: &Hand,
        only_count: bool,
    ) -> Result<u64, Error> {
        let _one_at_a_time = self.locks.lock(user).await;
        let since = clock::now() - away_for;
        // One that has just gone may not be written down as seen.
        let was_here =
            || self.signals.of_device(user.as_str()).iter().any(|event| event.at > since && event.is_presence());
        if self.is_here(user) || was_here() {
            return Ok(0);
        }
        let old = self.store.old_memberships(user.clone(), since).await?;
        if only_count || old.is_empty() {
            return Ok(old.len() as u64);
        }
        let ended = self.store.unbind_all(old, hand.clone(), clock::now()).await?;
        self.feed.until_in_force().await;
        Ok(ended as u64)
    }
}
