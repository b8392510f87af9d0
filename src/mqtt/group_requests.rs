//! `$push/…`: group requests over MQTT, and their answers.

use std::rc::Rc;
use std::time::Instant;

use super::answer_size;
use super::codec::Publish;
use super::connection::Conn;
use super::publish_frame::Message;
use super::sign_in;
use super::subscribe::{self, RESPONSE};
use super::worker::Worker;
use crate::gateway::{Answer, GroupRequest, Op, Reason};
use crate::ids::Target;
use crate::store::PendingReply;

pub(super) const PREFIX: &str = "$push/";

/// Any request, as JSON.
const REQUEST_TOPIC: &str = "$push/request";
/// Bytes of a packet that small devices take.
const SMALL: usize = 256;

/// Largest request, in bytes.
const REQUEST_MAX: usize = 4_096;

/// Carries out a group request and answers it.
pub(super) async fn request(worker: &Rc<Worker>, conn: &Rc<Conn>, publish: Publish) {
    let is_free = publish.properties.response_topic.as_deref().is_none_or(may_answer_on);
    let reply = PendingReply {
        request_id: None,
        response_topic: publish.properties.response_topic.filter(|_| is_free),
        correlation: publish.properties.correlation,
    };
    let short = publish.topic != REQUEST_TOPIC;
    let answer = match parse(&publish.topic, &publish.payload) {
        Ok(request) if !is_free => Answer { id: request.id, ..not_there(request.op) },
        Ok(request) if !may_ask(worker, conn) => {
            let desc = "so many group requests were made in a minute (mqtt.max_requests_per_minute)";
            Answer { id: request.id, ..Answer::rejected(Some(request.op), Reason::LimitReached, desc) }
        }
        Ok(mut request) => {
            request.response_topic.clone_from(&reply.response_topic);
            request.correlation.clone_from(&reply.correlation);
            carry_out(worker, conn, request).await
        }
        Err(desc) => Answer::rejected(None, Reason::BadRequest, desc),
    };
    // Whoever types the group into the topic is a small device: some libraries drop a packet of more than 256 bytes without
    // a word, and then the device never learns that it is in.
    send_fitting(
        conn,
        &reply,
        answer.to_json(),
        if short && reply.response_topic.is_none() { SMALL } else { usize::MAX },
    );
}

/// Whether this connection has not asked too often.
fn may_ask(worker: &Worker, conn: &Conn) -> bool {
    let may = worker.settings().requests.take(&mut conn.state.borrow_mut().requests, Instant::now()).is_ok();
    if !may {
        worker.gateway.over_limit("mqtt.max_requests_per_minute", conn.remote);
    }
    may
}

async fn carry_out(worker: &Rc<Worker>, conn: &Rc<Conn>, request: GroupRequest) -> Answer {
    let session = conn.state.borrow().session.as_ref().and_then(|session| session.user.clone());
    let (answer, named) = worker.gateway.group_request(request, &sign_in::caller(conn), session.as_ref()).await;
    if let Some(user) = named {
        subscribe::switch_user(worker, conn, user).await;
    }
    answer
}

