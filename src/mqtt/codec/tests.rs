//! The codec against the words of the specification: bytes and the reason code that they get.

use proptest::prelude::*;

use super::*;

fn code(version: Version, packet: &[u8]) -> Result<(), u8> {
    decode(version, packet).map(drop).map_err(|BadPacket(code)| code)
}

/// A CONNECT of MQTT 5 with these flags, properties and payload.
fn connect_v5(flags: u8, properties: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(properties.len()).unwrap();
    let body = [&b"\0\x04MQTT\x05"[..], &[flags, 0, 60, length], properties, payload].concat();
    [&[0x10, u8::try_from(body.len()).unwrap()][..], &body].concat()
}

#[test]
fn the_length_is_known_before_the_packet_is_there() {
    assert_eq!(packet_length(&[0x30], 100), Ok(None));
    assert_eq!(packet_length(&[0x30, 0x80], 100), Ok(None));
    assert_eq!(packet_length(&[0xC0, 0], 100), Ok(Some(2)));
    assert_eq!(packet_length(&[0x30, 0x80, 1], 200), Ok(Some(131)));
    assert_eq!(packet_length(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], 1 << 20), Err(BadPacket(reason::PACKET_TOO_LARGE)));
    assert_eq!(packet_length(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], 1 << 20), Err(BadPacket(reason::MALFORMED)));
}

