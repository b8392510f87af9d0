//! Beginnings and ends of connections, as they are told: why one ended, as one word and in words.

use super::codec::{Version, reason};
use super::connection::{Close, Conn};
use super::session::Session;
use crate::signals::{ConnectionEvent, Event, Signals};

/// Characters of a client id in an event.
const LONGEST: usize = 256;

/// A session has begun on this connection.
pub(super) fn begun(signals: &Signals, conn: &Conn) {
    let event = conn.state.borrow().session.as_ref().map(|session| event(conn, session, None));
    if let Some(event) = event {
        signals.report(Event::Connect(event));
    }
}

/// A connection has ended that still has its session.
pub(super) fn ended(signals: &Signals, conn: &Conn, close: Close) {
    let event = conn.state.borrow().session.as_ref().map(|session| event(conn, session, Some(close)));
    if let Some(event) = event {
        signals.report(Event::Disconnect(event));
    }
}

fn event(conn: &Conn, session: &Session, close: Option<Close>) -> ConnectionEvent {
    ConnectionEvent {
        user: session.user.as_ref().map(ToString::to_string),
        client_id: session.client_id.chars().take(LONGEST).collect(),
        remote: conn.remote.to_string(),
        protocol: protocol(session.version),
        transport: conn.socket.name(),
        reason: close.map(|close| why(close).0),
        desc: close.map(words),
    }
}

/// As the JSON API and the metrics have it.
pub(super) fn protocol(version: Version) -> &'static str {
    if version == Version::V5 { "mqtt5" } else { "mqtt3.1.1" }
}

/// Why a connection ended, in words.
pub(super) fn words(close: Close) -> &'static str {
    why(close).1
}

/// Why a connection ended: a word of a fixed list, and words for an operator.
fn why(close: Close) -> (&'static str, &'static str) {
    match close {
        Close::Gone => ("lost", "its connection was lost"),
        Close::Asked { .. } => ("goodbye", "it said goodbye"),
        Close::Unanswered => ("unacknowledged", "it left a push unacknowledged for longer than mqtt.ack_timeout"),
        Close::Reason(reason::TAKEN_OVER) => ("taken-over", "another connection has taken over its client id"),
        Close::Reason(reason::KEEP_ALIVE_TIMEOUT) => ("keep-alive", "it was silent for longer than its keep-alive"),
        Close::Reason(reason::ADMINISTRATIVE) => ("administrative", "an operator has disconnected it"),
        Close::Reason(reason::NOT_AUTHORIZED) => ("not-authorized", "its token works no more"),
        Close::Reason(reason::MAXIMUM_CONNECT_TIME) => ("token-expired", "the time of its JWT is up"),
        Close::Reason(reason::QUOTA_EXCEEDED) => {
            ("quota", "the packets that have not come whole exceed mqtt.max_unfinished")
        }
        Close::Reason(reason::UNAVAILABLE) => ("unavailable", "the store could not answer"),
        Close::Reason(reason::SHUTTING_DOWN) => ("shutdown", "the gateway stopped"),
        Close::Reason(_) => ("protocol-error", "it did what MQTT does not allow"),
    }
}
