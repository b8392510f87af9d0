//! What can happen, and how it is written as JSON.

use std::sync::Arc;

use serde::Serialize;

use crate::clock::{self, Millis};

/// What has happened.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// A user came into a group.
    Join(MembershipEvent),
    /// A user left a group.
    Leave(MembershipEvent),
    /// A push to one address was taken.
    Push(PushEvent),
    /// Members have answered it.
    Progress(PushEvent),
    /// It has come to its end.
    Final(PushEvent),
    /// A terminal's session has begun.
    Connect(ConnectionEvent),
    /// A terminal's connection has ended.
    Disconnect(ConnectionEvent),
    /// Something was not accepted.
    Refused {
        /// `push`, `cancel`, `connect` or `join`.
        what: &'static str,
        /// An initiator, a client id or a user.
        who: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        push_id: Option<String>,
        /// A PAP code, an MQTT reason code, or the reason of a group request.
        code: String,
        desc: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        request: Option<String>,
    },
    /// An operator, or the gateway by a rule, changed something.
    Change { by: String, act: &'static str, object: String, detail: String },
    /// A packet of a client that is traced.
    Trace {
        user: String,
        client_id: String,
        /// `in` from the terminal, `out` to it.
        direction: &'static str,
        packet: String,
    },
}

#[derive(Debug, Clone, Serialize)]
pub struct MembershipEvent {
    pub user: String,
    pub group: String,
    /// By whose hand.
    pub by: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct PushEvent {
    pub push_id: String,
    pub initiator: String,
    pub address: String,
    pub group: Option<String>,
    pub user: Option<String>,
    pub state: &'static str,
    pub code: u16,
    pub recipients: u64,
    pub delivered: u64,
    pub refused: u64,
    pub left: u64,
    /// Since it could be delivered, where it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Bytes of the content.
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// It gives a new member of the group its last push.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub welcome: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct ConnectionEvent {
    pub user: Option<String>,
    pub client_id: String,
    pub remote: String,
    pub protocol: &'static str,
    /// `tcp`, `tls`, `websocket` or `websocket-tls`.
    pub transport: &'static str,
    /// Why it ended, as one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<&'static str>,
}

/// Which kind of event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Join,
    Leave,
    Push,
    Progress,
    Final,
    Connect,
    Disconnect,
    Refused,
    Change,
    Trace,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Join,
        Self::Leave,
        Self::Push,
        Self::Progress,
        Self::Final,
        Self::Connect,
        Self::Disconnect,
        Self::Refused,
        Self::Change,
        Self::Trace,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Push => "push",
            Self::Progress => "progress",
            Self::Final => "final",
            Self::Connect => "connect",
            Self::Disconnect => "disconnect",
            Self::Refused => "refused",
            Self::Change => "change",
            Self::Trace => "trace",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Event {
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Join(_) => Kind::Join,
            Self::Leave(_) => Kind::Leave,
            Self::Push(_) => Kind::Push,
            Self::Progress(_) => Kind::Progress,
            Self::Final(_) => Kind::Final,
            Self::Connect(_) => Kind::Connect,
            Self::Disconnect(_) => Kind::Disconnect,
            Self::Refused { .. } => Kind::Refused,
            Self::Change { .. } => Kind::Change,
            Self::Trace { .. } => Kind::Trace,
        }
    }

    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Join(one) | Self::Leave(one) => Some(&one.user),
            Self::Push(push) | Self::Progress(push) | Self::Final(push) => push.user.as_deref(),
            Self::Connect(one) | Self::Disconnect(one) => one.user.as_deref(),
            Self::Refused { user, .. } => user.as_deref(),
            Self::Change { object, .. } => object.strip_prefix("user "),
            Self::Trace { user, .. } => Some(user),
        }
    }

    /// Whether it names this user in any way.
    pub(super) fn names(&self, user: &str) -> bool {
        let in_detail = |detail: &str| {
            let named = ["member ", "the join of "].iter().find_map(|words| detail.strip_prefix(words));
            named == Some(user)
        };
        self.user() == Some(user) || matches!(self, Self::Change { detail, .. } if in_detail(detail))
    }

    #[must_use]
    pub fn group(&self) -> Option<&str> {
        match self {
            Self::Join(one) | Self::Leave(one) => Some(&one.group),
            Self::Push(push) | Self::Progress(push) | Self::Final(push) => push.group.as_deref(),
            Self::Change { object, .. } => object.strip_prefix("group "),
            Self::Connect(_) | Self::Disconnect(_) | Self::Refused { .. } | Self::Trace { .. } => None,
        }
    }

    /// The push that it is about, where it is about one.
    #[must_use]
    pub fn push(&self) -> Option<&PushEvent> {
        match self {
            Self::Push(push) | Self::Progress(push) | Self::Final(push) => Some(push),
            _ => None,
        }
    }

    fn push_id(&self) -> Option<&str> {
        match self {
            Self::Refused { push_id, .. } => push_id.as_deref(),
            other => other.push().map(|push| push.push_id.as_str()),
        }
    }
}

