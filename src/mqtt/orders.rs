//! Orders to a worker: what others may ask of a thread that owns connections.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::Settings;
use super::connection::Arrival;
use super::connection_id::ConnId;
use crate::caller::Login;
use crate::clock::Millis;
use crate::gateway::InSight;
use crate::ids::UserId;
use crate::parcel::DispatchId;
use crate::store::PendingReply;

/// An order to a worker.
#[derive(Debug)]
pub(super) enum Command {
    Accept {
        stream: std::net::TcpStream,
        remote: std::net::SocketAddr,
        layers: Layers,
        arrival: Arrival,
    },
    /// Another connection wants this client id. It gets it when the old one is gone and all it knew is stored.
    TakeOver {
        conn: ConnId,
    },
    Settle {
        reply: oneshot::Sender<()>,
    },
    /// Ends the connections that signed in with this credential.
    SignOut {
        login: Login,
        reply: oneshot::Sender<()>,
    },
    Answer {
        conn: ConnId,
        reply: PendingReply,
        payload: Vec<u8>,
    },
    /// Ends the connections of a user, or the one with this client id among them; answers how many.
    Disconnect {
        user: UserId,
        client: Option<String>,
        reply: oneshot::Sender<usize>,
    },
    /// Who of these users has this push under way, and since when.
    Look {
        whom: Arc<[(UserId, DispatchId)]>,
        reply: oneshot::Sender<Vec<((UserId, DispatchId), InSight)>>,
    },
    /// Since when those of these users who have not answered a push have not.
    Unanswered {
        users: Arc<[UserId]>,
        reply: oneshot::Sender<Vec<(UserId, Millis)>>,
    },
    /// The configuration says something else from now on.
    Follow {
        settings: Box<Settings>,
    },
    Stop {
        reply: oneshot::Sender<()>,
    },
}

/// What a connection has above TCP.
#[derive(Debug)]
pub(super) enum Layers {
    None,
    /// TLS that begins.
    Tls(Arc<rustls::ServerConfig>),
    /// WebSocket, over TLS that is under way or none, with what has been read already.
    WebSocket {
        tls: Option<Box<rustls::ServerConnection>>,
        read: Bytes,
    },
}

pub(super) type WorkerHandle = mpsc::UnboundedSender<Command>;