/// Where answers may go: a client must not make the gateway speak on topics that are the gateway's alone.
fn may_answer_on(topic: &str) -> bool {
    let first = topic.split('/').next().unwrap_or_default();
    let responses = topic.strip_prefix(RESPONSE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    responses || !(first.starts_with('$') || matches!(first, "groups" | "users"))
}

fn not_there(op: Op) -> Answer {
    let desc = "the Response Topic may not be in groups/, users/ or $ (but for $push/response)";
    Answer::rejected(Some(op), Reason::BadRequest, desc)
}

/// The request that a topic and its payload make, or what is wrong with it.
fn parse(topic: &str, payload: &[u8]) -> Result<GroupRequest, String> {
    let order = topic.strip_prefix(PREFIX).unwrap_or_default();
    if order == "request" {
        if payload.len() > REQUEST_MAX {
            return Err(format!("a request has {REQUEST_MAX} bytes at most"));
        }
        // An object only: an array's elements would pass for the fields in their order.
        let fields: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(payload);
        let request = fields.and_then(|fields| serde_json::from_value(fields.into()));
        return request.map_err(|error| format!("the payload is no group request: {error}"));
    }
    let (op, level) = match order.split_once('/') {
        Some((op, level)) => (op, Some(level)),
        None => (order, None),
    };
    let op = match (op, level) {
        ("join", _) => Op::Join,
        ("leave", Some(_)) => Op::Leave,
        ("list", None) => Op::List,
        _ => {
            return Err(format!(
                "{topic} is no control topic: use $push/request, $push/join, $push/leave or $push/list"
            ));
        }
    };
    let group = match level.map(|level| Target::from_topic(&format!("{}{level}", crate::ids::GROUP_PREFIX))) {
        None => None,
        Some(Some(Target::Group(group))) => Some(group.to_string()),
        Some(_) => return Err(format!("{topic}: the group is not one encoded topic level")),
    };
    Ok(GroupRequest { op, id: None, user: None, group, response_topic: None, correlation: None })
}

/// Sends an answer to a connection, on its Response Topic if the request named one.
pub(super) fn send_answer(conn: &Conn, reply: &PendingReply, payload: Vec<u8>) {
    send_fitting(conn, reply, payload, usize::MAX);
}

/// An answer that is too large for the client, or larger than `most`, leaves out what the asker knows.
fn send_fitting(conn: &Conn, reply: &PendingReply, payload: Vec<u8>, most: usize) {
    let message = |body: Vec<u8>| Message {
        topic: reply.response_topic.as_deref().unwrap_or(RESPONSE),
        correlation: reply.correlation.as_deref(),
        content_type: Some("application/json"),
        is_utf8: Some(true),
        body: body.into(),
        ..Message::default()
    };
    conn.with_session(|session, outbox, socket| {
        let too_large = |body: &[u8]| {
            let length = session.length_of(&message(body.to_vec()));
            length > most || !session.takes(length)
        };
        let body = answer_size::fit(payload, too_large);
        session.send_own(&message(body), outbox, socket);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_topics_say_the_same_as_a_request() {
        let request = parse("$push/join/news", b"").unwrap();
        assert_eq!((request.op, request.group.as_deref()), (Op::Join, Some("news")));
        assert_eq!(parse("$push/leave/a%2Fb", b"").unwrap().group.as_deref(), Some("a/b"));
        assert_eq!(parse("$push/join", b"").unwrap().group, None);
        assert_eq!(parse("$push/list", b"").unwrap().op, Op::List);
        let request = parse("$push/request", br#"{"op":"join","id":"r1","user":"u","group":"g"}"#).unwrap();
        assert_eq!((request.id.as_deref(), request.user.as_deref()), (Some("r1"), Some("u")));
    }

    #[test]
    fn a_client_chose_where_the_gateway_speaks_to_others() {
        for topic in ["answers/here", "$push/response", "$push/response/7", "groupies/x", "é"] {
            assert!(may_answer_on(topic), "{topic}");
        }
        for topic in ["groups/alarm", "groups", "users/bob", "$push/request", "$push/responses", "$SYS/x"] {
            assert!(!may_answer_on(topic), "{topic}");
        }
    }

    #[test]
    fn what_is_no_request_is_said_to_be_none() {
        for topic in ["$push/leave", "$push/list/x", "$push/", "$push/jon", "$push/join/a/b", "$push/join/é"] {
            assert!(parse(topic, b"").is_err(), "{topic}");
        }
        assert!(parse("$push/request", b"").unwrap_err().starts_with("the payload is no group request"));
        assert!(parse("$push/request", br#"{"op":"jump"}"#).is_err());
    }
}
