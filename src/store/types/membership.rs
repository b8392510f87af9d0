//! Who belongs to which group, and what is asked and answered about that.

use bytes::Bytes;

use crate::clock::Millis;
use crate::ids::{GroupId, JoinPolicy, Target, UserId};
use crate::parcel::{BindingId, FlowId, Seq};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The terminal leaves: all but a subscription it still holds.
    Leave,
    /// The operator removes the user: everything.
    Everything,
}

/// An open binding as a session needs it.
#[derive(Debug, Clone)]
pub struct Membership {
    pub binding: BindingId,
    pub flow: FlowId,
    pub target: Target,
    pub joined: Seq,
    pub acked: Seq,
    /// The newest dispatch of the flow when this was read.
    pub head: Seq,
}

/// A group request that binds.
#[derive(Debug, Clone)]
pub struct Bind {
    pub user: UserId,
    pub group: GroupId,
    pub source: Source,
    /// The policy of a group that is made by this; `None`: an unknown group stays unknown.
    pub create: Option<JoinPolicy>,
    /// Bindings one user may have.
    pub limit: u32,
    /// What the second answer needs where the group's policy is `approval`.
    pub reply: PendingReply,
    pub now: Millis,
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
    /// Bound; `fresh` where it was not before. `waited`: where the answer goes to a join that waited for a decision.
    Member { membership: Membership, fresh: bool, waited: Option<PendingReply> },
    /// Recorded; an operator decides.
    Pending,
    /// The group's policy is `closed`.
    Closed,
    /// No such group.
    Unknown,
    /// The user has as many bindings as it may have.
    LimitReached,
}

/// What became of an unbinding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbound {
    /// Not a member of this flow any more.
    Left(FlowId),
    /// A subscription still holds the binding.
    StillSubscribed,
    NotBound,
}

/// A binding that was closed because what held it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    pub user: UserId,
    pub flow: FlowId,
}

#[derive(Debug, Clone)]
pub struct GroupView {
    pub id: GroupId,
    pub policy: JoinPolicy,
    pub members: u64,
}

#[derive(Debug, Clone)]
pub struct MemberView {
    pub user: String,
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
    pub requested_at: Millis,
}

/// An operator's decision on a pending join.
#[derive(Debug, Clone)]
pub struct Decided {
    /// `None`: rejected.
    pub membership: Option<Membership>,
    pub reply: PendingReply,
}
