//! What goes in and out of the store.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Millis;
use crate::ids::{Duplicates, GroupId, JoinPolicy, Target, UserId};
use crate::parcel::{BindingId, FlowId, Parcel, PushKey, Seq};

/// What a commit changed, for those who must hear of it at once.
#[derive(Debug)]
pub enum Event {
    /// A push went out to a flow. `topic_prev` is the dispatch before it on its topic, where all users share one.
    Dispatched { parcel: Arc<Parcel>, topic_prev: Seq },
}

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
    pub(super) const fn bit(self) -> i64 {
        match self {
            Self::Join => 1,
            Self::Subscribe => 2,
            Self::Operator => 4,
            Self::Assign => 8,
        }
    }

    /// The names of the sources in `bits`, comma separated.
    pub(super) fn names(bits: i64) -> String {
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
    /// Bound; `fresh` where it was not before.
    Member { membership: Membership, fresh: bool },
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

/// How far one binding's terminal has got, with what the cursor alone would say wrongly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorMove {
    pub binding: BindingId,
    /// All up to here is resolved.
    pub upto: Seq,
    pub exceptions: Vec<Exception>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exception {
    pub seq: Seq,
    pub kind: ExceptionKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExceptionKind {
    /// Acknowledged although something before it is not.
    Got,
    /// The terminal refused it, with this PAP code.
    Refused { code: u16 },
    /// `seq..=upto` never reached the terminal: expired or cancelled before.
    Skipped { upto: Seq },
}

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

/// One push as an initiator submits it, checked and resolved.
#[derive(Debug, Clone)]
pub struct Submission {
    pub initiator: String,
    pub push_id: String,
    /// Hash of the submission, to know a repeat from a duplicate.
    pub digest: i64,
    pub duplicates: Duplicates,
    pub now: Millis,
    pub deliver_after: Millis,
    pub deliver_before: Millis,
    pub delivery: DeliveryMethod,
    pub priority: Priority,
    pub source: Option<String>,
    pub notify: Option<Notify>,
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub addresses: Vec<Address>,
    pub replace: Option<Replacing>,
}

/// A push that another one replaces.
#[derive(Debug, Clone)]
pub struct Replacing {
    /// The old one, of the same initiator.
    pub push_id: String,
    /// Only for those who have not got the old one.
    pub pending_only: bool,
    /// With `pending_only`: the dispatches that the workers hold back, and the bindings to which they are under way.
    pub held_back: Vec<Seq>,
    pub holders: Vec<(BindingId, Seq)>,
}

/// A wish for result notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    pub url: String,
    /// A PAP version such as `2.0`, or `json`.
    pub form: String,
    /// The address the initiator posted to.
    pub sender: String,
}

/// A result notification that is due.
#[derive(Debug, Clone)]
pub struct Notification {
    /// The row it is known by.
    pub dispatch: i64,
    pub notify: Notify,
    pub push_id: String,
    pub created_at: Millis,
    pub begun_at: Millis,
    pub attempts: u32,
    pub confirmed: bool,
    pub priority: Priority,
    pub address: AddressView,
}

#[derive(Debug, Clone)]
pub struct Address {
    /// As the initiator wrote it.
    pub raw: String,
    pub target: Target,
    /// A user that is connected is known even without a binding.
    pub connected: bool,
}

/// What became of a [`Submission`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// Stored, and dispatched where it was due; these dispatches of the push it replaces must not be sent any more.
    Accepted { revoked: Vec<Seq> },
    /// The same submission was accepted before.
    Repeated,
    /// The push-id belongs to another submission of this initiator.
    Duplicate,
    /// These addresses name nothing known; nothing was stored.
    Unknown(Vec<String>),
    /// There is no push of this id that could be replaced; nothing was stored.
    UnknownOld(String),
    /// Nobody is left whose push of this id could be taken back; nothing was stored.
    NothingPending(String),
    /// The push of this id replaced one that replaced one …, [`MAX_REPLACED`](super::MAX_REPLACED) times; nothing was stored.
    LongChain(String),
    /// The old push was dispatched a moment ago: to be tried again with that dispatch held back.
    NotHeldBack,
}

/// States of one push to one address, as PAP names them. From `Delivered` on they are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waits for its deliver-after; PAP says `pending`.
    Scheduled,
    Pending,
    Delivered,
    Undeliverable,
    Expired,
    Aborted,
    Timeout,
    Cancelled,
    Rejected,
}

