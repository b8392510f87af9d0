//! What the gateway needs of the MQTT side, which implements it, and `app` puts the two together.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use serde::Serialize;

use crate::caller::Login;
use crate::clock::Millis;
use crate::ids::UserId;
use crate::parcel::{BindingId, DispatchId, PushKey};
use crate::store::PendingReply;

/// A boxed future: these calls cross to the workers' threads and are rare.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A terminal that is connected.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Connection {
    pub client_id: String,
    /// `mqtt3.1.1` or `mqtt5`.
    pub protocol: &'static str,
    pub remote: String,
    pub connected_at: String,
    /// QoS 1 pushes that may be under way to it.
    pub receive_maximum: u16,
    /// Bytes; none where it did not say.
    #[schema(required)]
    pub maximum_packet_size: Option<u32>,
}

/// A user who is connected, as far as one push is concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InSight {
    /// When it went out to one of the user's terminals, which has not answered.
    pub sent_at: Option<Millis>,
    /// How often it went out by now.
    pub times: u32,
    /// The push that a terminal has left unanswered for longest: others wait behind it.
    pub oldest: Option<PushKey>,
}

/// The terminals that are connected, by the user they act for.
pub trait Terminals: Send + Sync + std::fmt::Debug {
    /// Who acts for a user now.
    fn connections(&self, user: &UserId) -> Vec<Connection>;

    /// How many connections there are that act for somebody.
    fn count(&self) -> usize;

    /// Whether anybody acts for a user now.
    fn is_here(&self, user: &UserId) -> bool;

    /// Those of these users who are connected, each with a push, and whether that is under way to them.
    fn look(&self, whom: Vec<(UserId, DispatchId)>) -> Later<'_, HashMap<(UserId, DispatchId), InSight>>;

    /// Since when those of these users who have not answered a push have not.
    fn unanswered(&self, users: Vec<UserId>) -> Later<'_, HashMap<UserId, Millis>>;

    /// Whether a connection has this client id, or is about to.
    fn is_connected(&self, client: &str) -> bool;

    /// Writes down every acknowledgement of this user's terminals.
    fn settle<'a>(&'a self, user: &'a UserId) -> Later<'a, ()>;

    /// A second answer to a join that had to wait.
    fn answer<'a>(&'a self, user: &'a UserId, reply: PendingReply, payload: Vec<u8>) -> Later<'a, ()>;

    /// The bindings to which one of these dispatches is under way though no session has it now: its connection has just ended
    /// or is just beginning, or its session is interrupted.
    fn interrupted(&self, dispatches: &[DispatchId]) -> Vec<(BindingId, DispatchId)>;

    /// A session that was interrupted will not be resumed.
    fn forget_session(&self, client: &str);

    /// Ends the connections that signed in with this credential, which is one no more.
    fn sign_out(&self, login: Login) -> Later<'_, ()>;

    /// Ends the connections of a user, or the one with this client id among them; answers how many.
    fn disconnect(&self, user: UserId, client: Option<String>) -> Later<'_, usize>;

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
    fn count(&self) -> usize {
        0
    }
    fn is_here(&self, _: &UserId) -> bool {
        false
    }
    fn look(&self, _: Vec<(UserId, DispatchId)>) -> Later<'_, HashMap<(UserId, DispatchId), InSight>> {
        Box::pin(std::future::ready(HashMap::new()))
    }
    fn unanswered(&self, _: Vec<UserId>) -> Later<'_, HashMap<UserId, Millis>> {
        Box::pin(std::future::ready(HashMap::new()))
    }
    fn is_connected(&self, _: &str) -> bool {
        false
    }
    fn settle<'a>(&'a self, _: &'a UserId) -> Later<'a, ()> {
        Box::pin(std::future::ready(()))
    }
    fn answer<'a>(&'a self, _: &'a UserId, _: PendingReply, _: Vec<u8>) -> Later<'a, ()> {
        Box::pin(std::future::ready(()))
    }
    fn interrupted(&self, _: &[DispatchId]) -> Vec<(BindingId, DispatchId)> {
        Vec::new()
    }
    fn forget_session(&self, _: &str) {}
    fn sign_out(&self, _: Login) -> Later<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    fn disconnect(&self, _: UserId, _: Option<String>) -> Later<'_, usize> {
        Box::pin(std::future::ready(0))
    }
    fn settle_all(&self) -> Later<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
