//! What is known of the devices of a user, and of all users.

use super::outcome::LastSeen;
use crate::clock::Millis;
use crate::parcel::FlowId;

/// A user as its devices show it.
#[derive(Debug, Clone)]
pub struct DeviceView {
    /// The row of the user, after which the next page begins.
    pub id: FlowId,
    pub user: String,
    pub groups: u64,
    pub seen: LastSeen,
    /// Protocol of the terminal that was seen last.
    pub protocol: Option<String>,
    /// Pushes that it owes an answer, counted up to a bound.
    pub owed: u64,
    /// When the oldest of them was taken.
    pub owed_since: Option<Millis>,
}

/// A push that a user has not answered.
#[derive(Debug, Clone)]
pub struct OwedPush {
    pub push_id: String,
    pub initiator: String,
    pub address: String,
    pub created_at: Millis,
    pub deadline: Millis,
}

/// A push that a user has not got and will not get: its terminals refused it, or cannot take one of this size.
#[derive(Debug, Clone)]
pub struct RefusedPush {
    pub push_id: String,
    pub initiator: String,
    pub address: String,
    /// The PAP code.
    pub code: u16,
    pub at: Millis,
}

/// What erasing a user took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    pub memberships: u64,
    pub sessions: u64,
    pub credentials: u64,
    /// Addresses of pushes that were to this user alone, and are ended.
    pub pushes: u64,
}
