//! What travels: one push on its way to one flow. Store, broker, gateway and MQTT side all speak of it.

use bytes::Bytes;

use crate::clock::Millis;
use crate::ids::Target;

/// The place of a dispatch in the one order of all dispatches.
pub type Seq = i64;
/// Row of a flow (a group, or a user's own pushes) in the store.
pub type FlowId = i64;
/// Row of a binding in the store.
pub type BindingId = i64;
/// Row of a push in the store.
pub type PushKey = i64;

/// One push to one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    pub seq: Seq,
    /// The dispatch before this one in the same flow; 0 for the first.
    pub prev: Seq,
    pub flow: FlowId,
    pub target: Target,
    pub push: PushKey,
    /// Another address of the same push may reach the same user: it goes through the store, never by the live path.
    pub shared: bool,
    /// QoS 1 towards the terminal and counted when acknowledged; else QoS 0 and counted when written.
    pub confirmed: bool,
    /// Not to be sent from this moment on.
    pub deadline: Millis,
    pub push_id: String,
    /// The address as the initiator wrote it.
    pub address: String,
    pub content_type: String,
    /// Further headers of the content entity, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}
