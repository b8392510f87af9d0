//! The payload of a message inside the router: the numbers first, then the metadata, then the body.
//!
//! Metadata travels here and not in MQTT properties, because the router copies properties once per link and leaves them
//! out when it counts what a segment holds.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{OpenMessage, OpenProperties};
use crate::feed::Place;
use crate::ids::{GroupId, Target, UserId};
use crate::parcel::{Parcel, Seq, Siblings};

const CONFIRMED: u8 = 2;
const TO_USER: u8 = 4;

/// A channel of its own.
const NO_PLACE: u32 = u32::MAX;

/// No Payload Format Indicator.
const UNSAID: u8 = 2;

/// What may travel through the router: nobody else makes it.
#[derive(Debug, Clone)]
pub(super) struct Payload(Bytes);

impl Payload {
    /// The watchdog's.
    pub(super) fn beat() -> Self {
        Self(Bytes::from_static(b"beat"))
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.0
    }
}

pub(super) fn encode_push(parcel: &Parcel, place: Option<Place>) -> Payload {
    let mut out = BytesMut::with_capacity(parcel.body.len() + 256);
    out.put_i64(parcel.seq.0);
    out.put_u32(place.map_or(NO_PLACE, |place| place.channel));
    out.put_u64(place.map_or(0, |place| place.number));
    out.put_i64(parcel.flow);
    out.put_i64(parcel.push);
    out.put_i64(parcel.since);
    out.put_i64(parcel.deadline);
    let to_user = matches!(parcel.target, Target::User(_));
    out.put_u8(flag(parcel.confirmed, CONFIRMED) | flag(to_user, TO_USER));
    put_siblings(&mut out, &parcel.siblings);
    put_text(&mut out, parcel.target.id());
    put_optional(&mut out, parcel.welcome.as_ref().map(|group| group.as_str().as_bytes()));
    put_text(&mut out, &parcel.push_id);
    put_text(&mut out, &parcel.address);
    put_text(&mut out, &parcel.content_type);
    put_pairs(&mut out, &parcel.headers);
    out.put_slice(&parcel.body);
    Payload(out.freeze())
}

/// `None` for what [`encode_push`] did not write.
pub(super) fn decode_push(mut from: Bytes) -> Option<(Arc<Parcel>, Option<Place>)> {
    let seq = Seq(from.try_get_i64().ok()?);
    let channel = from.try_get_u32().ok()?;
    let number = from.try_get_u64().ok()?;
    let flow = from.try_get_i64().ok()?;
    let push = from.try_get_i64().ok()?;
    let since = from.try_get_i64().ok()?;
    let deadline = from.try_get_i64().ok()?;
    let flags = from.try_get_u8().ok()?;
    let siblings = get_siblings(&mut from)?;
    let id = get_text(&mut from)?;
    let target = if flags & TO_USER != 0 {
        Target::User(UserId::parse(&id).ok()?)
    } else {
        Target::Group(GroupId::parse(&id).ok()?)
    };
    let welcome = get_optional_text(&mut from)?.and_then(|id| GroupId::parse(&id).ok());
    let parcel = Parcel {
        seq,
        flow,
        target,
        push,
        siblings,
        confirmed: flags & CONFIRMED != 0,
        since,
        deadline,
        welcome,
        push_id: get_text(&mut from)?,
        address: get_text(&mut from)?,
        content_type: get_text(&mut from)?,
        headers: get_pairs(&mut from)?,
        body: from,
    };
    Some((Arc::new(parcel), (channel != NO_PLACE).then_some(Place { channel, number })))
}

pub(super) fn encode_open(message: &OpenMessage) -> Payload {
    let mut out = BytesMut::with_capacity(message.payload.len() + 128);
    let properties = &message.properties;
    out.put_u8(message.qos);
    out.put_u8(properties.is_utf8.map_or(UNSAID, u8::from));
    out.put_i64(properties.expires_at);
    put_text(&mut out, &message.topic);
    put_text(&mut out, &message.client);
    put_optional(&mut out, properties.content_type.as_deref().map(str::as_bytes));
    put_optional(&mut out, properties.response_topic.as_deref().map(str::as_bytes));
    put_optional(&mut out, properties.correlation.as_deref());
    put_bytes(&mut out, &properties.user);
    out.put_slice(&message.payload);
    Payload(out.freeze())
}

pub(super) fn decode_open(mut from: Bytes) -> Option<OpenMessage> {
    let qos = from.try_get_u8().ok()?;
    let is_utf8 = Some(from.try_get_u8().ok()?).filter(|said| *said != UNSAID).map(|said| said != 0);
    let expires_at = from.try_get_i64().ok()?;
    let topic = get_text(&mut from)?;
    let client = get_text(&mut from)?;
    let properties = OpenProperties {
        is_utf8,
        expires_at,
        content_type: get_optional_text(&mut from)?,
        response_topic: get_optional_text(&mut from)?,
        correlation: get_optional(&mut from)?,
        user: get_bytes(&mut from)?,
    };
    Some(OpenMessage { topic, qos, client, payload: from, properties })
}

fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

/// Instead of how many there are.
const UNKNOWN: u16 = u16::MAX;

fn put_siblings(out: &mut BytesMut, siblings: &Siblings) {
    match siblings {
        Siblings::None => out.put_u16(0),
        Siblings::Unknown => out.put_u16(UNKNOWN),
        Siblings::These(flows) => {
            // One more: none at all is something else.
            out.put_u16(u16::try_from(flows.len() + 1).unwrap_or(UNKNOWN));
            flows.iter().for_each(|flow| out.put_i64(*flow));
        }
    }
}

fn get_siblings(from: &mut Bytes) -> Option<Siblings> {
    match from.try_get_u16().ok()? {
        0 => Some(Siblings::None),
        UNKNOWN => Some(Siblings::Unknown),
        count => {
            let flows: Option<Vec<i64>> = (1..count).map(|_| from.try_get_i64().ok()).collect();
            flows.map(|flows| Siblings::These(flows.into()))
        }
    }
}

fn put_text(out: &mut BytesMut, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

fn put_optional(out: &mut BytesMut, bytes: Option<&[u8]>) {
    out.put_u8(u8::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        put_bytes(out, bytes);
    }
}

fn put_pairs(out: &mut BytesMut, pairs: &[(String, String)]) {
    out.put_u32(u32::try_from(pairs.len()).unwrap_or(u32::MAX));
    for (name, value) in pairs {
        put_text(out, name);
        put_text(out, value);
    }
}

fn get_bytes(from: &mut Bytes) -> Option<Bytes> {
    let length = from.try_get_u32().ok()? as usize;
    (length <= from.len()).then(|| from.split_to(length))
}

fn into_text(bytes: Bytes) -> Option<String> {
    String::from_utf8(bytes.into()).ok()
}

fn get_text(from: &mut Bytes) -> Option<String> {
    get_bytes(from).and_then(into_text)
}

fn get_optional(from: &mut Bytes) -> Option<Option<Bytes>> {
    if from.try_get_u8().ok()? == 0 { Some(None) } else { get_bytes(from).map(Some) }
}

fn get_optional_text(from: &mut Bytes) -> Option<Option<String>> {
    match get_optional(from)? {
        Some(bytes) => into_text(bytes).map(Some),
        None => Some(None),
    }
}

fn get_pairs(from: &mut Bytes) -> Option<Vec<(String, String)>> {
    let count = from.try_get_u32().ok()? as usize;
    let mut pairs = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        pairs.push((get_text(from)?, get_text(from)?));
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel() -> Parcel {
        Parcel {
            seq: Seq(7),
            flow: 3,
            target: Target::Group(GroupId::parse("né/ws").unwrap()),
            push: 9,
            siblings: Siblings::These([4, 5].into()),
            confirmed: true,
            since: 12,
            deadline: 1234,
            welcome: None,
            push_id: "p@x".into(),
            address: "WAPPUSH=news/TYPE=GROUP@ppg".into(),
            content_type: "text/plain".into(),
            headers: vec![("x-wap-application-id".into(), "mms.ua".into())],
            body: Bytes::from_static(b"\0hello"),
        }
    }

    #[test]
    fn a_push_comes_out_as_it_went_in() {
        let place = Some(Place { channel: 0, number: 6 });
        let (out, at) = decode_push(encode_push(&parcel(), place).0).unwrap();
        assert_eq!((*out).clone(), parcel());
        assert_eq!(at, place);
        let direct = Parcel {
            siblings: Siblings::Unknown,
            welcome: Some(GroupId::parse("né/ws").unwrap()),
            target: Target::User(UserId::parse("a").unwrap()),
            body: Bytes::new(),
            ..parcel()
        };
        assert_eq!(*decode_push(encode_push(&direct, None).0).unwrap().0, direct);
    }

    #[test]
    fn an_open_message_comes_out_as_it_went_in() {
        let message = OpenMessage {
            topic: "status/a".into(),
            qos: 1,
            client: "c-1".into(),
            payload: Bytes::from_static(b"up"),
            properties: OpenProperties {
                content_type: Some("text/plain".into()),
                response_topic: None,
                correlation: Some(Bytes::from_static(b"c")),
                is_utf8: Some(false),
                expires_at: 99,
                user: Bytes::from_static(b"\x26\0\x01a\0\x01b"),
            },
        };
        assert_eq!(decode_open(encode_open(&message).0).unwrap(), message);
    }

    #[test]
    fn truncated_input_is_nothing() {
        let whole = encode_push(&parcel(), None).0;
        for cut in 0..whole.len() - 6 {
            assert!(decode_push(whole.slice(..cut)).is_none(), "{cut}");
        }
    }
}
