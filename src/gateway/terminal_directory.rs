//! What the gateway needs of the MQTT side, which implements it, and `app` puts the two together.

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;

use crate::ids::UserId;
use crate::parcel::{BindingId, FlowId, Seq};
use crate::store::{Membership, PendingReply};

/// A boxed future: these calls cross to the workers' threads and are rare.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A terminal that is connected.
#[derive(Debug, Clone, Serialize)]
pub struct Connection {
    pub client_id: String,
    /// `mqtt3.1.1` or `mqtt5`.
    pub protocol: &'static str,
    pub remote: String,
    pub connected_at: String,
    /// QoS 1 pushes that may be under way to it.
    pub receive_maximum: u16,
    /// Bytes; none where it did not say.
    pub maximum_packet_size: Option<u32>,
}

/// The terminals that are connected, by the user they act for.
pub trait Terminals: Send + Sync + std::fmt::Debug {
    /// Who acts for a user now.
    fn connections(&self, user: &UserId) -> Vec<Connection>;

    /// Whether anybody acts for a user now.
    fn is_here(&self, user: &UserId) -> bool;

    /// Whether a connection has this client id, or is about to.
    fn is_connected(&self, client: &str) -> bool;

    /// Writes down every acknowledgement of this user's terminals.
    fn settle<'a>(&'a self, user: &'a UserId) -> Later<'a, ()>;

    /// The user is a member now: its terminals get the flow's pushes from here on.
    fn attach<'a>(&'a self, user: &'a UserId, membership: Membership) -> Later<'a, ()>;

    /// The user is no member any more. Once this returns, nothing of the flow is sent to its terminals.
    fn detach<'a>(&'a self, user: &'a UserId, flow: FlowId) -> Later<'a, ()>;

    /// A second answer to a join that had to wait.
    fn answer<'a>(&'a self, user: &'a UserId, reply: PendingReply, payload: Vec<u8>) -> Later<'a, ()>;

    /// These dispatches are cancelled. Once this returns, none of them is sent.
    fn revoke<'a>(&'a self, seqs: &'a [Seq]) -> Later<'a, ()>;

    /// From now on none of these dispatches is sent, until it is let go. Answers the bindings to which they are under way.
    fn hold_back<'a>(&'a self, dispatches: &'a [(FlowId, Seq)]) -> Later<'a, Vec<(BindingId, Seq)>>;

    /// The end of that: what was not revoked meanwhile is sent. Does not wait for it.
    fn let_go(&self, dispatches: &[(FlowId, Seq)]);

    /// A session that was interrupted will not be resumed.
    fn forget_session(&self, client: &str);

    /// Writes down every acknowledgement there is.
    fn settle_all(&self) -> Later<'_, ()>;
}

/// No MQTT side: tools that only look at the store, and the moments before it is open.
#[derive(Debug)]
pub(super) struct Nobody;

impl Terminals for Nobody {
    fn connections(&self, _: &UserId) -> Vec<Connection> {
        Vec::new()
    }
    fn is_here(&self, _: &UserId) -> bool {
        false
    }
    fn is_connected(&self, _: &str) -> bool {
        false
    }
    fn settle<'a>(&'a self, _: &'a UserId) -> Later<'a, ()> {
        Box::pin(std::future::ready(()))
    }
    fn attach<'a>(&'a self, _: &'a UserId, _: Membership) -> Later<'a, ()> {
        Box::pin(std::future::ready(()))
    }
    fn detach<'a>(&'a self, _: &'a UserId, _: FlowId) -> Later<'a, ()> {
        Box::pin(std::future::ready(()))
    }
    fn answer<'a>(&'a self, _: &'a UserId, _: PendingReply, _: Vec<u8>) -> Later<'a, ()> {
        Box::pin(std::future::ready(()))
    }
    fn revoke<'a>(&'a self, _: &'a [Seq]) -> Later<'a, ()> {
        Box::pin(std::future::ready(()))
    }
    fn hold_back<'a>(&'a self, _: &'a [(FlowId, Seq)]) -> Later<'a, Vec<(BindingId, Seq)>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    fn let_go(&self, _: &[(FlowId, Seq)]) {}
    fn forget_session(&self, _: &str) {}
    fn settle_all(&self) -> Later<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
