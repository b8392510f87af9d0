//! Whole packets to values, by the library, plus the rules it does not hold.

use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::{v3, v5};
use tokio_util::codec::Decoder as _;

use super::{Connect, Filter, Malformed, Packet, Version, Will, reason};

/// Reads one whole packet.
pub(in crate::door) fn decode(version: Version, packet: &[u8]) -> Result<Packet, Malformed> {
    if breaks_a_rule(version, packet) {
        return Err(Malformed(reason::MALFORMED));
    }
    let mut bytes = BytesMut::from(packet);
    match version {
        Version::V3 => {
            let decoded = v3::Codec::new(0).decode(&mut bytes).map_err(|error| malformed(&error))?;
            let (packet, _) = decoded.ok_or(Malformed(reason::MALFORMED))?;
            Ok(from_v3(packet))
        }
        Version::V5 => {
            let decoded = v5::Codec::new(0, 0).decode(&mut bytes).map_err(|error| malformed(&error))?;
            let (packet, _) = decoded.ok_or(Malformed(reason::MALFORMED))?;
            Ok(from_v5(packet))
        }
    }
}

/// What the codec lets pass although both specifications forbid it: DUP at QoS 0, bodies where there are none, and in
/// 3.1.1 reserved bits in SUBSCRIBE options and a password without a username.
fn breaks_a_rule(version: Version, packet: &[u8]) -> bool {
    let Some(&first) = packet.first() else { return true };
    match first >> 4 {
        3 => first & 0x08 != 0 && first & 0x06 == 0,
        12 => packet.len() != 2,
        14 => version == Version::V3 && packet.len() != 2,
        1 => version == Version::V3 && connect_flags(packet).is_some_and(|flags| flags & 0xC0 == 0x40),
        8 => version == Version::V3 && has_reserved_options(packet),
        _ => false,
    }
}

/// The flags of a CONNECT stand behind protocol name and level.
fn connect_flags(packet: &[u8]) -> Option<u8> {
    let body = body(packet);
    let name = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
    body.get(2 + name + 1).copied()
}

fn has_reserved_options(packet: &[u8]) -> bool {
    let mut rest = body(packet).get(2..).unwrap_or_default();
    while let [high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(options) = tail.get(length) else { return false };
        if options & 0xFC != 0 {
            return true;
        }
        rest = tail.get(length + 1..).unwrap_or_default();
    }
    false
}

/// What follows the fixed header.
fn body(packet: &[u8]) -> &[u8] {
    let length = packet.iter().skip(1).take(4).take_while(|byte| **byte & 0x80 != 0).count() + 2;
    packet.get(length..).unwrap_or_default()
}

fn malformed(error: &rmqtt_codec::error::DecodeError) -> Malformed {
    use rmqtt_codec::error::DecodeError;
    Malformed(match error {
        DecodeError::InvalidClientId => reason::CLIENT_ID_INVALID,
        DecodeError::UnsupportedProtocolLevel => reason::UNSUPPORTED_VERSION,
        DecodeError::InvalidTopicName => reason::TOPIC_INVALID,
        DecodeError::InvalidTopicFilter => reason::PROTOCOL_ERROR,
        _ => reason::MALFORMED,
    })
}

fn from_v3(packet: v3::Packet) -> Packet {
    match packet {
        v3::Packet::Connect(connect) => Packet::Connect(Box::new(Connect {
            version: Version::V3,
            clean: connect.clean_session,
            keep_alive: connect.keep_alive,
            client_id: connect.client_id.to_string(),
            username: connect.username.map(|name| name.to_string()),
            will: connect.last_will.map(|will| Will {
                delay: 0,
                publish: will_publish(will.retain, will.qos, will.topic, will.message, None),
            }),
            session_expiry: None,
            receive_max: u16::MAX,
            max_packet: None,
            wants_authentication_exchange: false,
        })),
        v3::Packet::Publish(publish) => Packet::Publish(publish),
        v3::Packet::PublishAck { packet_id } => Packet::PubAck { id: packet_id.get(), reason: reason::SUCCESS },
        v3::Packet::PublishReceived { packet_id } => Packet::PubRec { id: packet_id.get() },
        v3::Packet::PublishRelease { packet_id } => Packet::PubRel { id: packet_id.get() },
        v3::Packet::PublishComplete { .. } => Packet::PubComp,
        v3::Packet::Subscribe { packet_id, topic_filters } => Packet::Subscribe {
            id: packet_id.get(),
            identified: false,
            filters: topic_filters
                .into_iter()
                .map(|(text, qos)| Filter { text: text.to_string(), qos: qos.value() })
                .collect(),
        },
        v3::Packet::Unsubscribe { packet_id, topic_filters } => Packet::Unsubscribe {
            id: packet_id.get(),
            filters: topic_filters.into_iter().map(|text| text.to_string()).collect(),
        },
        v3::Packet::PingRequest => Packet::Ping,
        v3::Packet::Disconnect => Packet::Disconnect { reason: reason::SUCCESS, session_expiry: None },
        v3::Packet::ConnectAck(_)
        | v3::Packet::SubscribeAck { .. }
        | v3::Packet::UnsubscribeAck { .. }
        | v3::Packet::PingResponse => Packet::Misplaced,
    }
}

