//! What travels: one push on its way to one flow. Store, broker, gateway and MQTT side all speak of it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Millis;
use crate::ids::{GroupId, Target};

/// The place of a dispatch among those of its flow, in the order of dispatch. The first one has 1; 0 is before all.
///
/// Two flows count alike, so it says nothing without its flow and is no key of a map: that is [`DispatchId`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(pub i64);

impl Seq {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The one before it.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0 - 1)
    }
}

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Which dispatch it is: a flow, and the place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DispatchId {
    pub flow: FlowId,
    pub seq: Seq,
}

impl Hash for DispatchId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.flow, self.seq.0).hash(state);
    }
}

/// Row of a flow (a group, or a user's own pushes) in the store.
pub type FlowId = i64;
/// Row of a binding in the store.
pub type BindingId = i64;
/// Row of a push in the store.
pub type PushKey = i64;

/// The other destinations of a push by which it may reach a user of this one. A user gets it once, so whoever serves two of
/// them asks the store, which knows what came by the other one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Siblings {
    None,
    /// These, and this one again where the push names it twice.
    These(Arc<[FlowId]>),
    /// Some; only the store knows which, and to whom.
    Unknown,
}

impl Siblings {
    /// More are not named on the way.
    pub const MOST: usize = 32;

    #[must_use]
    pub fn exist(&self) -> bool {
        !matches!(self, Self::None)
    }
}

/// One push to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    pub seq: Seq,
    pub flow: FlowId,
    pub target: Target,
    pub push: PushKey,
    /// By what else the same push may reach the same user.
    pub siblings: Siblings,
    /// QoS 1 towards the terminal and counted when acknowledged; else QoS 0 and counted when written.
    pub confirmed: bool,
    /// Since when it may be sent.
    pub since: Millis,
    /// Not to be sent from this moment on.
    pub deadline: Millis,
    /// The group whose last push it is for a new member: to that one it comes on the group's topic.
    pub welcome: Option<GroupId>,
    pub push_id: String,
    /// The address as the initiator wrote it.
    pub address: String,
    pub content_type: String,
    /// Further headers of the content entity, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Parcel {
    #[must_use]
    pub fn id(&self) -> DispatchId {
        DispatchId { flow: self.flow, seq: self.seq }
    }

    /// The topic on which it comes.
    #[must_use]
    pub fn topic(&self) -> String {
        self.welcome.as_ref().map_or_else(|| self.target.topic(), GroupId::topic)
    }
}

/// An open binding as a session needs it.
#[derive(Debug, Clone)]
pub struct Membership {
    pub binding: BindingId,
    pub flow: FlowId,
    pub target: Target,
    pub joined: Seq,
    pub acked: Seq,
    /// The newest dispatch of the flow.
    pub head: Seq,
}
