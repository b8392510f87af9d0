//! What each packet does once the session has begun.

use std::rc::Rc;

use super::codec::{Packet, Publish, Reply, Version, reason};
use super::connection::{Close, Conn, RECEIVE_MAX};
use super::worker::Worker;
use super::{attach, client_messages, client_publish, group_requests, sign_in, subscribe};
use crate::ids::{GROUP_PREFIX, Target, USER_PREFIX};

pub(super) async fn handle(
    worker: &Rc<Worker>,
    conn: &Rc<Conn>,
    version: Version,
    packet: Packet,
) -> Result<(), Close> {
    #[cfg(debug_assertions)]
    if let Some(session) = &conn.state.borrow().session {
        crate::faults::trip(&format!("connection:{}", session.client_id));
    }
    match packet {
        Packet::PubAck { id, reason } => {
            conn.with_session(|session, _, _| session.acknowledge(id, reason));
            worker.list(conn);
            attach::go_on(worker, conn);
        }
        Packet::Publish(publish) => Box::pin(take_publish(worker, conn, version, *publish)).await?,
        Packet::PubRel { id } => {
            let known = forget_received(conn, id);
            let reason = if known { reason::SUCCESS } else { reason::PACKET_ID_NOT_FOUND };
            conn.reply(version, &Reply::PubComp { id, reason });
        }
        // We send nothing at QoS 2; MQTT has an answer all the same.
        Packet::PubRec { id } => conn.reply(version, &Reply::PubRel { id, reason: reason::PACKET_ID_NOT_FOUND }),
        Packet::PubComp => {}
        Packet::Subscribe { identified: true, .. } => {
            return Err(Close::Reason(reason::SUBSCRIPTION_IDS_NOT_SUPPORTED));
        }
        Packet::Subscribe { id, filters, .. } => {
            Box::pin(subscribe::subscribe(worker, conn, version, id, filters)).await?;
        }
        Packet::Unsubscribe { id, filters } => {
            Box::pin(subscribe::unsubscribe(worker, conn, version, id, filters)).await?;
        }
        Packet::Ping => conn.reply(version, &Reply::Pong),
        Packet::Disconnect { reason, session_expiry } => return Err(disconnect(worker, conn, reason, session_expiry)),
        Packet::Connect(_) => return Err(Close::Reason(reason::PROTOCOL_ERROR)),
    }
    Ok(())
}

/// A DISCONNECT may change how long the session lasts, but not from "not at all" (MQTT 5.0 §3.14.2.2.2).
fn disconnect(worker: &Worker, conn: &Conn, code: u8, session_expiry: Option<u32>) -> Close {
    let mut state = conn.state.borrow_mut();
    if let Some(seconds) = session_expiry {
        if state.expiry == 0 && seconds > 0 {
            return Close::Reason(reason::PROTOCOL_ERROR);
        }
        state.expiry = (i64::from(seconds) * 1000).min(worker.settings().max_session_expiry);
    }
    Close::Asked { with_will: code == reason::DISCONNECT_WITH_WILL }
}

fn forget_received(conn: &Conn, id: u16) -> bool {
    let received = &mut conn.state.borrow_mut().received;
    let at = received.iter().position(|known| *known == id);
    at.map(|at| received.swap_remove(at)).is_some()
}

async fn take_publish(worker: &Rc<Worker>, conn: &Rc<Conn>, version: Version, publish: Publish) -> Result<(), Close> {
    let (id, qos) = (publish.id, publish.qos);
    client_publish::check_topics(&publish).map_err(Close::Reason)?;
    if publish.retain && version == Version::V5 {
        return Err(Close::Reason(reason::RETAIN_NOT_SUPPORTED));
    }
    if qos == 2 && !note_received(conn, id)? {
        conn.reply(version, &Reply::PubRec { id, reason: reason::SUCCESS });
        return Ok(());
    }
    let code = act_on(worker, conn, publish).await;
    match qos {
        0 => {}
        1 => conn.reply(version, &Reply::PubAck { id, reason: code }),
        _ => {
            if code >= reason::UNSPECIFIED && version == Version::V5 {
                forget_received(conn, id);
            }
            conn.reply(version, &Reply::PubRec { id, reason: code });
        }
    }
    Ok(())
}

/// Remembers the id of a QoS 2 publish until its PUBREL; `false` where it came before.
fn note_received(conn: &Conn, id: u16) -> Result<bool, Close> {
    let received = &mut conn.state.borrow_mut().received;
    if received.contains(&id) {
        return Ok(false);
    }
    if received.len() >= usize::from(RECEIVE_MAX) {
        return Err(Close::Reason(reason::RECEIVE_MAXIMUM));
    }
    received.push(id);
    Ok(true)
}

/// Does what a publish asks for; answers the reason code of its acknowledgement.
async fn act_on(worker: &Rc<Worker>, conn: &Rc<Conn>, publish: Publish) -> u8 {
    let topic = &publish.topic;
    let longest = worker.settings().max_topic;
    let is_too_long = |conn: &Conn| {
        worker.gateway.over_limit("mqtt.max_topic", conn.remote);
        reason::TOPIC_INVALID
    };
    if topic.len() > longest {
        return is_too_long(conn);
    }
    if topic.starts_with(group_requests::PREFIX) {
        group_requests::request(worker, conn, publish).await;
        return reason::SUCCESS;
    }
    if topic.starts_with(GROUP_PREFIX) || topic.starts_with(USER_PREFIX) {
        // Only the gateway publishes there.
        return if Target::from_topic(topic).is_some() { reason::NOT_AUTHORIZED } else { reason::TOPIC_INVALID };
    }
    if topic.starts_with('$') {
        return reason::NOT_AUTHORIZED;
    }
    if !sign_in::may_publish(conn) {
        return reason::NOT_AUTHORIZED;
    }
    if client_publish::is_too_long(&publish, longest) {
        return is_too_long(conn);
    }
    client_messages::publish(worker, conn, publish)
}
