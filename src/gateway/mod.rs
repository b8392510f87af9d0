//! What papcast does: who belongs to which group, taking pushes, and settling who has what. The MQTT and the HTTP side
//! both come here; everything they do goes through the same code.

mod acknowledge;
mod approvals;
mod cancel;
mod capabilities;
mod delete_group;
mod group_answer;
mod group_assignment;
mod housekeeping;
mod join;
mod late_answers;
mod notify;
mod refusal;
mod replace;
mod retention;
mod sessions;
mod set_aside;
mod sign_in;
mod sign_in_failures;
mod submit;
mod terminal_directory;
mod user_locks;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

pub use acknowledge::Unwritten;
pub use capabilities::{Capabilities, NoCapabilities};
pub use delete_group::Removed;
pub use group_answer::{Answer, GroupEntry, Op, Reason, Status};
pub use join::{GroupRequest, SubscribeOutcome, Subscribing};
pub use notify::{pap_quality, pap_state};
pub use refusal::Refused;
pub use sign_in::{Denied, Offer};
pub use submit::{Accepted, Content, PushRequest, Replace};
pub use terminal_directory::{Connection, Later, Terminals};

pub use user_locks::Turn;
use user_locks::UserLocks;

use crate::broker::Publisher;
use crate::config::{AssignRule, AuthMode, Config, parse_target};
use crate::credentials::Credentials;
use crate::feed::{Dispatched, Entry, Feed};
use crate::ids::{Duplicates, JoinPolicy, Target};
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::store::{Event, Limits, Store};
use crate::tls;

/// How the gateway names itself towards initiators.
pub const NAME: &str = concat!("papcast ", env!("CARGO_PKG_VERSION"));

/// The rules an operator sets for groups and pushes.
#[derive(Debug, Clone)]
struct Rules {
    create: Option<JoinPolicy>,
    default_policy: JoinPolicy,
    assign: Vec<AssignRule>,
    limits: Limits,
    pending_ttl: Duration,
    default_ttl: Duration,
    max_ttl: Duration,
    retention: Duration,
    clock_skew: Duration,
    max_addresses: usize,
    max_content: usize,
    max_headers: usize,
    duplicates: Duplicates,
    aliases: Vec<(String, Target)>,
}

/// The gateway; one for the whole process.
#[derive(Debug)]
pub struct Gateway {
    store: Store,
    feed: Feed,
    rules: Rules,
    auth: AuthMode,
    policy: RwLock<Arc<Policy>>,
    credentials: Credentials,
    /// How often a credential was taken away.
    removals: AtomicU64,
    failures: sign_in_failures::Failures,
    metrics: Arc<Metrics>,
    notify: notify::Rules,
    locks: UserLocks,
    unstored: sessions::Unstored,
    /// One group at a time is cleared away.
    deleting: tokio::sync::Mutex<()>,
    terminals: OnceLock<Arc<dyn Terminals>>,
}

impl Gateway {
    /// An error: `notify.ca` cannot be used.
    pub fn new(
        store: Store,
        feed: Feed,
        credentials: Credentials,
        metrics: Arc<Metrics>,
        config: &Config,
    ) -> Result<Self, tls::Error> {
        let rules = Rules {
            create: config.groups.auto_create.then_some(config.groups.default_policy),
            default_policy: config.groups.default_policy,
            assign: config.groups.assign.clone(),
            limits: Limits {
                of_user: config.mqtt.max_groups_per_user,
                groups: i64::from(config.groups.max),
                requests: i64::from(config.groups.max_pending),
            },
            pending_ttl: config.groups.pending_ttl,
            default_ttl: config.push.default_ttl,
            max_ttl: config.push.max_ttl,
            retention: config.store.retention,
            clock_skew: config.push.clock_skew,
            max_addresses: config.push.max_addresses,
            max_content: config.push.max_content,
            max_headers: config.pap.max_header_lines,
            duplicates: config.push.duplicates,
            aliases: config
                .aliases
                .iter()
                .filter_map(|(alias, target)| Some((alias.clone(), parse_target(target)?)))
                .collect(),
        };
        let notify = notify::Rules::new(&config.notify)?;
        Ok(Self {
            store,
            feed,
            rules,
            auth: config.auth.mode,
            policy: RwLock::new(Arc::new(Policy::new(config.initiators.clone(), config.devices.clone()))),
            credentials,
            removals: AtomicU64::default(),
            failures: sign_in_failures::Failures::default(),
            metrics,
            notify,
            locks: UserLocks::default(),
            unstored: sessions::Unstored::default(),
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

    /// From now on these rules hold; who is in a group already stays there.
    pub fn set_policy(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// What has happened, for those who have to act on it.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// What a new group is where nobody says otherwise.
    #[must_use]
    pub fn default_policy(&self) -> JoinPolicy {
        self.rules.default_policy
    }

    /// Whether anybody acts for a user right now.
    #[must_use]
    pub fn is_here(&self, user: &crate::ids::UserId) -> bool {
        self.terminals().is_here(user)
    }

    /// Who acts for a user right now.
    #[must_use]
    pub fn connections(&self, user: &crate::ids::UserId) -> Vec<Connection> {
        self.terminals().connections(user)
    }
}

/// The observer that makes a commit known: first in the feed, then by the broker, so that a worker which missed the publish
/// can see that it did.
pub fn announce(feed: Feed, publisher: Publisher) -> impl Fn(Vec<Event>) + Send + 'static {
    move |events| {
        let mut pushes = Vec::new();
        let entries = events.into_iter().map(|event| match event {
            Event::Dispatched(parcel) => {
                let place = publisher.place(&parcel.target);
                let entry = Entry::Dispatched(Dispatched::new(parcel.id(), &parcel.target, place));
                pushes.push((parcel, place));
                entry
            }
            Event::Joined { user, membership } => Entry::Joined { user, membership },
            Event::Left { user, flow, binding } => Entry::Left { user, flow, binding },
            Event::Cancelled(dispatches) => Entry::Cancelled(dispatches.into()),
        });
        feed.append(entries);
        for (parcel, place) in pushes {
            publisher.push(parcel, place);
        }
    }
}

#[cfg(test)]
mod tests;