#[test]
fn the_version_is_read_from_connect() {
    assert_eq!(connect_version(b"\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0"), Ok(Version::V3));
    assert_eq!(connect_version(b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0"), Ok(Version::V5));
    assert_eq!(connect_version(b"\x10\x0e\0\x06MQIsdp\x03\x02\0\0\0\0"), Ok(Version::V3));
    assert_eq!(connect_version(b"\x10\x0c\0\x04MQTT\x84\x02\0\0\0\0"), Ok(Version::V3), "a bridge of mosquitto");
    assert_eq!(connect_version(b"\x10\x0c\0\x04MQTT\x06\x02\0\0\0\0"), Err(ConnectFault::Level));
    assert_eq!(connect_version(b"GET / HTTP/1.1\r\n"), Err(ConnectFault::NotConnect));
    assert_eq!(connect_version(b"\x10"), Err(ConnectFault::NotConnect));
}

/// Of mosquitto's packet sequences 517 were answered with 0x81 where the specification says 0x82.
#[test]
fn what_can_be_read_and_is_not_allowed_was_called_malformed() {
    let client = b"\0\x01c";
    for (name, packet) in [
        ("a property twice", connect_v5(2, &[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1], client)),
        ("Receive Maximum 0", connect_v5(2, &[0x21, 0, 0], client)),
        ("Maximum Packet Size 0", connect_v5(2, &[0x27, 0, 0, 0, 0], client)),
        ("Request Problem Information 2", connect_v5(2, &[0x17, 2], client)),
        ("Authentication Data without a method", connect_v5(2, &[0x16, 0, 1, b'x'], client)),
        ("packet identifier 0", b"\x32\x06\0\x01t\0\0\0".to_vec()),
        ("Payload Format Indicator 2", b"\x30\x06\0\x01t\x02\x01\x02".to_vec()),
        ("a Subscription Identifier in a PUBLISH", b"\x30\x06\0\x01t\x02\x0B\x01".to_vec()),
        ("an empty topic", b"\x30\x03\0\0\0".to_vec()),
        ("a SUBSCRIBE without filters", b"\x82\x03\0\x01\0".to_vec()),
        ("QoS 3 in a SUBSCRIBE", b"\x82\x07\0\x01\0\0\x01t\x03".to_vec()),
        ("Retain Handling 3", b"\x82\x07\0\x01\0\0\x01t\x30".to_vec()),
        ("Subscription Identifier 0", b"\x82\x09\0\x01\x02\x0B\0\0\x01t\0".to_vec()),
        ("No Local on a shared subscription", b"\x82\x0f\0\x01\0\0\x09$share/g/\x04".to_vec()),
        ("an UNSUBSCRIBE without filters", b"\xA2\x03\0\x01\0".to_vec()),
        ("an unknown reason code in a PUBACK", b"\x40\x03\0\x01\x55".to_vec()),
        ("a reason code that only servers send", b"\xE0\x01\x8B".to_vec()),
        ("a packet that only servers send", b"\xD0\0".to_vec()),
        ("an AUTH without a method", b"\xF0\0".to_vec()),
    ] {
        assert_eq!(code(Version::V5, &packet), Err(0x82), "{name}: {packet:02x?}");
    }
}

#[test]
fn what_cannot_be_read_is_malformed() {
    let client = b"\0\x01c";
    for (name, packet) in [
        ("a reserved connect flag", connect_v5(3, &[], client)),
        ("will QoS without a will", connect_v5(0x0A, &[], client)),
        ("will retain without a will", connect_v5(0x22, &[], client)),
        ("will QoS 3", connect_v5(0x1E, &[], b"\0\x01c\0\0\x01t\0\x01w")),
        ("bytes behind the payload", connect_v5(2, &[], b"\0\x01cxx")),
        ("a property of another packet", connect_v5(2, &[0x23, 0, 1], client)),
        ("an unknown property", connect_v5(2, &[0x7E], client)),
        ("a client id that is no UTF-8", connect_v5(2, &[], b"\0\x01\xFF")),
        ("a username that is not there", connect_v5(0x82, &[], client)),
        ("packet type 0", b"\0\0".to_vec()),
        ("reserved bits of a PUBACK", b"\x42\x02\0\x01".to_vec()),
        ("reserved bits of a SUBSCRIBE", b"\x80\x07\0\x01\0\0\x01t\0".to_vec()),
        ("QoS 3", b"\x36\x06\0\x01t\0\x01\0".to_vec()),
        ("DUP at QoS 0", b"\x38\x04\0\x01t\0".to_vec()),
        ("reserved subscription options", b"\x82\x07\0\x01\0\0\x01t\x40".to_vec()),
        ("a body behind a PINGREQ", b"\xC0\x01x".to_vec()),
        ("bytes behind a PUBACK", b"\x40\x05\0\x01\0\0x".to_vec()),
        ("half a user property", b"\x30\x08\0\x01t\x04\x26\0\x01a".to_vec()),
        ("NUL in a topic", b"\x30\x06\0\x03a\0b\0".to_vec()),
    ] {
        assert_eq!(code(Version::V5, &packet), Err(0x81), "{name}: {packet:02x?}");
    }
    for (name, packet) in [
        ("bytes behind the payload", &b"\x10\x0f\0\x04MQTT\x04\x02\0\x3c\0\x02n2\0"[..]),
        ("a password without a username", b"\x10\x10\0\x04MQTT\x04\x42\0\x3c\0\x01c\0\x01p"),
        ("a client id that is not there", b"\x10\x0a\0\x04MQTT\x04\0\0\x0a"),
        ("reserved subscription options", b"\x82\x06\0\x01\0\x01t\x04"),
        ("a body behind a DISCONNECT", b"\xE0\x01\0"),
        ("AUTH", b"\xF0\0"),
    ] {
        assert_eq!(code(Version::V3, packet), Err(0x81), "{name}: {packet:02x?}");
    }
}

#[test]
fn a_message_expiry_interval_of_0_was_malformed() {
    let Ok(Packet::Publish(publish)) = decode(Version::V5, b"\x32\x0e\0\x03x/n\0\x01\x05\x02\0\0\0\0m") else {
        panic!("it is legal");
    };
    assert_eq!((publish.properties.expiry, &publish.payload[..]), (Some(0), &b"m"[..]));
}

#[test]
fn properties_were_changed_on_the_way() {
    let user = b"\x26\0\x02ab\0\x0bline1\nline2";
    let properties = [&[0x01, 0][..], user].concat();
    let body = [&b"\0\x03x/n"[..], &[u8::try_from(properties.len()).unwrap()], &properties, b"m"].concat();
    let packet = [&[0x30, u8::try_from(body.len()).unwrap()][..], &body].concat();
    let Ok(Packet::Publish(publish)) = decode(Version::V5, &packet) else { panic!("it is legal") };
    assert_eq!(&publish.properties.user[..], user);
    assert_eq!(publish.properties.is_utf8, Some(false));
}

/// The bytes of MQTT 5.0 §3.2 and MQTT 3.1.1 §3.2.
#[test]
fn answers_are_what_the_specification_says() {
    let refusal = |reason| Reply::ConnAck(Box::new(ConnAck::refusal(reason, "")));
    assert_eq!(encode(Version::V3, &refusal(reason::UNSUPPORTED_VERSION))[..], [0x20, 2, 0, 1]);
    assert_eq!(encode(Version::V3, &refusal(reason::NOT_AUTHORIZED))[..], [0x20, 2, 0, 5]);
    assert_eq!(encode(Version::V3, &refusal(reason::QUOTA_EXCEEDED))[..], [0x20, 2, 0, 3]);
    assert_eq!(encode(Version::V5, &refusal(reason::CLIENT_ID_INVALID))[..], [0x20, 3, 0, 0x85, 0]);
    let told = Reply::ConnAck(Box::new(ConnAck::refusal(reason::NOT_AUTHORIZED, "no")));
    assert_eq!(encode(Version::V5, &told)[..], *b"\x20\x08\0\x87\x05\x1f\0\x02no");
    let granted = Reply::ConnAck(Box::new(ConnAck {
        reason: 0,
        why: String::new(),
        session_present: true,
        assigned_client_id: Some("id".into()),
        session_expiry: Some(7),
        max_packet: 1_000,
        receive_max: 64,
    }));
    let expected = b"\x20\x1b\x01\0\x18\x11\0\0\0\x07\x21\0\x40\x25\0\x27\0\0\x03\xe8\x12\0\x02id\x29\0\x2a\0";
    assert_eq!(encode(Version::V5, &granted)[..], expected[..]);
    assert_eq!(encode(Version::V5, &Reply::PubAck { id: 9, reason: 0 })[..], [0x40, 2, 0, 9]);
    assert_eq!(encode(Version::V5, &Reply::PubAck { id: 9, reason: 0x97 })[..], [0x40, 3, 0, 9, 0x97]);
    assert_eq!(encode(Version::V3, &Reply::PubRel { id: 9, reason: 0x92 })[..], [0x62, 2, 0, 9]);
    let codes = vec![0, 1, 0x8F];
    assert_eq!(encode(Version::V5, &Reply::SubAck { id: 9, codes: codes.clone() })[..], [0x90, 6, 0, 9, 0, 0, 1, 0x8F]);
    assert_eq!(encode(Version::V3, &Reply::SubAck { id: 9, codes })[..], [0x90, 5, 0, 9, 0, 1, 0x80]);
    assert_eq!(encode(Version::V5, &Reply::UnsubAck { id: 9, codes: vec![0x11] })[..], [0xB0, 4, 0, 9, 0, 0x11]);
    assert_eq!(encode(Version::V3, &Reply::UnsubAck { id: 9, codes: vec![0x11] })[..], [0xB0, 2, 0, 9]);
    assert_eq!(encode(Version::V5, &Reply::Disconnect { reason: 0x8E })[..], [0xE0, 1, 0x8E]);
    assert!(encode(Version::V3, &Reply::Disconnect { reason: 0x8E }).is_empty());
    assert_eq!(encode(Version::V3, &Reply::Pong)[..], [0xD0, 0]);
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
    fn nearly_valid_packets_are_survived(kind in 0_u8..16, flags in 0_u8..16, cut in 0_usize..40, noise in prop::collection::vec((0_usize..40, any::<u8>()), 0..6), v5 in any::<bool>()) {
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
