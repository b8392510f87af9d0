//! The PUBLISH frame to terminals: encoded here, once per protocol version and QoS, and shared by all who get it.
//!
//! A small body stands in the frame itself; a large one is only referred to, so that a slow socket holds a reference and
//! not a copy.

use bytes::{BufMut, Bytes, BytesMut};

use super::codec::{Version, put_var};
use crate::broker::OpenMessage;
use crate::clock::Millis;
use crate::parcel::Parcel;

/// Up to here a body is copied into the frame: one system call with one buffer is cheaper than two buffers.
const INLINE: usize = 2_048;

/// A PUBLISH, ready but for its packet id.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    head: BytesMut,
    /// Where the packet id stands; QoS 0 has none.
    id_at: Option<usize>,
    body: Bytes,
}

impl Frame {
    /// The bytes for one receiver: `head`, then `body`.
    pub(super) fn stamped(&mut self, id: u16, dup: bool) -> (&[u8], &Bytes) {
        if let Some(at) = self.id_at {
            self.head[at..at + 2].copy_from_slice(&id.to_be_bytes());
            self.head[0] = if dup { self.head[0] | 0x08 } else { self.head[0] & !0x08 };
        }
        (&self.head, &self.body)
    }

    pub(super) fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// What a PUBLISH says.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    /// Without control characters: no topic that has one gets this far.
    pub(super) topic: &'a str,
    pub(super) content_type: Option<&'a str>,
    pub(super) response_topic: Option<&'a str>,
    pub(super) correlation: Option<&'a [u8]>,
    pub(super) is_utf8: Option<bool>,
    /// Seconds.
    pub(super) expiry: Option<u32>,
    pub(super) user: Vec<(&'a str, &'a str)>,
    /// Further user properties, encoded already.
    pub(super) raw_user: &'a [u8],
    pub(super) body: Bytes,
}

/// Builds a frame at QoS 0 or 1. The length is that of the bytes that were written, never reckoned beside them.
pub(super) fn build(version: Version, qos1: bool, message: &Message<'_>) -> Frame {
    let mut variable = BytesMut::with_capacity(message.topic.len() + 64);
    put_text(&mut variable, message.topic);
    let id_at = qos1.then_some(variable.len());
    if qos1 {
        variable.put_u16(0);
    }
    if version == Version::V5 {
        let mut properties = BytesMut::new();
        put_properties(&mut properties, message);
        put_var(&mut variable, properties.len());
        variable.put_slice(&properties);
    }
    let inline = message.body.len() <= INLINE;
    let mut head = BytesMut::with_capacity(variable.len() + 5 + if inline { message.body.len() } else { 0 });
    head.put_u8(if qos1 { 0x32 } else { 0x30 });
    put_var(&mut head, variable.len() + message.body.len());
    let id_at = id_at.map(|at| head.len() + at);
    head.put_slice(&variable);
    let body = if inline {
        head.put_slice(&message.body);
        Bytes::new()
    } else {
        message.body.clone()
    };
    Frame { head, id_at, body }
}

/// The frame of a push.
pub(super) fn of_parcel(version: Version, qos1: bool, parcel: &Parcel, topic: &str, now: Millis) -> Frame {
    let mut user = Vec::new();
    if version == Version::V5 {
        user.push(("push-id", parcel.push_id.as_str()));
        user.push(("address", parcel.address.as_str()));
        user.extend(parcel.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    }
    let seconds = (parcel.deadline.saturating_sub(now) / 1000).max(1);
    let message = Message {
        topic,
        content_type: Some(parcel.content_type.as_str()).filter(|name| !name.is_empty()),
        expiry: u32::try_from(seconds).ok(),
        user,
        body: parcel.body.clone(),
        ..Message::default()
    };
    build(version, qos1, &message)
}

/// A message between terminals, at this moment; `None` once it has expired.
pub(super) fn open_message(message: &OpenMessage, now: Millis) -> Option<Message<'_>> {
    let properties = &message.properties;
    let expiry = match properties.expires_at {
        0 => None,
        at if at <= now => return None,
        at => Some(u32::try_from((at - now) / 1000).unwrap_or(u32::MAX).max(1)),
    };
    Some(Message {
        topic: &message.topic,
        content_type: properties.content_type.as_deref(),
        response_topic: properties.response_topic.as_deref(),
        correlation: properties.correlation.as_deref(),
        is_utf8: properties.is_utf8,
        expiry,
        user: Vec::new(),
        raw_user: &properties.user,
        body: message.payload.clone(),
    })
}

