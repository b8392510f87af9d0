//! A push as it is handed in, and what becomes of handing it in, replacing and cancelling.

use bytes::Bytes;

use super::membership::Limit;
use super::state::State;
use crate::clock::Millis;
use crate::ids::{Duplicates, Target};
use crate::parcel::{BindingId, DispatchId};

/// PAP delivery-method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryMethod {
    NotSpecified,
    PreferConfirmed,
    Confirmed,
    Unconfirmed,
}

/// PAP priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    High,
    Medium,
    Low,
}

/// Hash of a submission, to know a repeat from a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// By an algorithm that never changes: this one is stored.
    pub stable: i64,
    /// As papcast 0.1.0 stored it.
    pub former: i64,
}

/// One push as an initiator submits it, checked and resolved.
#[derive(Debug, Clone)]
pub struct Submission {
    pub initiator: String,
    pub push_id: String,
    pub digest: Digest,
    pub duplicates: Duplicates,
    pub now: Millis,
    pub deliver_after: Millis,
    pub deliver_before: Millis,
    pub delivery: DeliveryMethod,
    pub priority: Priority,
    pub source: Option<String>,
    /// The request that it came with, for the log.
    pub request: Option<String>,
    pub notify: Option<Notify>,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub addresses: Vec<Address>,
    /// Addresses that name nothing known are rejected one by one, and the others served.
    pub skip_unknown: bool,
    pub replace: Option<Replacing>,
    pub limits: PushLimits,
}

/// How much an initiator may have under way; a push beyond it is not taken.
#[derive(Debug, Clone, Copy)]
pub struct PushLimits {
    /// Addresses of its pushes that are not over.
    pub pending: i64,
    /// Pushes of one day of UTC; none: no limit.
    pub per_day: Option<u32>,
    /// Users that are known: an address makes no further one known.
    pub users: i64,
    /// Bytes of the store; 0 for no limit.
    pub size: i64,
}

impl PushLimits {
    /// None that a test would reach.
    #[cfg(test)]
    pub(crate) const WIDE: Self = Self { pending: 1_000_000, per_day: None, users: 1_000_000, size: 0 };
}

/// A push that another one replaces.
#[derive(Debug, Clone)]
pub struct Replacing {
    /// The old one, of the same initiator.
    pub push_id: String,
    /// Only for those who have not got the old one.
    pub pending_only: bool,
    /// With `pending_only`: the dispatches that the workers hold back, and the bindings to which they are under way.
    pub held_back: Vec<DispatchId>,
    pub holders: Vec<(BindingId, DispatchId)>,
}

/// A wish for result notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    pub url: String,
    /// Host and port of the URL, in one spelling.
    pub receiver: String,
    /// A PAP dialect such as `2.0 announces`, or `json`.
    pub form: String,
    /// The address the initiator posted to.
    pub sender: String,
}

#[derive(Debug, Clone)]
pub struct Address {
    /// As the initiator wrote it.
    pub raw: String,
    /// What that may mean; the first one that is known counts.
    pub meanings: Vec<Meaning>,
}

#[derive(Debug, Clone)]
pub struct Meaning {
    pub target: Target,
    /// A user that is connected is known even without a binding.
    pub connected: bool,
}

/// What became of a [`Submission`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// Stored, and dispatched where it was due; these addresses name nothing known.
    Accepted { unknown: Vec<String> },
    /// The same submission was accepted before.
    Repeated,
    /// The push-id belongs to another submission of this initiator.
    Duplicate(Earlier),
    /// These addresses name nothing known; nothing was stored.
    Unknown(Vec<String>),
    /// There is no push of this id that could be replaced; nothing was stored.
    UnknownOld(String),
    /// Nobody is left whose push of this id could be taken back; nothing was stored.
    NothingPending(String),
    /// The push of this id replaced one that replaced one …, [`MAX_REPLACED`](crate::store::MAX_REPLACED) times; nothing was stored.
    LongChain(String),
    /// There is as much as there may be; nothing was stored.
    LimitReached(Limit),
    /// The old push was dispatched a moment ago: to be tried again with that dispatch held back.
    NotHeldBack,
}

/// The push that has a push-id already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Earlier {
    /// Some of it is not over.
    pub open: bool,
    /// How many of how many have it.
    pub delivered: u64,
    pub recipients: u64,
}

/// What became of a cancel, by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cancelled {
    pub done: Vec<String>,
    /// Over already, and in what way.
    pub too_late: Vec<(String, State)>,
    /// The push has no such address.
    pub unknown: Vec<String>,
    /// Those of its dispatches that were not over.
    pub dispatches: Vec<DispatchId>,
}
