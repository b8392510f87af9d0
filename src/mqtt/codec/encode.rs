//! Replies to bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::properties::id;
use super::{ConnAck, Reply, Version, reason};

/// The bytes of a reply; none where the version has no such packet.
pub(in crate::mqtt) fn encode(version: Version, reply: &Reply) -> Bytes {
    let v5 = version == Version::V5;
    let mut body = BytesMut::new();
    let first = match reply {
        Reply::ConnAck(ack) => {
            if v5 {
                connack_v5(&mut body, ack)
            } else {
                connack_v3(&mut body, ack)
            }
            0x20
        }
        Reply::PubAck { id, reason } => ack(&mut body, 0x40, v5, *id, *reason),
        Reply::PubRec { id, reason } => ack(&mut body, 0x50, v5, *id, *reason),
        Reply::PubRel { id, reason } => ack(&mut body, 0x62, v5, *id, *reason),
        Reply::PubComp { id, reason } => ack(&mut body, 0x70, v5, *id, *reason),
        Reply::SubAck { id, codes } => {
            codes_of(&mut body, v5, *id);
            // 3.1.1 knows one failure (§3.9.3).
            body.extend(codes.iter().map(|code| if v5 { *code } else { (*code).min(0x80) }));
            0x90
        }
        Reply::UnsubAck { id, codes } => {
            codes_of(&mut body, v5, *id);
            if v5 {
                body.extend(codes);
            }
            0xB0
        }
        Reply::Pong => 0xD0,
        Reply::Disconnect { .. } if !v5 => return Bytes::new(),
        Reply::Disconnect { reason } => {
            body.put_u8(*reason);
            0xE0
        }
    };
    let mut out = BytesMut::with_capacity(body.len() + 5);
    out.put_u8(first);
    put_var(&mut out, body.len());
    out.put_slice(&body);
    out.freeze()
}

/// A reason of success need not be said (MQTT 5.0 §3.4.2.1).
fn ack(body: &mut BytesMut, first: u8, v5: bool, id: u16, code: u8) -> u8 {
    body.put_u16(id);
    if v5 && code != reason::SUCCESS {
        body.put_u8(code);
    }
    first
}

fn codes_of(body: &mut BytesMut, v5: bool, id: u16) {
    body.put_u16(id);
    if v5 {
        body.put_u8(0);
    }
}

/// Return codes of 3.1.1 (§3.2.2.3).
fn connack_v3(body: &mut BytesMut, ack: &ConnAck) {
    body.put_u8(u8::from(ack.session_present));
    body.put_u8(match ack.reason {
        reason::SUCCESS => 0,
        reason::UNSUPPORTED_VERSION => 1,
        reason::CLIENT_ID_INVALID => 2,
        reason::BAD_USER_NAME_OR_PASSWORD => 4,
        reason::NOT_AUTHORIZED => 5,
        _ => 3,
    });
}

fn connack_v5(body: &mut BytesMut, ack: &ConnAck) {
    body.put_slice(&[u8::from(ack.session_present), ack.reason]);
    let mut properties = BytesMut::new();
    if ack.reason == reason::SUCCESS {
        if let Some(seconds) = ack.session_expiry {
            properties.put_u8(id::SESSION_EXPIRY);
            properties.put_u32(seconds);
        }
        properties.put_u8(id::RECEIVE_MAXIMUM);
        properties.put_u16(ack.receive_max);
        properties.put_slice(&[id::RETAIN_AVAILABLE, 0]);
        properties.put_u8(id::MAXIMUM_PACKET_SIZE);
        properties.put_u32(ack.max_packet);
        if let Some(client) = &ack.assigned_client_id {
            put_text(&mut properties, id::ASSIGNED_CLIENT_ID, client);
        }
        properties.put_slice(&[id::SUBSCRIPTION_IDS_AVAILABLE, 0, id::SHARED_AVAILABLE, 0]);
    }
    if !ack.why.is_empty() {
        put_text(&mut properties, id::REASON_STRING, &ack.why);
    }
    put_var(body, properties.len());
    body.put_slice(&properties);
}

/// A property whose value is a text; those that we send are short.
fn put_text(out: &mut BytesMut, id: u8, text: &str) {
    out.put_u8(id);
    out.put_u16(u16::try_from(text.len()).unwrap_or(0));
    out.put_slice(text.as_bytes());
}

/// A variable byte integer (MQTT 5.0 §1.5.5).
pub(in crate::mqtt) fn put_var(out: &mut BytesMut, mut value: usize) {
    loop {
        let byte = (value & 0x7F) as u8;
        value >>= 7;
        out.put_u8(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            return;
        }
    }
}