impl State {
    /// The state with this PAP name; none for what is no state of a dispatch.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().skip(1).find(|state| state.name() == name).copied()
    }

    const ALL: [Self; 9] = [
        Self::Scheduled,
        Self::Pending,
        Self::Delivered,
        Self::Undeliverable,
        Self::Expired,
        Self::Aborted,
        Self::Timeout,
        Self::Cancelled,
        Self::Rejected,
    ];

    pub(super) fn number(self) -> i64 {
        Self::ALL.iter().position(|state| *state == self).map_or(0, |at| at as i64)
    }

    pub(super) fn from_number(number: i64) -> Self {
        usize::try_from(number).ok().and_then(|at| Self::ALL.get(at).copied()).unwrap_or(Self::Pending)
    }

    /// The PAP name (WAP-247 §8.6).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled | Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Undeliverable => "undeliverable",
            Self::Expired => "expired",
            Self::Aborted => "aborted",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }
}

/// A portion of what a binding is owed.
#[derive(Debug, Clone, Default)]
pub struct Portion {
    pub parcels: Vec<Owed>,
    /// Everything of the flow up to here has been looked at.
    pub scanned: Seq,
    /// There is more after `scanned`.
    pub more: bool,
}

/// One parcel that is owed.
#[derive(Debug, Clone)]
pub struct Owed {
    pub parcel: Arc<Parcel>,
    /// What became of this push by another of its addresses, if the user has answered it there.
    pub settled: Option<Settled>,
    /// It was under way to this member when it was replaced, and may come again although it is cancelled for the others.
    pub held: bool,
}

/// How a push was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    Got,
    Refused { code: u16 },
}

/// A question for [`Portion`].
#[derive(Debug, Clone, Copy)]
pub struct Fetch {
    pub binding: BindingId,
    pub after: Seq,
    pub limit: usize,
    /// Stop once the bodies are this many bytes; at least one parcel is answered.
    pub max_bytes: usize,
    pub now: Millis,
}

/// A stored MQTT session.
#[derive(Debug, Clone, Default)]
pub struct StoredSession {
    /// Whom it acted for.
    pub user: String,
    /// It may be resumed.
    pub lasting: bool,
    /// Filters with their QoS.
    pub subscriptions: Vec<(String, u8)>,
}

/// What a connection needs to know at its start.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
    pub session: Option<StoredSession>,
    pub memberships: Vec<Membership>,
}

/// A binding that was closed because what held it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    pub user: UserId,
    pub flow: FlowId,
}

/// One push as its initiator sees it.
#[derive(Debug, Clone)]
pub struct PushView {
    pub key: PushKey,
    pub push_id: String,
    pub initiator: String,
    pub created_at: Millis,
    pub content_type: String,
    pub size: u64,
    /// Counted when acknowledged, not when written.
    pub confirmed: bool,
    pub priority: Priority,
    pub addresses: Vec<AddressView>,
}

#[derive(Debug, Clone)]
pub struct AddressView {
    pub address: String,
    pub state: State,
    pub code: u16,
    pub recipients: u64,
    pub delivered: u64,
    pub refused: u64,
    pub gone: u64,
    pub event_at: Option<Millis>,
    /// Its result notification, while that is not received; only where a push is looked at.
    pub notification: Option<NotificationView>,
}

/// A result notification that nobody has received so far.
#[derive(Debug, Clone)]
pub struct NotificationView {
    pub given_up: bool,
    pub attempts: u32,
    /// Why the last attempt failed.
    pub failure: Option<String>,
    /// When the next attempt is due.
    pub next_at: Millis,
}

/// What became of a cancel, by address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cancelled {
    pub done: Vec<String>,
    /// Over already.
    pub too_late: Vec<String>,
    /// The push has no such address.
    pub unknown: Vec<String>,
    /// Dispatches that must not be sent any more.
    pub seqs: Vec<Seq>,
}

/// One member of one dispatch.
#[derive(Debug, Clone)]
pub struct Recipient {
    pub user: String,
    pub address: String,
    pub state: State,
    pub code: u16,
    pub reason: &'static str,
    pub at: Option<Millis>,
}

#[derive(Debug, Clone, Default)]
pub struct RecipientPage {
    pub recipients: Vec<Recipient>,
    /// Position and binding of the last one looked at, where there may be more.
    pub next: Option<(i64, i64)>,
}

impl AddressView {
    /// How many of how many, and what became of the others.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut desc = format!("{} of {}", self.delivered, self.recipients);
        for (count, what) in [(self.refused, "refused"), (self.gone, "left the group")] {
            if count > 0 {
                desc.push_str(&format!(", {count} {what}"));
            }
        }
        desc
    }
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

/// A device that acts or acted for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalSeen {
    pub client: String,
    pub user: UserId,
    /// `mqtt3.1.1` or `mqtt5`.
    pub protocol: String,
    /// QoS 1 pushes that may be under way to it.
    pub receive_maximum: u16,
    /// Bytes; none where it did not say.
    pub maximum_packet: Option<u32>,
    pub seen_at: Millis,
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