/// An event with its place and its time.
#[derive(Debug)]
pub struct Happening {
    pub id: u64,
    pub at: Millis,
    pub event: Event,
}

#[derive(Serialize)]
struct Written<'a> {
    event: &'static str,
    id: &'a str,
    at: String,
    #[serde(flatten)]
    body: &'a Event,
}

impl Happening {
    /// Whether it shows that a terminal of its user was here.
    #[must_use]
    pub fn is_presence(&self) -> bool {
        matches!(self.event, Event::Connect(_) | Event::Disconnect(_))
    }

    /// As one JSON object; `id` is what a reader goes on after.
    #[must_use]
    pub fn to_json(&self, id: &str) -> String {
        let written =
            Written { event: self.event.kind().name(), id, at: clock::format_utc_millis(self.at), body: &self.event };
        serde_json::to_string(&written).unwrap_or_default()
    }
}

/// Which events are wanted; what is not said does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Empty: all but traces, which are told to those who ask for them by name.
    pub kinds: Vec<Kind>,
    pub group: Option<String>,
    pub user: Option<String>,
    pub push_id: Option<String>,
    pub initiator: Option<String>,
}

impl Filter {
    #[must_use]
    pub fn takes(&self, event: &Event) -> bool {
        let kind = event.kind();
        let of_kind = if self.kinds.is_empty() { kind != Kind::Trace } else { self.kinds.contains(&kind) };
        let fits = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
        of_kind
            && fits(&self.group, event.group())
            && fits(&self.user, event.user())
            && fits(&self.push_id, event.push_id())
            && fits(&self.initiator, event.push().map(|push| push.initiator.as_str()))
    }

    /// Those of some events that are wanted.
    pub fn choose<'a>(&'a self, all: &'a [Arc<Happening>]) -> impl Iterator<Item = &'a Arc<Happening>> {
        all.iter().filter(|one| self.takes(&one.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(user: &str) -> Event {
        Event::Join(MembershipEvent { user: user.into(), group: "news".into(), by: "terminal".into() })
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let happening = Happening { id: 7, at: 1_795_341_600_123, event: join("alice") };
        let read: serde_json::Value = serde_json::from_str(&happening.to_json("k-7")).unwrap();
        let expected = serde_json::json!({"event": "join", "id": "k-7", "at": "2026-11-22T10:00:00.123Z",
            "user": "alice", "group": "news", "by": "terminal"});
        assert_eq!(read, expected);
    }

    #[test]
    fn traces_are_for_those_who_ask_for_them() {
        let trace =
            Event::Trace { user: "alice".into(), client_id: "c".into(), direction: "in", packet: "PINGREQ".into() };
        let all = Filter::default();
        assert!(all.takes(&join("alice")) && !all.takes(&trace));
        let traces = Filter { kinds: vec![Kind::Trace], user: Some("alice".into()), ..Filter::default() };
        assert!(traces.takes(&trace) && !traces.takes(&join("alice")));
        let bob = Filter { user: Some("bob".into()), ..Filter::default() };
        assert!(!bob.takes(&join("alice")));
    }
}
