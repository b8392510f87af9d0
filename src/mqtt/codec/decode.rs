//! Whole packets to values, or the reason code that the specification names: 0x81 for what cannot be read, 0x82 for what
//! can be read and is not allowed (MQTT 5.0 §4.13).

use bytes::Bytes;

use super::properties::{OF_ACK, OF_DISCONNECT, OF_PUBLISH, OF_SUBSCRIBE, OF_UNSUBSCRIBE, Properties};
use super::reader::{MALFORMED, PROTOCOL_ERROR, Read, Reader};
use super::{BadPacket, Filter, Packet, Publish, Version, connect, reason};

/// Reason codes that a client may use (§3.4.2.1, §3.6.2.1, §3.14.2.1).
const OF_PUBACK: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const OF_PUBREL: &[u8] = &[0x00, 0x92];
const CLIENT_DISCONNECTS: &[u8] = &[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];

/// Reads one whole packet.
pub(in crate::mqtt) fn decode(version: Version, packet: &[u8]) -> Result<Packet, BadPacket> {
    let mut from = super::body(packet)?;
    let from = &mut from;
    let first = packet.first().copied().unwrap_or_default();
    let (kind, flags) = (first >> 4, first & 0x0F);
    let reserved = match kind {
        3 => flags,
        6 | 8 | 10 => 2,
        _ => 0,
    };
    if flags != reserved {
        return Err(MALFORMED); // §2.1.3
    }
    let v5 = version == Version::V5;
    match kind {
        1 => connect::read(from).map(|connect| Packet::Connect(Box::new(connect))),
        3 => publish(version, flags, from).map(|publish| Packet::Publish(Box::new(publish))),
        4 => ack(version, OF_PUBACK, from).map(|(id, reason)| Packet::PubAck { id, reason }),
        5 => ack(version, OF_PUBACK, from).map(|(id, _)| Packet::PubRec { id }),
        6 => ack(version, OF_PUBREL, from).map(|(id, _)| Packet::PubRel { id }),
        7 => ack(version, OF_PUBREL, from).map(|_| Packet::PubComp),
        8 => subscribe(version, from),
        10 => unsubscribe(version, from),
        12 => from.end().map(|()| Packet::Ping),
        14 => disconnect(version, from),
        // What only a server sends, and an AUTH that no method was agreed on for.
        2 | 9 | 11 | 13 => Err(PROTOCOL_ERROR),
        15 if v5 => Err(PROTOCOL_ERROR),
        _ => Err(MALFORMED),
    }
}

fn publish(version: Version, flags: u8, from: &mut Reader<'_>) -> Read<Publish> {
    let (dup, qos) = (flags & 0x08 != 0, flags >> 1 & 3);
    if qos == 3 || (dup && qos == 0) {
        return Err(MALFORMED); // §3.3.1.1, §3.3.1.2
    }
    let topic = from.text()?.to_owned();
    let id = if qos > 0 { from.packet_id()? } else { 0 };
    let properties = match version {
        Version::V3 => Properties::default(),
        Version::V5 => Properties::read(from, OF_PUBLISH)?,
    };
    if properties.topic_alias.is_some() {
        return Err(BadPacket(reason::TOPIC_ALIAS_INVALID)); // Our Topic Alias Maximum is 0.
    }
    if topic.is_empty() || properties.has_subscription_id {
        return Err(PROTOCOL_ERROR); // §3.3.2.1, §3.3.2.3.8
    }
    let payload = Bytes::copy_from_slice(from.rest());
    Ok(Publish { retain: flags & 1 != 0, qos, topic, id, properties: properties.message, payload })
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP.
fn ack(version: Version, codes: &[u8], from: &mut Reader<'_>) -> Read<(u16, u8)> {
    let id = from.packet_id()?;
    if version == Version::V3 || from.is_empty() {
        from.end()?;
        return Ok((id, reason::SUCCESS));
    }
    let code = reason_code(codes, from)?;
    if !from.is_empty() {
        Properties::read(from, OF_ACK)?;
    }
    from.end()?;
    Ok((id, code))
}

fn reason_code(codes: &[u8], from: &mut Reader<'_>) -> Read<u8> {
    let code = from.u8()?;
    if codes.contains(&code) { Ok(code) } else { Err(PROTOCOL_ERROR) }
}

fn subscribe(version: Version, from: &mut Reader<'_>) -> Read<Packet> {
    let id = from.packet_id()?;
    let mut identified = false;
    if version == Version::V5 {
        identified = Properties::read(from, OF_SUBSCRIBE)?.has_subscription_id;
    }
    let mut filters = Vec::new();
    while !from.is_empty() {
        let text = from.text()?.to_owned();
        let options = from.u8()?;
        check_options(version, &text, options)?;
        filters.push(Filter { text, qos: options & 3, no_local: options & 4 != 0 });
    }
    if filters.is_empty() {
        return Err(PROTOCOL_ERROR); // §3.8.3
    }
    Ok(Packet::Subscribe { id, filters, identified })
}

/// Subscription options (3.1.1 §3.8.3, 5.0 §3.8.3.1).
fn check_options(version: Version, filter: &str, options: u8) -> Read<()> {
    let qos = options & 3;
    if version == Version::V3 {
        return if options & 0xFC != 0 || qos == 3 { Err(MALFORMED) } else { Ok(()) };
    }
    let (no_local, retain_handling) = (options & 4 != 0, options >> 4 & 3);
    if options & 0xC0 != 0 {
        Err(MALFORMED)
    } else if qos == 3 || retain_handling == 3 || (no_local && filter.starts_with("$share/")) {
        Err(PROTOCOL_ERROR)
    } else {
        Ok(())
    }
}

fn unsubscribe(version: Version, from: &mut Reader<'_>) -> Read<Packet> {
    let id = from.packet_id()?;
    if version == Version::V5 {
        Properties::read(from, OF_UNSUBSCRIBE)?;
    }
    let mut filters = Vec::new();
    while !from.is_empty() {
        filters.push(from.text()?.to_owned());
    }
    if filters.is_empty() {
        return Err(PROTOCOL_ERROR); // §3.10.3
    }
    Ok(Packet::Unsubscribe { id, filters })
}

fn disconnect(version: Version, from: &mut Reader<'_>) -> Read<Packet> {
    if version == Version::V3 || from.is_empty() {
        from.end()?;
        return Ok(Packet::Disconnect { reason: reason::SUCCESS, session_expiry: None });
    }
    let reason = reason_code(CLIENT_DISCONNECTS, from)?;
    let mut session_expiry = None;
    if !from.is_empty() {
        session_expiry = Properties::read(from, OF_DISCONNECT)?.session_expiry;
    }
    from.end()?;
    Ok(Packet::Disconnect { reason, session_expiry })
}
