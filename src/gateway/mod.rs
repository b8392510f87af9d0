//! What papcast does: who belongs to which group, taking pushes, and settling who has what. The MQTT and the HTTP side
//! both come here; everything they do goes through the same code.

mod acknowledge;
mod approvals;
mod cancel;
mod capabilities;
mod changes;
mod delete_group;
mod devices;
mod dry_run;
mod gauges;
mod group_answer;
mod group_assignment;
mod housekeeping;
mod join;
mod late_answers;
mod notify;
mod observer;
mod recipients;
mod refusal;
mod replace;
mod retention;
mod rules;
mod sessions;
mod set_aside;
mod sign_in;
mod sign_in_failures;
mod submit;
mod terminal_directory;
mod user_locks;
mod users;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

pub use acknowledge::Unwritten;
pub use capabilities::{Capabilities, NoCapabilities};
pub use delete_group::Removed;
pub use devices::{AskedDevices, Device, DeviceState, Sort};
pub use dry_run::Reach;
pub use group_answer::{Answer, GroupEntry, Op, Reason, Status};
pub use join::{GroupRequest, SubscribeOutcome, Subscribing};
pub use notify::{pap_quality, pap_state};
pub use observer::announce;
pub use recipients::{Asked, Explained, Reason as MissingReason};
pub use refusal::Refused;
pub use sign_in::{Denied, Offer};
pub use submit::{Accepted, Content, PushRequest, Replace};
pub use terminal_directory::{Connection, InSight, Later, Terminals};

use rules::Rules;
pub use user_locks::Turn;
use user_locks::UserLocks;

use crate::caller::Caller;
use crate::config::{AuthMode, Config};
use crate::credentials::Credentials;
use crate::feed::Feed;
use crate::ids::{JoinPolicy, UserId};
use crate::jwt::{self, Jwt};
use crate::policy::Policy;
use crate::rate_limit::RateLimits;
use crate::signals::Signals;
use crate::store::Store;
use crate::tls;

/// What keeps a gateway from being made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error(transparent)]
    Jwt(#[from] jwt::Error),
}

/// How the gateway names itself towards initiators.
pub const NAME: &str = concat!("papcast ", env!("CARGO_PKG_VERSION"));

/// The gateway; one for the whole process.
#[derive(Debug)]
pub struct Gateway {
    store: Store,
    feed: Feed,
    rules: RwLock<Arc<Rules>>,
    auth: AuthMode,
    policy: RwLock<Arc<Policy>>,
    credentials: Credentials,
    jwt: RwLock<Option<Arc<Jwt>>>,
    /// How often a credential was taken away.
    removals: AtomicU64,
    failures: sign_in_failures::Failures,
    /// Pushes of initiators that have a rate.
    pushes: RateLimits<String>,
    signals: Arc<Signals>,
    notify: notify::Rules,
    locks: UserLocks,
    unstored: sessions::Unstored,
    /// Who asks how many have a push waits for whoever asks that just now.
    counting: tokio::sync::Mutex<()>,
    /// One group at a time is cleared away.
    deleting: tokio::sync::Mutex<()>,
    terminals: OnceLock<Arc<dyn Terminals>>,
}

impl Gateway {
    /// An error: `notify.ca` or a key of `[jwt]` cannot be used.
    pub fn new(
        store: Store,
        feed: Feed,
        credentials: Credentials,
        signals: Arc<Signals>,
        config: &Config,
    ) -> Result<Self, Error> {
        let jwt = RwLock::new(Jwt::load(&config.jwt)?.map(Arc::new));
        let notify = notify::Rules::new(&config.notify)?;
        Ok(Self {
            store,
            feed,
            rules: RwLock::new(Arc::new(Rules::of(config))),
            auth: config.auth.mode,
            policy: RwLock::new(Arc::new(Policy::new(config.initiators.clone(), config.devices.clone()))),
            credentials,
            jwt,
            removals: AtomicU64::default(),
            failures: sign_in_failures::Failures::default(),
            pushes: RateLimits::default(),
            signals,
            notify,
            locks: UserLocks::default(),
            unstored: sessions::Unstored::default(),
            counting: tokio::sync::Mutex::default(),
            deleting: tokio::sync::Mutex::default(),
            terminals: OnceLock::new(),
        })
    }
    /// Whom to tell of joins and leaves; set once, when the MQTT side is there.
    pub fn set_terminals(&self, terminals: Arc<dyn Terminals>) {
        let _ = self.terminals.set(terminals);
    }

    fn terminals(&self) -> &dyn Terminals {
        self.terminals.get().map_or(&terminal_directory::Nobody, |terminals| &**terminals)
    }

    /// The store, for what is only looked at.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Who may reach what, by the rules of the configuration.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on what this configuration says of groups, pushes and rules holds; who is in a group already stays there.
    pub fn follow(self: &Arc<Self>, config: &Config, jwt: Option<Jwt>) {
        let policy = Policy::new(config.initiators.clone(), config.devices.clone());
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Rules::of(config));
        let before = self.jwt().map(|jwt| jwt.keys()).unwrap_or_default();
        let after = jwt.as_ref().map(Jwt::keys).unwrap_or_default();
        *self.jwt.write().unwrap_or_else(PoisonError::into_inner) = jwt.map(Arc::new);
        self.end_jwt_keys(before.difference(&after).copied().collect());
    }

    /// The rules of the configuration as they are now.
    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tokens that somebody else has signed, where they are taken.
    fn jwt(&self) -> Option<Arc<Jwt>> {
        self.jwt.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts what was refused because a limit is reached, by the key of the limit.
    pub fn over_limit(&self, limit: &'static str, who: impl std::fmt::Display) {
        self.signals.metrics.over_limit(limit, who);
    }

    /// Where what happens is reported.
    #[must_use]
    pub fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    /// What has happened, for those who have to act on it.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// What a new group is where nobody says otherwise.
    #[must_use]
    pub fn default_policy(&self) -> JoinPolicy {
        self.rules().default_policy
    }

    /// Whether anybody acts for a user right now.
    #[must_use]
    pub fn is_here(&self, user: &UserId) -> bool {
        self.terminals().is_here(user)
    }

    /// Ends the connections that act for a user, or the one with this client id among them; answers how many.
    pub async fn disconnect(&self, caller: &Caller, user: UserId, client: Option<String>) -> usize {
        let object = format!("user {user}");
        let ended = self.terminals().disconnect(user, client).await;
        if ended > 0 {
            self.changed(caller, "disconnect", object, format!("{ended} connections")).await;
        }
        ended
    }

    /// Sessions that are connected now.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.terminals().count()
    }

    /// Who acts for a user right now.
    #[must_use]
    pub fn connections(&self, user: &UserId) -> Vec<Connection> {
        self.terminals().connections(user)
    }
}

#[cfg(test)]
mod tests;
