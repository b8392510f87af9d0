//! MQTT packets in and out, one vocabulary for 3.1.1 and 5. Pure: bytes in, values or a reason code out.
//!
//! | file | job |
//! | --- | --- |
//! | `reader` | the data types of MQTT |
//! | `properties` | the properties of MQTT 5: who may carry which |
//! | `connect`, `decode` | packets from terminals |
//! | `encode` | our answers; the PUBLISH to terminals is in `mqtt/publish_frame.rs` |
//!
//! This is code of our own for a reason. Two libraries were tried: `rmqtt-codec` 0.3 and `mqtt-protocol-core` 0.7. Both
//! take packets that the specification calls malformed (bytes behind a CONNECT, reserved bits), answer most protocol
//! errors with the wrong reason code, and the first one changes what it passes on (a Message Expiry Interval of 0, a
//! Payload Format Indicator of 0).

mod connect;
mod decode;
mod encode;
mod properties;
mod reader;
#[cfg(test)]
mod tests;
mod words;

use bytes::Bytes;

pub(in crate::mqtt) use connect::{Connect, ConnectFault, Will, connect_version};
pub(in crate::mqtt) use decode::decode;
pub(in crate::mqtt) use encode::{encode, put_var};
pub(in crate::mqtt) use properties::MessageProperties;

use reader::Reader;

/// What a CONNECT packet says the connection speaks. 3.1 is treated as 3.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::mqtt) enum Version {
    V3,
    V5,
}

/// MQTT 5 reason codes (OASIS MQTT 5.0 §2.4) that are used here; in 3.1.1 most of them are a closed connection.
pub(in crate::mqtt) mod reason {
    pub(crate) const SUCCESS: u8 = 0x00;
    pub(crate) const DISCONNECT_WITH_WILL: u8 = 0x04;
    pub(crate) const NO_SUBSCRIPTION: u8 = 0x11;
    pub(crate) const UNSPECIFIED: u8 = 0x80;
    pub(crate) const MALFORMED: u8 = 0x81;
    pub(crate) const PROTOCOL_ERROR: u8 = 0x82;
    pub(crate) const UNSUPPORTED_VERSION: u8 = 0x84;
    pub(crate) const CLIENT_ID_INVALID: u8 = 0x85;
    pub(crate) const BAD_USER_NAME_OR_PASSWORD: u8 = 0x86;
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
    pub(crate) const MAXIMUM_CONNECT_TIME: u8 = 0xA0;
    pub(crate) const SUBSCRIPTION_IDS_NOT_SUPPORTED: u8 = 0xA1;
    pub(crate) const PACKET_ID_NOT_FOUND: u8 = 0x92;
}

/// A PUBLISH from a client, or what its will becomes.
#[derive(Debug)]
pub(in crate::mqtt) struct Publish {
    pub(in crate::mqtt) retain: bool,
    pub(in crate::mqtt) qos: u8,
    pub(in crate::mqtt) topic: String,
    /// 0 where it has none.
    pub(in crate::mqtt) id: u16,
    pub(in crate::mqtt) properties: MessageProperties,
    pub(in crate::mqtt) payload: Bytes,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug)]
pub(in crate::mqtt) struct Filter {
    pub(in crate::mqtt) text: String,
    pub(in crate::mqtt) qos: u8,
    /// What the subscriber publishes itself does not come back to it.
    pub(in crate::mqtt) no_local: bool,
}

#[derive(Debug)]
pub(in crate::mqtt) enum Packet {
    Connect(Box<Connect>),
    Publish(Box<Publish>),
    PubAck { id: u16, reason: u8 },
    PubRec { id: u16 },
    PubRel { id: u16 },
    PubComp,
    Subscribe { id: u16, filters: Vec<Filter>, identified: bool },
    Unsubscribe { id: u16, filters: Vec<String> },
    Ping,
    Disconnect { reason: u8, session_expiry: Option<u32> },
}

/// A packet that cannot be taken: the MQTT 5 reason for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mqtt) struct BadPacket(pub(in crate::mqtt) u8);

/// What follows the fixed header of a whole packet.
fn body(packet: &[u8]) -> Result<Reader<'_>, BadPacket> {
    let mut from = Reader::new(packet);
    from.u8()?;
    let length = from.var_int()?;
    from.take(length).map(Reader::new)
}

/// The length of the packet that begins `buffer`; `None` while too little of it is there to tell.
pub(in crate::mqtt) fn packet_length(buffer: &[u8], max: usize) -> Result<Option<usize>, BadPacket> {
    let mut length = 0_usize;
    for (at, byte) in buffer.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            if at > 0 && *byte == 0 {
                return Err(BadPacket(reason::MALFORMED)); // Not the shortest form (MQTT 5.0 §1.5.5).
            }
            let whole = length + at + 2;
            return if whole > max { Err(BadPacket(reason::PACKET_TOO_LARGE)) } else { Ok(Some(whole)) };
        }
    }
    if buffer.len() >= 5 { Err(BadPacket(reason::MALFORMED)) } else { Ok(None) }
}

/// What goes out besides PUBLISH.
#[derive(Debug)]
pub(in crate::mqtt) enum Reply {
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
pub(in crate::mqtt) struct ConnAck {
    pub(in crate::mqtt) reason: u8,
    /// In words, for MQTT 5; empty where there is nothing to say.
    pub(in crate::mqtt) why: String,
    pub(in crate::mqtt) session_present: bool,
    pub(in crate::mqtt) assigned_client_id: Option<String>,
    /// Where it differs from what the client asked for.
    pub(in crate::mqtt) session_expiry: Option<u32>,
    pub(in crate::mqtt) max_packet: u32,
    pub(in crate::mqtt) receive_max: u16,
}

impl ConnAck {
    /// A refusal.
    pub(in crate::mqtt) fn refusal(reason: u8, why: &str) -> Self {
        Self {
            reason,
            why: why.to_owned(),
            session_present: false,
            assigned_client_id: None,
            session_expiry: None,
            max_packet: 0,
            receive_max: 1,
        }
    }
}
