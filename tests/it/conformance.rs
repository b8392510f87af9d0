//! MQTT as other people's suites and clients found it: inputs in bytes, answers as the specification has them.

use crate::common::mqtt::{Connect, Packet, Raw, packet, text};
use crate::common::{DEADLINE, Gateway};

const OPEN: &str = "[[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"#\"]\n";

fn hex(bytes: &str) -> Vec<u8> {
    let digits: Vec<u8> = bytes.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// What comes back for a first packet; none where the connection is closed without a word.
fn answer_to(gateway: &Gateway, first: &str) -> Option<Packet> {
    let mut raw = Raw::open(gateway.mqtt);
    raw.send(&hex(first));
    raw.try_packet(DEADLINE)
}

#[test]
fn a_control_character_in_a_topic_broke_the_streams_of_all_subscribers() {
    let gateway = Gateway::start_with(OPEN, &[]);
    let mut reader = Raw::connect(gateway.mqtt, &Connect::v5("r", "reader"));
    assert_eq!(reader.subscribe(&[("x/#", 1)]), [1]);
    let mut old = Raw::connect(gateway.mqtt, &Connect::v3("a", "a"));
    old.send(&hex("3008 0005 782f610162 31"));
    assert_eq!(old.wait_closed(), None);
    let mut new = Raw::connect(gateway.mqtt, &Connect::v5("b", "b"));
    new.send(&hex("3009 0005 782f610162 00 31"));
    assert_eq!(new.wait_closed(), Some(0x90));
    // By a will, and by a filter.
    assert_eq!(answer_to(&gateway, "1018 00044d515454 04 06 003c 000177 0003782f01 0004676f6e65"), None);
    let mut filters = Raw::connect(gateway.mqtt, &Connect::v5("f", "f"));
    assert_eq!(filters.subscribe(&[("x/\u{1}", 0), ("x/\u{85}/#", 0), ("x/ok", 0)]), [0x8F, 0x8F, 0]);
    let mut filters = Raw::connect(gateway.mqtt, &Connect::v3("g", "g"));
    assert_eq!(filters.subscribe(&[("x/\u{1}", 0), ("x/ok", 0)]), [0x80, 0]);
    filters.publish("x/whole", 1, b"fine");
    assert_eq!(reader.push().text(), "fine");
    reader.ping();
}

#[test]
fn a_control_character_in_a_response_topic_broke_the_stream_of_another_user() {
    let gateway = Gateway::start();
    gateway.http().json("PUT", "/api/v1/groups/club", serde_json::json!({"policy":"approval"}));
    let mut victim = Raw::connect(gateway.mqtt, &Connect::v5("v", "victim"));
    let mut asker = Raw::connect(gateway.mqtt, &Connect::v5("m", "mallory"));
    let request = br#"{"op":"join","user":"victim","group":"club"}"#;
    asker.send(&packet(0x30, &[&text("$push/request")[..], &[6, 8], &text("r/\u{1}"), request].concat()));
    assert_eq!(asker.wait_closed(), Some(0x90));
    gateway.http().bind("club", "victim");
    gateway.http().push("p1", "group:club", "whole");
    assert_eq!(victim.push().text(), "whole");
    victim.ping();
}

#[test]
fn no_local_was_ignored() {
    let gateway = Gateway::start_with(OPEN, &[]);
    let mut own = Raw::connect(gateway.mqtt, &Connect::v5("own", "own"));
    own.send(&hex("8209 0001 00 0003782f6e 05"));
    assert_eq!(own.expect(9).body, [0, 1, 0, 1]);
    let mut other = Raw::connect(gateway.mqtt, &Connect::v5("other", "other"));
    own.send(&hex("3007 0003782f6e 00 6d"));
    other.publish("x/n", 0, b"from the other");
    assert_eq!(own.publish_in().text(), "from the other", "and not what it sent itself");
}

#[test]
fn no_local_outlives_the_connection() {
    let gateway = Gateway::start_with(OPEN, &[]);
    let session = || Connect::v5("own", "own").lasting();
    let mut own = Raw::connect(gateway.mqtt, &session());
    own.send(&hex("8209 0001 00 0003782f6e 05"));
    own.expect(9);
    drop(own);
    let (mut own, present, _) = Raw::try_connect(gateway.mqtt, &session());
    assert_eq!(present, 1);
    own.publish("x/n", 0, b"m");
    Raw::connect(gateway.mqtt, &Connect::v3("other", "other")).publish("x/n", 0, b"from the other");
    assert_eq!(own.publish_in().text(), "from the other");
}

/// Level 0x84: what a bridge of mosquitto sends first. What it publishes does not come back to it.
#[test]
fn bridges_of_mosquitto_could_not_connect() {
    let gateway = Gateway::start_with(OPEN, &[]);
    let mut bridge = Raw::open(gateway.mqtt);
    bridge.send(&hex("100e 00044d515454 84 02 003c 00026272"));
    assert_eq!(bridge.packet(), Packet { first: 0x20, body: vec![0, 0] });
    assert_eq!(bridge.subscribe(&[("x/#", 1)]), [1]);
    bridge.publish("x/own", 0, b"m");
    Raw::connect(gateway.mqtt, &Connect::v3("other", "other")).publish("x/n", 0, b"from the other");
    assert_eq!(bridge.publish_in().text(), "from the other");
}

#[test]
fn an_unknown_level_was_answered_in_words_of_mqtt_5() {
    let gateway = Gateway::start();
    let answer = answer_to(&gateway, "100e 00044d515454 06 02 003c 00026272");
    assert_eq!(answer, Some(Packet { first: 0x20, body: vec![0, 1] }));
}

#[test]
fn user_properties_and_payload_format_were_changed_on_the_way() {
    let gateway = Gateway::start_with(OPEN, &[]);
    let mut reader = Raw::connect(gateway.mqtt, &Connect::v5("r", "reader"));
    reader.subscribe(&[("x/n", 0)]);
    let mut writer = Raw::connect(gateway.mqtt, &Connect::v5("w", "w"));
    let user = [&[0x26][..], &text("a\tb"), &text("line1\nline2")].concat();
    let properties = [&[0x01, 0][..], &user, &user].concat();
    let length = u8::try_from(properties.len()).unwrap();
    writer.send(&packet(0x30, &[&text("x/n")[..], &[length], &properties, b"m"].concat()));
    assert_eq!(reader.publish_in().properties, properties);
}

#[test]
fn a_message_expiry_interval_of_0_closed_the_connection() {
    let gateway = Gateway::start_with(OPEN, &[]);
    let mut writer = Raw::connect(gateway.mqtt, &Connect::v5("w", "w"));
    writer.send(&hex("320e 0003782f6e 0001 05 0200000000 6d"));
    assert_eq!(writer.expect(4).body[..2], [0, 1]);
    writer.ping();
    // In a will: flags 0x06, properties of the will 02 00000000.
    let answer = answer_to(&gateway, "101c 00044d515454 05 06 003c 00 000177 05 0200000000 0003782f6e 00016d").unwrap();
    assert_eq!((answer.first, answer.body[1]), (0x20, 0));
}

/// [MQTT-3.1.4-1]: a CONNECT that is none is not answered; "server unavailable" made clients try again for ever.
#[test]
fn malformed_connects_of_3_1_1_were_told_to_try_again() {
    let gateway = Gateway::start();
    for (name, first) in [
        ("no client id", "100a 00044d515454 04 00 000a"),
        ("bytes behind the payload", "100f 00044d515454 04 02 003c 00026e32 00"),
        ("a reserved flag", "100e 00044d515454 04 03 003c 00026e32"),
        ("a password without a username", "1011 00044d515454 04 42 003c 00026e32 000170"),
    ] {
        assert_eq!(answer_to(&gateway, first), None, "{name}");
    }
}

#[test]
fn an_empty_client_id_was_refused_where_the_session_may_be_resumed() {
    let gateway = Gateway::start();
    let answer = answer_to(&gateway, "100d 00044d515454 05 00 003c 00 0000").unwrap();
    assert_eq!((answer.first, answer.body[1]), (0x20, 0), "MQTT 5.0 §3.1.3.1: one is assigned");
}

#[test]
fn mqtt_3_1_was_told_of_a_session_in_a_bit_that_it_reserves() {
    let gateway = Gateway::start();
    let connect = "1010 00064d5149736470 03 00 003c 00026e33";
    for _ in 0..2 {
        assert_eq!(answer_to(&gateway, connect), Some(Packet { first: 0x20, body: vec![0, 0] }));
    }
}

#[test]
fn what_is_not_allowed_gets_the_reason_that_the_specification_names() {
    let gateway = Gateway::start();
    for (name, first, code) in [
        ("a property twice", "1018 00044d515454 05 02 000a 0a 1100000011 00000001 000170", 0x81),
        ("a property twice", "1019 00044d515454 05 02 000a 0a 1100000001 1100000001 000170 00", 0x82),
        ("authentication data alone", "1013 00044d515454 05 02 000a 04 16000178 000170", 0x82),
        ("an empty response topic in a will", "1018 00044d515454 05 06 003c 00 000177 03 080000 000178 00016d", 0x82),
    ] {
        let bytes = hex(first);
        let mut raw = Raw::open(gateway.mqtt);
        raw.send(&packet(bytes[0], &bytes[2..]));
        let answer = raw.packet();
        assert_eq!((answer.first, answer.body[1]), (0x20, code), "{name}");
    }
}
