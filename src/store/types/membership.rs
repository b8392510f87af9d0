//! Who belongs to which group, and what is asked and answered about that.

use bytes::Bytes;

use crate::clock::Millis;
use crate::ids::{GroupId, JoinPolicy, UserId};
use crate::parcel::{FlowId, Membership};

/// Why a user is bound to a group; it stays bound while one reason remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The terminal asked.
    Join,
    /// An MQTT session subscribes to the group's topic.
    Subscribe,
    /// An operator did it.
    Operator,
    /// A `[[groups.assign]]` rule decided.
    Assign,
}

impl Source {
    pub(in crate::store) const fn bit(self) -> i64 {
        match self {
            Self::Join => 1,
            Self::Subscribe => 2,
            Self::Operator => 4,
            Self::Assign => 8,
        }
    }

    /// The names of the sources in `bits`, comma separated.
    pub(in crate::store) fn names(bits: i64) -> String {
        let all = [
            (Self::Join, "join"),
            (Self::Subscribe, "subscribe"),
            (Self::Operator, "operator"),
            (Self::Assign, "assign"),
        ];
        let named: Vec<&str> =
            all.iter().filter(|(source, _)| bits & source.bit() != 0).map(|(_, name)| *name).collect();
        named.join(",")
    }
}

/// Which reasons an unbinding takes away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// The terminal leaves: all but a subscription it still holds.
    Leave,
    /// The operator of this name removes the user: everything.
    Everything(String),
}

/// By whose hand a user came into a group or left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hand {
    /// The terminal asked.
    Terminal,
    /// An MQTT subscription began or ended, or its session did.
    Subscription,
    /// A `[[groups.assign]]` rule.
    Rule,
    /// The operator of this name.
    Operator(String),
    /// The group was removed.
    GroupRemoved,
    /// `groups.forget_after`: the device was away for too long.
    Forgotten,
}

impl std::fmt::Display for Hand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Terminal => f.write_str("terminal"),
            Self::Subscription => f.write_str("subscription"),
            Self::Rule => f.write_str("rule"),
            Self::Operator(name) => write!(f, "operator {name}"),
            Self::GroupRemoved => f.write_str("group removed"),
            Self::Forgotten => f.write_str("groups.forget_after"),
        }
    }
}

/// A group request that binds.
#[derive(Debug, Clone)]
pub struct Bind {
    pub user: UserId,
    pub group: GroupId,
    pub source: Source,
    pub hand: Hand,
    /// The policy of a group that is made by this; `None`: an unknown group stays unknown.
    pub create: Option<JoinPolicy>,
    pub limits: Limits,
    /// What the second answer needs where the group's policy is `approval`.
    pub reply: PendingReply,
    pub now: Millis,
}

/// How many there may be; more are refused.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Groups of one user, and joins of it that wait for a decision.
    pub of_user: u32,
    /// Groups in all.
    pub groups: i64,
    /// Joins in all that wait for a decision.
    pub requests: i64,
    /// Groups that joins of one user have made.
    pub made: i64,
    /// Users that are known.
    pub users: i64,
    /// Bytes of the store; 0 for no limit.
    pub size: i64,
}

impl Limits {
    /// None that a test would reach.
    #[cfg(test)]
    pub(crate) const WIDE: Self =
        Self { of_user: 1_000, groups: 1_000_000, requests: 1_000_000, made: 1_000, users: 1_000_000, size: 0 };
}

/// Which of the limits it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    GroupsOfUser,
    Groups,
    Requests,
    GroupsMade,
    Users,
    Size,
    PendingOfInitiator,
    PushesOfDay,
}

impl Limit {
    /// Its key in the configuration.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::GroupsOfUser => "mqtt.max_groups_per_user",
            Self::Groups => "groups.max",
            Self::Requests => "groups.max_pending",
            Self::GroupsMade => "groups.max_made_per_user",
            Self::Users => "store.max_users",
            Self::Size => "store.max_size",
            Self::PendingOfInitiator => "push.max_pending_per_initiator",
            Self::PushesOfDay => "initiators.pushes_per_day",
        }
    }
}

/// How the second answer to a pending join finds its way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PendingReply {
    pub request_id: Option<String>,
    pub response_topic: Option<String>,
    pub correlation: Option<Bytes>,
}

/// What became of a [`Bind`].
#[derive(Debug, Clone)]
pub enum Bound {
    /// Bound; `fresh` where it was not before. `waited`: this decided on a join that waited, and there is an answer to it.
    Member { membership: Membership, fresh: bool, waited: bool },
    /// Recorded; an operator decides.
    Pending,
    /// The group's policy is `closed`.
    Closed,
    /// No such group.
    Unknown,
    /// There are as many as there may be.
    LimitReached(Limit),
}

/// What became of an unbinding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbound {
    /// Not a member any more.
    Left,
    /// A subscription still holds the binding.
    StillSubscribed,
    NotBound,
}

#[derive(Debug, Clone)]
pub struct GroupView {
    pub id: GroupId,
    pub policy: JoinPolicy,
    pub members: u64,
    /// A new member gets its last live push.
    pub welcome: bool,
}

#[derive(Debug, Clone)]
pub struct MemberView {
    pub user: String,
    /// Where the page after this one begins.
    pub key: FlowId,
    pub joined_at: Millis,
    pub source: String,
}

#[derive(Debug, Clone)]
pub struct BindingView {
    pub group: GroupId,
    pub joined_at: Millis,
    pub source: String,
}

/// A join that waits for a decision.
#[derive(Debug, Clone)]
pub struct RequestView {
    pub user: String,
    /// Where the page after this one begins.
    pub key: FlowId,
    pub requested_at: Millis,
}

/// The same, of any group.
#[derive(Debug, Clone)]
pub struct WaitingJoin {
    pub group: String,
    pub user: String,
    pub place: JoinPlace,
}

/// Where a join stands among all that wait: the longest wait comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JoinPlace {
    pub requested_at: Millis,
    pub group: FlowId,
    pub user: FlowId,
}

/// What became of an operator's decision on a pending join.
#[derive(Debug, Clone)]
pub enum Decided {
    /// Nobody asked, or nobody does any more.
    NotPending,
    /// The user has as many groups as it may have; the join waits on.
    LimitReached,
    Approved(Membership),
    Rejected,
}

/// What was decided on a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinOutcome {
    Accepted,
    Declined,
    GroupDeleted,
}

impl JoinOutcome {
    pub(in crate::store) const fn number(self) -> i64 {
        match self {
            Self::Accepted => 0,
            Self::Declined => 1,
            Self::GroupDeleted => 2,
        }
    }

    pub(in crate::store) const fn from_number(number: i64) -> Self {
        match number {
            0 => Self::Accepted,
            1 => Self::Declined,
            _ => Self::GroupDeleted,
        }
    }
}

/// A decision that the one who asked has not been told of.
#[derive(Debug, Clone)]
pub struct WaitingAnswer {
    /// The row it is known by.
    pub id: i64,
    pub group: GroupId,
    pub outcome: JoinOutcome,
    pub reply: PendingReply,
}
