//! One connection: its socket, and the state that its own task and the worker's tasks share.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::codec::{self, Reply, Version, reason};
use super::connection_id::ConnId;
use super::send_buffer::Outbox;
use super::session::Session;
use super::transport::Transport;
use super::wills::KeptWill;
use crate::rate_limit::Bucket;
use crate::store::SignedIn;

/// QoS 1 and 2 publishes of a client that may be unanswered at once (MQTT 5 Receive Maximum).
pub(super) const RECEIVE_MAX: u16 = 64;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// The other side has gone, or is not worth a word.
    Gone,
    /// It said DISCONNECT; the will is published only where it asked for that.
    Asked { with_will: bool },
    /// It left pushes unanswered for too long.
    Unanswered,
    /// We end it; MQTT 5 is told this reason.
    Reason(u8),
}

/// One SUBSCRIBE filter that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) filter: String,
    pub(super) qos: u8,
    /// What this client publishes does not come back to it (MQTT 5.0 §3.8.3.1).
    pub(super) no_local: bool,
}

/// No Local as SUBSCRIBE has it, and as it is stored.
const NO_LOCAL: u8 = 0x04;

impl Subscription {
    /// From what was stored.
    pub(super) fn restored((filter, options): (String, u8)) -> Self {
        Self { filter, qos: options & 3, no_local: options & NO_LOCAL != 0 }
    }

    /// Quality of service and No Local, as in SUBSCRIBE.
    pub(super) fn options(&self) -> u8 {
        self.qos | if self.no_local { NO_LOCAL } else { 0 }
    }
}

/// One of the connections that have been accepted and not been looked at. They are few: whoever accepts waits for those
/// who have to deal with it, and further ones wait in the accept queue of the system.
pub(super) type Arrival = tokio::sync::OwnedSemaphorePermit;

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) remote: SocketAddr,
    pub(super) socket: Transport,
    /// Something changed that the connection's own task has to look at.
    pub(super) wake: Notify,
    pub(super) opened: Instant,
    pub(super) state: RefCell<State>,
    /// A fetch for this connection is under way.
    pub(super) pumping: Cell<bool>,
    /// Its user's bindings are being read.
    pub(super) looking: Cell<bool>,
    /// They have to be read once more.
    pub(super) reread: Cell<bool>,
    /// Until it has said its CONNECT, or has nothing to say yet.
    arrival: RefCell<Option<Arrival>>,
    /// It is being decided whether pushes are set aside.
    pub(super) deciding: Cell<bool>,
    /// It stands in the worker's list of those who have something to be written down.
    pub(super) listed: Cell<bool>,
}

#[derive(Debug)]
pub(super) struct State {
    /// From CONNACK on.
    pub(super) session: Option<Session>,
    pub(super) outbox: Outbox,
    pub(super) heard: Instant,
    /// One and a half times what the client announced; none for 0.
    pub(super) keep_alive: Option<Duration>,
    pub(super) closing: Option<Close>,
    /// We end it, for this reason, once what it has said already is dealt with.
    pub(super) dismissed: Option<u8>,
    pub(super) will: Option<Box<KeptWill>>,
    /// Another broker: whatever it subscribes to, it does so with No Local.
    pub(super) is_bridge: bool,
    pub(super) subscriptions: Vec<Subscription>,
    /// QoS 2 publishes that wait for their PUBREL.
    pub(super) received: Vec<u16>,
    /// How many group requests it may make now.
    pub(super) requests: Option<Bucket>,
    /// The credential that it signed in with; none in mode `open`.
    pub(super) signed_in: Option<Box<SignedIn>>,
    /// How long the session may outlive the connection, in milliseconds.
    pub(super) expiry: i64,
    /// The store knows this session.
    pub(super) stored: bool,
}

