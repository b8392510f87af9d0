//! Replies to bytes, by the library.

use std::num::NonZeroU16;

use bytes::{Bytes, BytesMut};
use rmqtt_codec::{v3, v5};
use tokio_util::codec::Encoder as _;

use super::{ConnAck, Reply, Version, reason};

/// The bytes of a reply; none where the version has no such packet.
pub(in crate::door) fn encode(version: Version, reply: Reply) -> Bytes {
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