/// Property identifiers of MQTT 5.0 §2.2.2.2.
fn put_properties(out: &mut BytesMut, message: &Message<'_>) {
    if let Some(is_utf8) = message.is_utf8 {
        out.put_slice(&[0x01, u8::from(is_utf8)]);
    }
    if let Some(seconds) = message.expiry {
        out.put_u8(0x02);
        out.put_u32(seconds);
    }
    if let Some(text) = message.content_type {
        out.put_u8(0x03);
        put_text(out, text);
    }
    if let Some(text) = message.response_topic {
        out.put_u8(0x08);
        put_text(out, text);
    }
    if let Some(data) = message.correlation {
        out.put_u8(0x09);
        put_bytes(out, data);
    }
    for (name, value) in &message.user {
        out.put_u8(0x26);
        put_text(out, name);
        put_text(out, value);
    }
    out.put_slice(message.raw_user);
}

/// Leaves out NUL, the one character that MQTT forbids in a string (§1.5.4), and cuts at the longest that it has.
fn put_text(out: &mut BytesMut, text: &str) {
    if text.contains('\0') {
        put_bytes(out, text.replace('\0', "").as_bytes());
    } else {
        put_bytes(out, text.as_bytes());
    }
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    let mut end = bytes.len().min(usize::from(u16::MAX));
    while end < bytes.len() && end > 0 && bytes[end] & 0xC0 == 0x80 {
        end -= 1;
    }
    out.put_u16(u16::try_from(end).unwrap_or(0));
    out.put_slice(&bytes[..end]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_what_the_specification_says() {
        let message =
            Message { topic: "a/b", content_type: Some("t"), body: Bytes::from_static(b"xy"), ..Message::default() };
        let mut frame = build(Version::V3, false, &message);
        assert_eq!(frame.stamped(9, false).0, b"\x30\x07\0\x03a/bxy");
        let mut frame = build(Version::V3, true, &message);
        assert_eq!(frame.stamped(9, false).0, b"\x32\x09\0\x03a/b\0\x09xy");
        assert_eq!(frame.stamped(258, true).0, b"\x3a\x09\0\x03a/b\x01\x02xy");
        assert_eq!(frame.stamped(1, false).0[0], 0x32, "the duplicate flag goes away again");
        let mut frame = build(Version::V5, true, &message);
        assert_eq!(frame.stamped(9, false).0, b"\x32\x0e\0\x03a/b\0\x09\x04\x03\0\x01txy");
    }

    /// The length counted what was left out of the text: every subscriber's stream was broken from there on.
    #[test]
    fn a_control_character_broke_the_stream() {
        for body in [&b"b"[..], &[7; INLINE + 1]] {
            for version in [Version::V3, Version::V5] {
                let message = Message {
                    topic: "x/a\u{1}\u{85}\0b",
                    content_type: Some("a\0b"),
                    body: Bytes::from_static(body),
                    ..Message::default()
                };
                let mut frame = build(version, true, &message);
                let (head, tail) = frame.stamped(1, false);
                let whole = [head, tail].concat();
                let length = crate::mqtt::codec::packet_length(&whole, usize::MAX).unwrap().unwrap();
                assert_eq!(length, whole.len());
            }
        }
    }

    #[test]
    fn a_large_body_is_referred_to_not_copied() {
        let body = Bytes::from(vec![7; 100_000]);
        let message = Message { topic: "t", body: body.clone(), ..Message::default() };
        let mut frame = build(Version::V3, true, &message);
        assert_eq!(frame.len(), 100_000 + 1 + 3 + 3 + 2);
        let (head, tail) = frame.stamped(1, false);
        assert_eq!(head[..4], [0x32, 0xA5, 0x8D, 0x06]);
        assert_eq!(tail.as_ptr(), body.as_ptr());
    }

    #[test]
    fn what_mqtt_forbids_in_strings_is_cleaned() {
        let mut out = BytesMut::new();
        put_text(&mut out, "a\0b\r\nc");
        assert_eq!(&out[..], b"\0\x05ab\r\nc", "only NUL is forbidden");
        let mut out = BytesMut::new();
        put_text(&mut out, &"é".repeat(40_000));
        assert_eq!(out.len(), 2 + 65_534, "cut between two characters");
    }
}
