//! MQTT packets in and out, one vocabulary for 3.1.1 and 5.
//!
//! Decoding and everything that is not a PUBLISH to a terminal is done by `rmqtt-codec`: it knows both versions, works
//! on bytes alone, and held up under arbitrary input (`tests` below). `mqtt-protocol-core` keeps a state machine per
//! connection that this door would have to work around. It is only ever given whole packets whose length we checked:
//! its own framing reserves what a client merely announces.

use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use rmqtt_codec::types::Publish;
use rmqtt_codec::{v3, v5};
use tokio_util::codec::{Decoder, Encoder};

/// What a CONNECT packet says the connection speaks. 3.1 is treated as 3.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Version {
    V3,
    V5,
}

/// MQTT 5 reason codes (OASIS MQTT 5.0 §2.4) that this door uses; in 3.1.1 most of them are a closed connection.
pub(super) mod reason {
    pub(crate) const SUCCESS: u8 = 0x00;
    pub(crate) const DISCONNECT_WITH_WILL: u8 = 0x04;
    pub(crate) const NO_SUBSCRIPTION: u8 = 0x11;
    pub(crate) const UNSPECIFIED: u8 = 0x80;
    pub(crate) const MALFORMED: u8 = 0x81;
    pub(crate) const PROTOCOL_ERROR: u8 = 0x82;
    pub(crate) const UNSUPPORTED_VERSION: u8 = 0x84;
    pub(crate) const CLIENT_ID_INVALID: u8 = 0x85;
    pub(crate) const NOT_AUTHORIZED: u8 = 0x87;
    pub(crate) const UNAVAILABLE: u8 = 0x88;
    pub(crate) const SHUTTING_DOWN: u8 = 0x8B;
    pub(crate) const BAD_AUTHENTICATION_METHOD: u8 = 0x8C;
    pub(crate) const KEEP_ALIVE_TIMEOUT: u8 = 0x8D;
    pub(crate) const TAKEN_OVER: u8 = 0x8E;
    pub(crate) const FILTER_INVALID: u8 = 0x8F;
    pub(crate) const TOPIC_INVALID: u8 = 0x90;
    pub(crate) const RECEIVE_MAXIMUM: u8 = 0x93;
    pub(crate) const TOPIC_ALIAS_INVALID: u8 = 0x94;
    pub(crate) const PACKET_TOO_LARGE: u8 = 0x95;
    pub(crate) const QUOTA_EXCEEDED: u8 = 0x97;
    pub(crate) const ADMINISTRATIVE: u8 = 0x98;
    pub(crate) const RETAIN_NOT_SUPPORTED: u8 = 0x9A;
    pub(crate) const SHARED_NOT_SUPPORTED: u8 = 0x9E;
    pub(crate) const SUBSCRIPTION_IDS_NOT_SUPPORTED: u8 = 0xA1;
    pub(crate) const PACKET_ID_NOT_FOUND: u8 = 0x92;
}

/// A CONNECT packet.
#[derive(Debug)]
pub(super) struct Connect {
    pub(super) version: Version,
    pub(super) clean: bool,
    pub(super) keep_alive: u16,
    pub(super) client_id: String,
    pub(super) username: Option<String>,
    pub(super) will: Option<Will>,
    /// Seconds; for 3.1.1 none: a persistent session has no time of its own there.
    pub(super) session_expiry: Option<u32>,
    pub(super) receive_max: u16,
    pub(super) max_packet: Option<u32>,
    pub(super) wants_authentication_exchange: bool,
}

#[derive(Debug)]
pub(super) struct Will {
    pub(super) publish: Publish,
    /// Seconds.
    pub(super) delay: u32,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) text: String,
    pub(super) qos: u8,
}

#[derive(Debug)]
pub(super) enum Packet {
    Connect(Box<Connect>),
    Publish(Box<Publish>),
    PubAck {
        id: u16,
        reason: u8,
    },
    PubRec {
        id: u16,
    },
    PubRel {
        id: u16,
    },
    PubComp,
    Subscribe {
        id: u16,
        filters: Vec<Filter>,
        identified: bool,
    },
    Unsubscribe {
        id: u16,
        filters: Vec<String>,
    },
    Ping,
    Disconnect {
        reason: u8,
        session_expiry: Option<u32>,
    },
    /// One that only a server sends, or AUTH, which needs a method we do not have.
    Misplaced,
}