impl Conn {
    pub(super) fn new(id: ConnId, remote: SocketAddr, socket: Transport, arrival: Arrival) -> Self {
        let now = Instant::now();
        Self {
            id,
            remote,
            socket,
            wake: Notify::new(),
            opened: now,
            pumping: Cell::new(false),
            looking: Cell::new(false),
            reread: Cell::new(false),
            deciding: Cell::new(false),
            listed: Cell::new(false),
            arrival: RefCell::new(Some(arrival)),
            state: RefCell::new(State {
                session: None,
                outbox: Outbox::default(),
                heard: now,
                keep_alive: None,
                closing: None,
                dismissed: None,
                will: None,
                is_bridge: false,
                subscriptions: Vec::new(),
                received: Vec::new(),
                requests: None,
                signed_in: None,
                expiry: 0,
                stored: false,
            }),
        }
    }

    /// Asks the connection's task to end it; the first reason counts.
    pub(super) fn close(&self, close: Close) {
        self.state.borrow_mut().closing.get_or_insert(close);
        self.wake.notify_one();
    }

    /// Asks the connection's task to end it for a reason that is not its fault: what it has said already still counts.
    pub(super) fn dismiss(&self, reason: u8) {
        if self.version().is_none() {
            return self.close(Close::Reason(reason));
        }
        self.state.borrow_mut().dismissed.get_or_insert(reason);
        self.wake.notify_one();
    }

    /// It has been looked at.
    pub(super) fn has_arrived(&self) {
        self.arrival.borrow_mut().take();
    }

    /// Waits until somebody ends the connection. For its own task, before its session has begun.
    pub(super) async fn until_closing(&self) {
        while !self.is_closing() {
            self.wake.notified().await;
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state.borrow().closing.is_some()
    }

    /// Runs `act` on session, outbox and socket, if the session has begun and is not ending.
    pub(super) fn with_session<R>(&self, act: impl FnOnce(&mut Session, &mut Outbox, &Transport) -> R) -> Option<R> {
        let mut state = self.state.borrow_mut();
        if state.closing.is_some() {
            return None;
        }
        let State { session, outbox, .. } = &mut *state;
        let session = session.as_mut()?;
        let was_free = outbox.is_free();
        let result = act(session, outbox, &self.socket);
        if (was_free && !outbox.is_free()) || self.socket.has_pending() {
            self.wake.notify_one();
        }
        Some(result)
    }

    /// Sends a reply; it waits in the outbox if it must.
    pub(super) fn reply(&self, version: Version, reply: &Reply) {
        let bytes = codec::encode(version, reply);
        let mut state = self.state.borrow_mut();
        let State { session, outbox, closing, .. } = &mut *state;
        // A client that cannot take our answers cannot be talked to (MQTT 5.0 §3.1.2.11.4).
        if session.as_ref().is_some_and(|session| !session.takes(bytes.len())) {
            closing.get_or_insert(Close::Gone);
            self.wake.notify_one();
            return;
        }
        if let Some(session) = session {
            session.trace("out", || reply.to_string());
        }
        outbox.send(&self.socket, &bytes, &Bytes::new());
        if !outbox.is_free() || self.socket.has_pending() {
            self.wake.notify_one();
        }
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.state.borrow().session.as_ref().map(|session| session.version)
    }
}

/// Held by what works for a connection beside its own task: a fault there ends the connection.
#[derive(Debug)]
pub(super) struct CloseOnPanic(pub(super) Rc<Conn>);

impl Drop for CloseOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(remote = %self.0.remote, "a connection is closed because what works for it has failed");
            self.0.close(Close::Reason(reason::UNSPECIFIED));
        }
    }
}

impl Close {
    pub(super) fn publishes_will(self) -> bool {
        !matches!(self, Self::Asked { with_will: false })
    }

    /// Whether it says something about what the client did: it does not where we end it for a reason of our own.
    pub(super) fn is_the_client_s(self) -> bool {
        let ours = [
            reason::TAKEN_OVER,
            reason::SHUTTING_DOWN,
            reason::NOT_AUTHORIZED,
            reason::MAXIMUM_CONNECT_TIME,
            reason::ADMINISTRATIVE,
        ];
        !matches!(self, Self::Reason(reason) if ours.contains(&reason))
    }

    /// What the session's successor does not need to be told.
    pub(super) fn reason(self) -> Option<u8> {
        match self {
            Self::Unanswered => Some(reason::ADMINISTRATIVE),
            Self::Reason(reason) if reason != reason::SUCCESS => Some(reason),
            _ => None,
        }
    }
}
