//! MQTT packets in and out, one vocabulary for 3.1.1 and 5.
//!
//! Decoding and everything that is not a PUBLISH to a terminal is done by `rmqtt-codec`: it knows both versions, works
//! on bytes alone, and held up under arbitrary input (`tests` below). `mqtt-protocol-core` keeps a state machine per
//! connection that this door would have to work around. It is only ever given whole packets whose length we checked:
//! its own framing reserves what a client merely announces.

mod decode;
mod encode;

use rmqtt_codec::types::Publish;

pub(in crate::door) use decode::decode;
pub(in crate::door) use encode::encode;

/// What a CONNECT packet says the connection speaks. 3.1 is treated as 3.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::door) enum Version {
    V3,
    V5,
}

/// MQTT 5 reason codes (OASIS MQTT 5.0 §2.4) that this door uses; in 3.1.1 most of them are a closed connection.
pub(in crate::door) mod reason {
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
pub(in crate::door) struct Connect {
    pub(in crate::door) version: Version,
    pub(in crate::door) clean: bool,
    pub(in crate::door) keep_alive: u16,
    pub(in crate::door) client_id: String,
    pub(in crate::door) username: Option<String>,
    pub(in crate::door) will: Option<Will>,
    /// Seconds; for 3.1.1 none: a persistent session has no time of its own there.
    pub(in crate::door) session_expiry: Option<u32>,
    pub(in crate::door) receive_max: u16,
    pub(in crate::door) max_packet: Option<u32>,
    pub(in crate::door) wants_authentication_exchange: bool,
}

#[derive(Debug)]
pub(in crate::door) struct Will {
    pub(in crate::door) publish: Publish,
    /// Seconds.
    pub(in crate::door) delay: u32,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug)]
pub(in crate::door) struct Filter {
    pub(in crate::door) text: String,
    pub(in crate::door) qos: u8,
}

#[derive(Debug)]
pub(in crate::door) enum Packet {
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
pub(in crate::door) struct Malformed(pub(in crate::door) u8);

/// The length of the packet that begins `buffer`; `None` while too little of it is there to tell.
pub(in crate::door) fn packet_length(buffer: &[u8], max: usize) -> Result<Option<usize>, Malformed> {
    let mut length = 0_usize;
    for (at, byte) in buffer.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            if at > 0 && *byte == 0 {
                return Err(Malformed(reason::MALFORMED)); // Not the shortest form (MQTT 5.0 §1.5.5).
            }
            let whole = length + at + 2;
            return if whole > max { Err(Malformed(reason::PACKET_TOO_LARGE)) } else { Ok(Some(whole)) };
        }
    }
    if buffer.len() >= 5 { Err(Malformed(reason::MALFORMED)) } else { Ok(None) }
}

/// The protocol level of a whole CONNECT packet: `Ok(version)`, or the level we do not speak.
pub(in crate::door) fn connect_version(packet: &[u8]) -> Result<Version, ConnectFault> {
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
pub(in crate::door) enum ConnectFault {
    /// The first packet is something else, or no MQTT at all.
    NotConnect,
    /// MQTT of a level we do not speak.
    Level(u8),
}

/// What goes out besides PUBLISH.
#[derive(Debug)]
pub(in crate::door) enum Reply {
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
pub(in crate::door) struct ConnAck {
    pub(in crate::door) reason: u8,
    pub(in crate::door) session_present: bool,
    pub(in crate::door) assigned_client_id: Option<String>,
    /// Where it differs from what the client asked for.
    pub(in crate::door) session_expiry: Option<u32>,
    pub(in crate::door) max_packet: u32,
    pub(in crate::door) receive_max: u16,
}

impl ConnAck {
    /// A refusal.
    pub(in crate::door) fn refusal(reason: u8) -> Self {
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