fn from_v5(packet: v5::Packet) -> Packet {
    match packet {
        v5::Packet::Connect(connect) => Packet::Connect(Box::new(Connect {
            version: Version::V5,
            clean: connect.clean_start,
            keep_alive: connect.keep_alive,
            client_id: connect.client_id.to_string(),
            username: connect.username.map(|name| name.to_string()),
            will: connect.last_will.map(will_v5),
            session_expiry: Some(connect.session_expiry_interval_secs),
            receive_max: connect.receive_max.map_or(u16::MAX, NonZeroU16::get),
            max_packet: connect.max_packet_size.map(std::num::NonZeroU32::get),
            wants_authentication_exchange: connect.auth_method.is_some(),
        })),
        v5::Packet::Publish(publish) => Packet::Publish(publish),
        v5::Packet::PublishAck(ack) => Packet::PubAck { id: ack.packet_id.get(), reason: ack.reason_code.into() },
        v5::Packet::PublishReceived(ack) => Packet::PubRec { id: ack.packet_id.get() },
        v5::Packet::PublishRelease(ack) => Packet::PubRel { id: ack.packet_id.get() },
        v5::Packet::PublishComplete(_) => Packet::PubComp,
        v5::Packet::Subscribe(subscribe) => Packet::Subscribe {
            id: subscribe.packet_id.get(),
            identified: subscribe.id.is_some(),
            filters: subscribe
                .topic_filters
                .into_iter()
                .map(|(text, options)| Filter { text: text.to_string(), qos: options.qos.value() })
                .collect(),
        },
        v5::Packet::Unsubscribe(unsubscribe) => Packet::Unsubscribe {
            id: unsubscribe.packet_id.get(),
            filters: unsubscribe.topic_filters.into_iter().map(|text| text.to_string()).collect(),
        },
        v5::Packet::PingRequest => Packet::Ping,
        v5::Packet::Disconnect(disconnect) => Packet::Disconnect {
            reason: disconnect.reason_code.into(),
            session_expiry: disconnect.session_expiry_interval_secs,
        },
        v5::Packet::ConnectAck(_)
        | v5::Packet::SubscribeAck(_)
        | v5::Packet::UnsubscribeAck(_)
        | v5::Packet::PingResponse
        | v5::Packet::Auth(_) => Packet::Misplaced,
    }
}

fn will_v5(will: v5::LastWill) -> Will {
    let properties = v5::PublishProperties {
        topic_alias: None,
        correlation_data: will.correlation_data,
        message_expiry_interval: will.message_expiry_interval,
        content_type: will.content_type,
        user_properties: will.user_properties,
        is_utf8_payload: will.is_utf8_payload.unwrap_or(false),
        response_topic: will.response_topic,
        subscription_ids: Vec::new(),
    };
    Will {
        delay: will.will_delay_interval_sec.unwrap_or(0),
        publish: will_publish(will.retain, will.qos, will.topic, will.message, Some(properties)),
    }
}

/// The publish that a will becomes.
fn will_publish(
    retain: bool,
    qos: QoS,
    topic: ByteString,
    payload: Bytes,
    properties: Option<v5::PublishProperties>,
) -> Publish {
    Publish { dup: false, retain, qos, topic, packet_id: None, payload, properties }
}
