//! A CONNECT that is refused: the reason code, and words for the log and for MQTT 5.

use super::codec::{ConnAck, Reply, Version, reason};
use super::connection::{Close, Conn};
use super::worker::Worker;
use crate::log_limit::LogLimit;
use crate::signals::Event;

/// A few lines a minute, the rest is counted.
static REFUSED: LogLimit = LogLimit::new(20);

/// Why a CONNECT is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u8,
    pub(super) why: String,
    /// The key of the limit that is reached.
    limit: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(code: u8, why: impl Into<String>) -> Self {
        Self { code, why: why.into(), limit: None }
    }

    /// A limit is reached.
    pub(super) fn over(limit: &'static str, why: &str) -> Self {
        Self { code: reason::QUOTA_EXCEEDED, why: format!("{why} ({limit})"), limit: Some(limit) }
    }
}

/// The beginning of a first packet that cannot be one. Nobody knows which version it speaks, so there is no answer.
pub(super) fn unreadable(worker: &Worker, conn: &Conn, code: u8) -> Close {
    if code == reason::PACKET_TOO_LARGE {
        worker.gateway.over_limit("mqtt.max_connect", conn.remote);
    }
    Close::Gone
}

/// MQTT 3.1.1 has words for a few reasons and closes for all others (§3.1.4).
pub(super) fn refuse(worker: &Worker, conn: &Conn, version: Version, client: &str, refusal: &Refusal) -> Close {
    let Refusal { code, why, limit } = refusal;
    if let Some(limit) = limit {
        worker.gateway.over_limit(limit, conn.remote);
    }
    if let Some(left_out) = REFUSED.pass() {
        let client: String = client.chars().take(100).collect();
        tracing::info!(remote = %conn.remote, client, code = %format_args!("{code:#04x}"), why, left_out, "a CONNECT was refused");
    }
    let mut who: String = client.chars().take(100).collect();
    if who.is_empty() {
        who = conn.remote.to_string();
    }
    worker.gateway.signals().report(Event::Refused {
        what: "connect",
        who,
        user: None,
        push_id: None,
        code: format!("{code:#04x}"),
        desc: why.clone(),
        request: None,
    });
    let has_words = matches!(
        *code,
        reason::UNSUPPORTED_VERSION
            | reason::CLIENT_ID_INVALID
            | reason::BAD_USER_NAME_OR_PASSWORD
            | reason::NOT_AUTHORIZED
            | reason::UNAVAILABLE
            | reason::QUOTA_EXCEEDED
    );
    if version == Version::V5 || has_words {
        conn.reply(version, &Reply::ConnAck(Box::new(ConnAck::refusal(*code, why))));
    }
    Close::Gone
}
