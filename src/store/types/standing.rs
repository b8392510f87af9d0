//! How a push to one address stands, as it is told to those who follow events.

use super::state::State;
use crate::clock::Millis;
use crate::ids::Target;
use crate::parcel::DispatchId;

/// One push to one address after a commit that changed it.
#[derive(Debug, Clone)]
pub struct Standing {
    /// It was taken by this commit.
    pub is_new: bool,
    /// None while it is not dispatched.
    pub id: Option<DispatchId>,
    pub push_id: String,
    pub initiator: String,
    /// The request that it came with.
    pub request: Option<String>,
    /// As the initiator wrote it.
    pub address: String,
    /// None where the address names nothing known.
    pub target: Option<Target>,
    pub created_at: Millis,
    /// Since when it may be delivered.
    pub due: Millis,
    pub confirmed: bool,
    /// Bytes of the content.
    pub size: u64,
    pub state: State,
    pub code: u16,
    pub recipients: u64,
    pub delivered: u64,
    pub refused: u64,
    pub gone: u64,
    pub event_at: Option<Millis>,
    /// It gives a new member of a group that group's last push.
    pub is_welcome: bool,
}
