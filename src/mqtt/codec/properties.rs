//! Properties of MQTT 5 (§2.2.2): which packet may carry which, how often, and with which values.

use bytes::Bytes;

use super::reader::{MALFORMED, PROTOCOL_ERROR, Read, Reader};

/// Property identifiers (§2.2.2.2).
pub(super) mod id {
    pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(crate) const CONTENT_TYPE: u8 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
    pub(crate) const CORRELATION: u8 = 0x09;
    pub(crate) const SUBSCRIPTION_ID: u8 = 0x0B;
    pub(crate) const SESSION_EXPIRY: u8 = 0x11;
    pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(crate) const AUTH_METHOD: u8 = 0x15;
    pub(crate) const AUTH_DATA: u8 = 0x16;
    pub(crate) const REQUEST_PROBLEM: u8 = 0x17;
    pub(crate) const WILL_DELAY: u8 = 0x18;
    pub(crate) const REQUEST_RESPONSE: u8 = 0x19;
    pub(crate) const REASON_STRING: u8 = 0x1F;
    pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(crate) const USER: u8 = 0x26;
    pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(crate) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
    pub(crate) const SHARED_AVAILABLE: u8 = 0x2A;
}

pub(super) const OF_CONNECT: &[u8] = &[
    id::SESSION_EXPIRY,
    id::AUTH_METHOD,
    id::AUTH_DATA,
    id::REQUEST_PROBLEM,
    id::REQUEST_RESPONSE,
    id::RECEIVE_MAXIMUM,
    id::TOPIC_ALIAS_MAXIMUM,
    id::USER,
    id::MAXIMUM_PACKET_SIZE,
];
pub(super) const OF_WILL: &[u8] = &[
    id::PAYLOAD_FORMAT,
    id::MESSAGE_EXPIRY,
    id::CONTENT_TYPE,
    id::RESPONSE_TOPIC,
    id::CORRELATION,
    id::WILL_DELAY,
    id::USER,
];
pub(super) const OF_PUBLISH: &[u8] = &[
    id::PAYLOAD_FORMAT,
    id::MESSAGE_EXPIRY,
    id::CONTENT_TYPE,
    id::RESPONSE_TOPIC,
    id::CORRELATION,
    id::SUBSCRIPTION_ID,
    id::TOPIC_ALIAS,
    id::USER,
];
pub(super) const OF_SUBSCRIBE: &[u8] = &[id::SUBSCRIPTION_ID, id::USER];
pub(super) const OF_UNSUBSCRIBE: &[u8] = &[id::USER];
pub(super) const OF_ACK: &[u8] = &[id::REASON_STRING, id::USER];
pub(super) const OF_DISCONNECT: &[u8] = &[id::SESSION_EXPIRY, id::REASON_STRING, id::USER];

/// The properties of one packet, as far as anything here depends on them.
#[derive(Debug, Default)]
pub(super) struct Properties {
    pub(super) message: MessageProperties,
    pub(super) will_delay: Option<u32>,
    pub(super) session_expiry: Option<u32>,
    pub(super) receive_max: Option<u16>,
    pub(super) max_packet: Option<u32>,
    pub(super) topic_alias: Option<u16>,
    pub(super) has_subscription_id: bool,
    pub(super) has_auth_method: bool,
    has_auth_data: bool,
}

/// What of a message travels with it to its receivers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::mqtt) struct MessageProperties {
    /// Payload Format Indicator: whether the payload is UTF-8.
    pub(in crate::mqtt) is_utf8: Option<bool>,
    /// Seconds; 0 is allowed and means that it expires at once.
    pub(in crate::mqtt) expiry: Option<u32>,
    pub(in crate::mqtt) content_type: Option<String>,
    pub(in crate::mqtt) response_topic: Option<String>,
    pub(in crate::mqtt) correlation: Option<Bytes>,
    /// The user properties as they came, identifiers and lengths included: they pass unchanged (§3.3.2.3.7), and take no
    /// more memory here than on the wire.
    pub(in crate::mqtt) user: Bytes,
}

impl Properties {
    /// Reads length and properties. A property that its packet may not carry is malformed (§2.2.2.2); one that comes
    /// twice, or has a value that is not allowed, is a protocol error (§3.1.2.11 and the like).
    pub(super) fn read(from: &mut Reader<'_>, allowed: &[u8]) -> Read<Self> {
        let length = from.var_int()?;
        let mut rest = Reader::new(from.take(length)?);
        let mut found = Self::default();
        let mut user = Vec::new();
        let mut seen = 0_u64;
        while !rest.is_empty() {
            let id = rest.var_int()?;
            let Some(&id) = allowed.iter().find(|known| usize::from(**known) == id) else { return Err(MALFORMED) };
            if id == id::USER {
                read_user(&mut rest, &mut user)?;
                continue;
            }
            let bit = 1 << id;
            if seen & bit != 0 {
                return Err(PROTOCOL_ERROR);
            }
            seen |= bit;
            found.read_one(id, &mut rest)?;
        }
        found.message.user = user.into();
        if found.has_auth_data && !found.has_auth_method {
            return Err(PROTOCOL_ERROR); // §3.1.2.11.10
        }
        Ok(found)
    }

    fn read_one(&mut self, id: u8, from: &mut Reader<'_>) -> Read<()> {
        let message = &mut self.message;
        match id {
            id::PAYLOAD_FORMAT => message.is_utf8 = Some(read_bool(from)?),
            id::MESSAGE_EXPIRY => message.expiry = Some(from.u32()?),
            id::CONTENT_TYPE => message.content_type = Some(from.text()?.to_owned()),
            id::RESPONSE_TOPIC => message.response_topic = Some(from.text()?.to_owned()),
            id::CORRELATION => message.correlation = Some(Bytes::copy_from_slice(from.binary()?)),
            id::SUBSCRIPTION_ID => {
                from.var_int().and_then(|id| if id == 0 { Err(PROTOCOL_ERROR) } else { Ok(()) })?;
                self.has_subscription_id = true;
            }
            id::SESSION_EXPIRY => self.session_expiry = Some(from.u32()?),
            id::AUTH_METHOD => {
                from.text()?;
                self.has_auth_method = true;
            }
            id::AUTH_DATA => {
                from.binary()?;
                self.has_auth_data = true;
            }
            id::REQUEST_PROBLEM | id::REQUEST_RESPONSE => drop(read_bool(from)?),
            id::WILL_DELAY => self.will_delay = Some(from.u32()?),
            id::REASON_STRING => drop(from.text()?),
            id::RECEIVE_MAXIMUM => self.receive_max = Some(nonzero(from.u16()?)?),
            id::TOPIC_ALIAS_MAXIMUM => drop(from.u16()?),
            id::TOPIC_ALIAS => self.topic_alias = Some(from.u16()?),
            id::MAXIMUM_PACKET_SIZE => self.max_packet = Some(nonzero(from.u32()?)?),
            _ => return Err(MALFORMED),
        }
        Ok(())
    }
}

/// Checks one user property and keeps its bytes.
fn read_user(from: &mut Reader<'_>, kept: &mut Vec<u8>) -> Read<()> {
    let pair = [from.text()?, from.text()?];
    kept.push(id::USER);
    for text in pair {
        // It came with a length of two bytes.
        kept.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        kept.extend(text.as_bytes());
    }
    Ok(())
}

fn read_bool(from: &mut Reader<'_>) -> Read<bool> {
    match from.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(PROTOCOL_ERROR),
    }
}

fn nonzero<T: Default + PartialEq>(value: T) -> Read<T> {
    if value == T::default() { Err(PROTOCOL_ERROR) } else { Ok(value) }
}