/// A packet that cannot be read: the MQTT 5 reason for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) u8);

/// The length of the packet that begins `buffer`; `None` while too little of it is there to tell.
pub(super) fn packet_length(buffer: &[u8], max: usize) -> Result<Option<usize>, Malformed> {
    let mut length = 0_usize;
    for (at, byte) in buffer.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            let whole = length + at + 2;
            return if whole > max { Err(Malformed(reason::PACKET_TOO_LARGE)) } else { Ok(Some(whole)) };
        }
    }
    if buffer.len() >= 5 { Err(Malformed(reason::MALFORMED)) } else { Ok(None) }
}

/// The protocol level of a whole CONNECT packet: `Ok(version)`, or the level we do not speak.
pub(super) fn connect_version(packet: &[u8]) -> Result<Version, ConnectFault> {
    if packet.first() != Some(&0x10) {
        return Err(ConnectFault::NotConnect);
    }
    let start = 1 + packet.iter().skip(1).take(4).take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let rest = packet.get(start..).unwrap_or_default();
    let level = rest.strip_prefix(b"\0\x04MQTT").or_else(|| rest.strip_prefix(b"\0\x06MQIsdp")).and_then(<[u8]>::first);
    match level {
        Some(3 | 4) => Ok(Version::V3),
        Some(5) => Ok(Version::V5),
        Some(level) => Err(ConnectFault::Level(*level)),
        None => Err(ConnectFault::NotConnect),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectFault {
    /// The first packet is something else, or no MQTT at all.
    NotConnect,
    /// MQTT of a level we do not speak.
    Level(u8),
}

/// Reads one whole packet.
pub(super) fn decode(version: Version, packet: &[u8]) -> Result<Packet, Malformed> {
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
                publish: Publish {
                    dup: false,
                    retain: will.retain,
                    qos: will.qos,
                    topic: will.topic,
                    packet_id: None,
                    payload: will.message,
                    properties: None,
                },
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
    Will {
        delay: will.will_delay_interval_sec.unwrap_or(0),
        publish: Publish {
            dup: false,
            retain: will.retain,
            qos: will.qos,
            topic: will.topic,
            packet_id: None,
            payload: will.message,
            properties: Some(v5::PublishProperties {
                topic_alias: None,
                correlation_data: will.correlation_data,
                message_expiry_interval: will.message_expiry_interval,
                content_type: will.content_type,
                user_properties: will.user_properties,
                is_utf8_payload: will.is_utf8_payload.unwrap_or(false),
                response_topic: will.response_topic,
                subscription_ids: Vec::new(),
            }),
        },
    }
}

/// What goes out besides PUBLISH.
#[derive(Debug)]
pub(super) enum Reply {
    ConnAck(Box<ConnAck>),
    PubAck {
        id: u16,
        reason: u8,
    },
    PubRec {
        id: u16,
        reason: u8,
    },
    PubRel {
        id: u16,
        reason: u8,
    },
    PubComp {
        id: u16,
        reason: u8,
    },
    /// Granted QoS or a reason ≥ 0x80, one for each filter.
    SubAck {
        id: u16,
        codes: Vec<u8>,
    },
    UnsubAck {
        id: u16,
        codes: Vec<u8>,
    },
    Pong,
    /// MQTT 5 only; 3.1.1 servers just close.
    Disconnect {
        reason: u8,
    },
}

#[derive(Debug)]
pub(super) struct ConnAck {
    pub(super) reason: u8,
    pub(super) session_present: bool,
    pub(super) assigned_client_id: Option<String>,
    /// Where it differs from what the client asked for.
    pub(super) session_expiry: Option<u32>,
    pub(super) max_packet: u32,
    pub(super) receive_max: u16,
}

impl ConnAck {
    /// A refusal.
    pub(super) fn refusal(reason: u8) -> Self {
        Self {
            reason,
            session_present: false,
            assigned_client_id: None,
            session_expiry: None,
            max_packet: 0,
            receive_max: 1,
        }
    }
}

/// The bytes of a reply; none where the version has no such packet.
pub(super) fn encode(version: Version, reply: Reply) -> Bytes {
    let mut out = BytesMut::new();
    let written = match version {
        Version::V3 => to_v3(reply).map(|packet| v3::Codec::new(0).encode(packet, &mut out)),
        Version::V5 => to_v5(reply).map(|packet| v5::Codec::new(0, 0).encode(packet, &mut out)),
    };
    match written {
        Some(Ok(())) => out.freeze(),
        Some(Err(error)) => {
            tracing::error!(%error, "a packet of our own could not be written");
            Bytes::new()
        }
        None => Bytes::new(),
    }
}

fn to_v3(reply: Reply) -> Option<v3::Packet> {
    use v3::ConnectAckReason as Code;
    let id = |id: u16| NonZeroU16::new(id);
    Some(match reply {
        Reply::ConnAck(ack) => v3::Packet::ConnectAck(v3::ConnectAck {
            session_present: ack.session_present,
            return_code: match ack.reason {
                reason::SUCCESS => Code::ConnectionAccepted,
                reason::UNSUPPORTED_VERSION => Code::UnacceptableProtocolVersion,
                reason::CLIENT_ID_INVALID => Code::IdentifierRejected,
                reason::NOT_AUTHORIZED => Code::NotAuthorized,
                _ => Code::ServiceUnavailable,
            },
        }),
        Reply::PubAck { id: of, .. } => v3::Packet::PublishAck { packet_id: id(of)? },
        Reply::PubRec { id: of, .. } => v3::Packet::PublishReceived { packet_id: id(of)? },
        Reply::PubRel { id: of, .. } => v3::Packet::PublishRelease { packet_id: id(of)? },
        Reply::PubComp { id: of, .. } => v3::Packet::PublishComplete { packet_id: id(of)? },
        Reply::SubAck { id: of, codes } => v3::Packet::SubscribeAck {
            packet_id: id(of)?,
            status: codes
                .into_iter()
                .map(|code| match v3::QoS::try_from(code) {
                    Ok(qos) => v3::SubscribeReturnCode::Success(qos),
                    Err(_) => v3::SubscribeReturnCode::Failure,
                })
                .collect(),
        },
        Reply::UnsubAck { id: of, .. } => v3::Packet::UnsubscribeAck { packet_id: id(of)? },
        Reply::Pong => v3::Packet::PingResponse,
        Reply::Disconnect { .. } => return None,
    })
}

fn to_v5(reply: Reply) -> Option<v5::Packet> {
    let id = |id: u16| NonZeroU16::new(id);
    let ack = |of: u16, code: u8| {
        Some(v5::PublishAck {
            packet_id: id(of)?,
            reason_code: v5::PublishAckReason::try_from(code).unwrap_or(v5::PublishAckReason::UnspecifiedError),
            ..v5::PublishAck::default()
        })
    };
    let ack2 = |of: u16, code: u8| {
        Some(v5::PublishAck2 {
            packet_id: id(of)?,
            reason_code: v5::PublishAck2Reason::try_from(code).unwrap_or(v5::PublishAck2Reason::Success),
            ..v5::PublishAck2::default()
        })
    };
    Some(match reply {
        Reply::ConnAck(ack) => v5::Packet::ConnectAck(Box::new(connack_v5(&ack))),
        Reply::PubAck { id: of, reason } => v5::Packet::PublishAck(ack(of, reason)?),
        Reply::PubRec { id: of, reason } => v5::Packet::PublishReceived(ack(of, reason)?),
        Reply::PubRel { id: of, reason } => v5::Packet::PublishRelease(ack2(of, reason)?),
        Reply::PubComp { id: of, reason } => v5::Packet::PublishComplete(ack2(of, reason)?),
        Reply::SubAck { id: of, codes } => v5::Packet::SubscribeAck(v5::SubscribeAck {
            packet_id: id(of)?,
            properties: Vec::new(),
            reason_string: None,
            status: codes
                .into_iter()
                .map(|code| v5::SubscribeAckReason::try_from(code).unwrap_or(v5::SubscribeAckReason::UnspecifiedError))
                .collect(),
        }),
        Reply::UnsubAck { id: of, codes } => v5::Packet::UnsubscribeAck(v5::UnsubscribeAck {
            packet_id: id(of)?,
            properties: Vec::new(),
            reason_string: None,
            status: codes
                .into_iter()
                .map(|code| {
                    v5::UnsubscribeAckReason::try_from(code).unwrap_or(v5::UnsubscribeAckReason::UnspecifiedError)
                })
                .collect(),
        }),
        Reply::Pong => v5::Packet::PingResponse,
        Reply::Disconnect { reason } => v5::Packet::Disconnect(v5::Disconnect {
            reason_code: v5::DisconnectReasonCode::try_from(reason)
                .unwrap_or(v5::DisconnectReasonCode::UnspecifiedError),
            session_expiry_interval_secs: None,
            server_reference: None,
            reason_string: None,
            user_properties: Vec::new(),
        }),
    })
}

fn connack_v5(ack: &ConnAck) -> v5::ConnectAck {
    let reason_code = v5::ConnectAckReason::try_from(ack.reason).unwrap_or(v5::ConnectAckReason::UnspecifiedError);
    if ack.reason != reason::SUCCESS {
        return v5::ConnectAck { reason_code, ..v5::ConnectAck::default() };
    }
    v5::ConnectAck {
        session_present: ack.session_present,
        reason_code,
        session_expiry_interval_secs: ack.session_expiry,
        receive_max: NonZeroU16::new(ack.receive_max).unwrap_or(NonZeroU16::MIN),
        max_packet_size: Some(ack.max_packet),
        assigned_client_id: ack.assigned_client_id.as_deref().map(Into::into),
        retain_available: false,
        shared_subscription_available: false,
        subscription_identifiers_available: false,
        ..v5::ConnectAck::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_length_is_known_before_the_packet_is_there() {
        assert_eq!(packet_length(&[0x30], 100), Ok(None));
        assert_eq!(packet_length(&[0x30, 0x80], 100), Ok(None));
        assert_eq!(packet_length(&[0xC0, 0], 100), Ok(Some(2)));
        assert_eq!(packet_length(&[0x30, 0x80, 1], 200), Ok(Some(131)));
        assert_eq!(packet_length(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], 1 << 20), Err(Malformed(reason::PACKET_TOO_LARGE)));
        assert_eq!(packet_length(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], 1 << 20), Err(Malformed(reason::MALFORMED)));
    }

    #[test]
    fn the_version_is_read_from_connect() {
        assert_eq!(connect_version(b"\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0"), Ok(Version::V3));
        assert_eq!(connect_version(b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0"), Ok(Version::V5));
        assert_eq!(connect_version(b"\x10\x0e\0\x06MQIsdp\x03\x02\0\0\0\0"), Ok(Version::V3));
        assert_eq!(connect_version(b"\x10\x0c\0\x04MQTT\x06\x02\0\0\0\0"), Err(ConnectFault::Level(6)));
        assert_eq!(connect_version(b"GET / HTTP/1.1\r\n"), Err(ConnectFault::NotConnect));
        assert_eq!(connect_version(b"\x10"), Err(ConnectFault::NotConnect));
    }

    proptest! {
        /// Whatever bytes come, decoding answers; it neither panics nor takes what it was not given.
        #[test]
        fn any_bytes_are_survived(first in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..96), v5 in any::<bool>()) {
            let mut packet = vec![first, u8::try_from(body.len()).unwrap()];
            packet.extend(body);
            let version = if v5 { Version::V5 } else { Version::V3 };
            let _ = connect_version(&packet);
            let _ = decode(version, &packet);
        }

        /// The same with bodies that look like packets: flags and lengths that nearly fit.
        #[test]
        fn nearly_valid_packets_are_survived(kind in 1_u8..16, flags in 0_u8..16, cut in 0_usize..40, noise in prop::collection::vec((0_usize..40, any::<u8>()), 0..6), v5 in any::<bool>()) {
            let mut body = b"\0\x04MQTT\x05\xc6\0\x3c\x05\x11\0\0\0\x01\0\x01c\0\0\x01t\0\x01w\0\x01u\0\x01p".to_vec();
            for (at, byte) in noise {
                if let Some(place) = body.get_mut(at) { *place = byte; }
            }
            body.truncate(cut);
            let mut packet = vec![kind << 4 | flags, u8::try_from(body.len()).unwrap()];
            packet.extend(body);
            let _ = decode(if v5 { Version::V5 } else { Version::V3 }, &packet);
        }
    }
}
