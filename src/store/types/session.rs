//! MQTT sessions and devices as they are remembered.

use crate::clock::Millis;
use crate::ids::UserId;
use crate::parcel::Membership;
use crate::store::set_aside::Aside;

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
    /// Pushes to them that are set aside.
    pub aside: Vec<Aside>,
    /// Decisions on the user's joins wait to be told.
    pub answers: bool,
}

/// What becomes of a session whose connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its connection is there after all.
    Present,
    /// It may stay away so long from now on.
    Away { expiry: Millis },
    /// It is over.
    Over,
    /// It is over if it has been away longer than it may by now.
    Expired,
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
    /// Pushes that were written to it since it was noted last, and bytes of the largest one it acknowledged.
    pub sent: u64,
    pub largest_acked: u64,
    /// Why its last connection ended; none while it is connected.
    pub gone: Option<String>,
}

/// Whose session a client id has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOwner {
    pub user: String,
    /// It may be resumed.
    pub lasting: bool,
    /// The user signed in with a token that somebody else has signed.
    pub by_jwt: bool,
}
