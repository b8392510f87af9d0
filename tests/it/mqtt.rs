//! MQTT 3.1.1 and 5 as the specifications have it.

use crate::common::mqtt::{Connect, Raw, packet, text};
use crate::common::{DEADLINE, Gateway, wait_for};

#[test]
fn both_versions_on_one_port() {
    let gateway = Gateway::start();
    let (mut v3, _, _) = Raw::try_connect(gateway.mqtt, &Connect::v3("a", "u"));
    v3.ping();
    let mut v5 = Raw::open(gateway.mqtt);
    v5.send(&Connect::v5("b", "u").bytes());
    let connack = v5.packet();
    assert_eq!(connack.body[..2], [0, 0]);
    let properties = &connack.body[3..];
    assert!(properties.windows(2).any(|window| window == [0x25, 0]), "Retain Available: no");
    assert!(properties.windows(2).any(|window| window == [0x2A, 0]), "Shared Subscription Available: no");
    let user = gateway.http().get("/api/v1/users/u").json();
    let mut protocols: Vec<&str> =
        user["connections"].as_array().unwrap().iter().map(|c| c["protocol"].as_str().unwrap()).collect();
    protocols.sort_unstable();
    assert_eq!(protocols, ["mqtt3.1.1", "mqtt5"]);
}

#[test]
fn an_empty_client_id_is_assigned_where_the_session_is_clean() {
    let gateway = Gateway::start();
    let mut v5 = Raw::open(gateway.mqtt);
    v5.send(&Connect::v5("", "u").bytes());
    let connack = v5.packet();
    assert_eq!(connack.body[1], 0);
    assert!(connack.body.windows(8).any(|window| window == b"papcast-"), "Assigned Client Identifier");
    let (_, _, code) = Raw::try_connect(gateway.mqtt, &Connect::v3("", "u"));
    assert_eq!(code, 0);
    let (mut refused, _, code) = Raw::try_connect(gateway.mqtt, &Connect { clean: false, ..Connect::v3("", "u") });
    assert_eq!(code, 2, "identifier rejected");
    refused.wait_closed();
}

#[test]
fn an_unknown_protocol_level_is_refused_in_words() {
    let gateway = Gateway::start();
    for (level, code) in [(6, 1), (2, 1), (0x85, 1)] {
        let mut raw = Raw::open(gateway.mqtt);
        raw.send(&packet(0x10, &[b"\0\x04MQTT", &[level, 2, 0, 0, 0, 1, b'c'][..]].concat()));
        assert_eq!(raw.packet().body[..2], [0, code]);
        raw.wait_closed();
    }
    let mut old = Raw::open(gateway.mqtt);
    old.send(&packet(0x10, b"\0\x06MQIsdp\x03\x02\0\0\0\x01c"));
    assert_eq!(old.packet().body, [0, 0], "3.1 is let in as 3.1.1");
}

#[test]
fn a_client_id_is_taken_over_and_mqtt_5_is_told() {
    let gateway = Gateway::start();
    let mut first = Raw::connect(gateway.mqtt, &Connect::v5("c", "alice"));
    first.join("news");
    gateway.http().push("p1", "group:news", "1");
    assert_eq!(first.publish_in().text(), "1");
    let mut second = Raw::connect(gateway.mqtt, &Connect::v5("c", "alice"));
    assert_eq!(first.wait_closed(), Some(0x8E));
    assert_eq!(second.push().text(), "1", "unanswered, so it comes again");
    second.ping();
    let mut third = Raw::connect(gateway.mqtt, &Connect::v3("c", "alice"));
    assert_eq!(second.wait_closed(), Some(0x8E));
    third.assert_silent();
    let fourth = Raw::connect(gateway.mqtt, &Connect::v3("c", "alice"));
    assert_eq!(third.wait_closed(), None);
    assert_eq!(gateway.http().get("/api/v1/users/alice").json()["connections"].as_array().unwrap().len(), 1);
    drop(fourth);
}

#[test]
fn a_storm_of_take_overs_leaves_one_connection() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let mut all: Vec<Raw> = (0..40).map(|_| Raw::open(gateway.mqtt)).collect();
    for raw in &mut all {
        raw.send(&Connect::v3("same", "alice").bytes());
    }
    wait_for("one connection to be left", || {
        let user = gateway.http().get("/api/v1/users/alice").json();
        (user["connections"].as_array().unwrap().len() == 1).then_some(())
    });
    gateway.http().push("p1", "group:news", "to the last one");
    // Each of them is closed, or gets the push.
    let mut got = 0;
    for raw in &mut all {
        while let Some(packet) = raw.try_packet(DEADLINE) {
            if packet.first >> 4 == 3 {
                got += 1;
                break;
            }
        }
    }
    assert_eq!(got, 1);
}

#[test]
fn keep_alive_is_kept_and_0_means_none() {
    let gateway = Gateway::start();
    let mut quiet = Raw::connect(gateway.mqtt, &Connect { keep_alive: 1, ..Connect::v5("quiet", "u") });
    let mut never = Raw::connect(gateway.mqtt, &Connect { keep_alive: 0, ..Connect::v5("never", "u") });
    assert_eq!(quiet.wait_closed(), Some(0x8D));
    never.ping();
}

#[test]
fn a_connection_that_does_not_say_connect_is_closed() {
    let gateway = Gateway::start_with("[mqtt]\nconnect_timeout = \"500ms\"\n", &[]);
    let mut silent = Raw::open(gateway.mqtt);
    let mut dripping = Raw::open(gateway.mqtt);
    dripping.send(&[0x10, 0x20, 0]);
    silent.wait_closed();
    dripping.wait_closed();
    for first in [[0xC0, 0], [0x30, 0], [0xE0, 0], [0x20, 0]] {
        let mut raw = Raw::open(gateway.mqtt);
        raw.send(&first);
        assert_eq!(raw.wait_closed(), None, "{first:?}");
    }
    let mut http = Raw::open(gateway.mqtt);
    http.send(b"GET / HTTP/1.1\r\n\r\n");
    http.wait_closed();
}

#[test]
fn every_filter_gets_its_own_answer() {
    let gateway = Gateway::start_with("[[acl]]\nallow = [\"subscribe\"]\ntopics = [\"open/#\"]\n", &[]);
    let filters = [
        ("groups/news", 1),
        ("groups/a/b", 1),
        ("groups/é", 1),
        ("users/alice", 1),
        ("users/bob", 1),
        ("$push/response", 1),
        ("$push/response/#", 0),
        ("$push/request", 0),
        ("$SYS/#", 0),
        ("$share/g/groups/news", 1),
        ("bad/#/filter", 0),
        ("bad+", 0),
        ("closed/topic", 0),
        ("open/x", 2),
        ("open/+", 1),
        ("groups/#", 1),
        ("#", 2),
    ];
    let mut v5 = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    assert_eq!(v5.subscribe(&filters), [1, 0x8F, 0x8F, 1, 0x87, 1, 0, 0x87, 0x87, 0x9E, 0x8F, 0x8F, 0x87, 1, 1, 0, 0]);
    let mut v3 = Raw::connect(gateway.mqtt, &Connect::v3("b", "alice"));
    let bad = 0x80;
    assert_eq!(v3.subscribe(&filters), [1, bad, bad, 1, bad, 1, 0, bad, bad, bad, bad, bad, bad, 1, 1, 0, 0]);
    v5.ping();
}

#[test]
fn unsubscribe_is_answered_for_unknown_filters_too() {
    let gateway = Gateway::start();
    let mut v5 = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    v5.subscribe(&[("groups/news", 1), ("groups/#", 0)]);
    assert_eq!(
        v5.unsubscribe(&["groups/news", "groups/other", "groups/#", "never", "a/#/b"]),
        [0, 0x11, 0, 0x11, 0x8F]
    );
    let mut v3 = Raw::connect(gateway.mqtt, &Connect::v3("b", "alice"));
    assert!(v3.unsubscribe(&["groups/other", "x/#/y"]).is_empty());
    v3.ping();
}

#[test]
fn publishes_are_acknowledged_at_their_qos_and_refused_by_the_protocol_s_means() {
    let gateway = Gateway::start_with("[[acl]]\nallow = [\"publish\"]\ntopics = [\"open/#\"]\n", &[]);
    let mut v5 = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    let mut code = |topic: &str| {
        let id = v5.publish(topic, 1, b"x");
        let ack = v5.expect(4);
        assert_eq!(ack.body[..2], id.to_be_bytes());
        ack.body.get(2).copied().unwrap_or(0)
    };
    assert_eq!(code("open/x"), 0);
    assert_eq!(code("closed"), 0x87);
    assert_eq!(code("groups/news"), 0x87);
    assert_eq!(code("users/alice"), 0x87);
    assert_eq!(code("groups/é"), 0x90);
    assert_eq!(code("groups/a/b"), 0x90);
    assert_eq!(code("$SYS/x"), 0x87);
    assert_eq!(code("é/x"), 0x87);
    let mut v3 = Raw::connect(gateway.mqtt, &Connect::v3("b", "alice"));
    let id = v3.publish("closed", 1, b"x");
    assert_eq!(v3.expect(4).body, id.to_be_bytes(), "3.1.1 has no way to say no but to close");
    v3.publish("closed", 0, b"x");
    v3.ping();
    for (v5, topic) in [(true, "a/+"), (true, "a/#"), (false, "#"), (false, "a\0b")] {
        let mut raw = Raw::connect(gateway.mqtt, &Connect { v5, ..Connect::v3("bad", "alice") });
        raw.publish(topic, 0, b"x");
        let reason = raw.wait_closed();
        assert_eq!(reason.is_some(), v5, "{topic:?}");
    }
}

#[test]
fn a_publish_at_qos_2_is_taken_with_its_handshake_and_once() {
    let toml = "[[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"open/#\"]\n";
    let gateway = Gateway::start_with(toml, &[]);
    for v5 in [false, true] {
        let mut reader = Raw::connect(gateway.mqtt, &Connect::v3("r", "reader"));
        reader.subscribe(&[("open/x", 1)]);
        let mut writer = Raw::connect(gateway.mqtt, &Connect { v5, ..Connect::v3("w", "writer") });
        let id = writer.publish("open/x", 2, b"once");
        assert_eq!(writer.expect(5).body[..2], id.to_be_bytes(), "PUBREC");
        // The same packet again, as a client does that did not see the PUBREC.
        let mut body = text("open/x");
        body.extend(id.to_be_bytes());
        if v5 {
            body.push(0);
        }
        body.extend(b"once");
        writer.send(&packet(0x3C, &body));
        writer.expect(5);
        writer.send(&packet(0x62, &id.to_be_bytes()));
        let done = writer.expect(7);
        assert_eq!((&done.body[..2], done.body.get(2).copied().unwrap_or(0)), (&id.to_be_bytes()[..], 0));
        // Unknown by now.
        writer.send(&packet(0x62, &id.to_be_bytes()));
        let again = writer.expect(7);
        assert_eq!(again.body.get(2).copied(), v5.then_some(0x92));
        assert_eq!(reader.push().text(), "once");
        reader.assert_silent();
    }
}

#[test]
fn what_we_do_not_support_is_refused_as_mqtt_5_says() {
    let gateway = Gateway::start();
    let connect = |bytes: &[u8]| {
        let mut raw = Raw::connect(gateway.mqtt, &Connect::v5("c", "u"));
        raw.send(bytes);
        raw.wait_closed()
    };
    assert_eq!(
        connect(&packet(0x82, &[&[0, 1, 2, 0x0B, 1][..], &text("groups/x"), &[1]].concat())),
        Some(0xA1),
        "subscription identifier"
    );
    assert_eq!(connect(&packet(0x30, &[&text("x")[..], &[3, 0x23, 0, 1]].concat())), Some(0x94), "topic alias");
    assert_eq!(connect(&packet(0x31, &[&text("x")[..], &[0]].concat())), Some(0x9A), "retain");
    assert_eq!(connect(&Connect::v5("c", "u").bytes()), Some(0x82), "a second CONNECT");
    assert_eq!(connect(&[0x20, 2, 0, 0]), Some(0x82), "a packet only servers send");
    let mut auth = Connect::v5("c", "u");
    auth.properties.extend([&[0x15][..], &text("SCRAM")].concat());
    let (_, _, code) = Raw::try_connect(gateway.mqtt, &auth);
    assert_eq!(code, 0x8C, "bad authentication method");
}

#[test]
fn a_session_expiry_can_be_shortened_but_not_conjured_up_by_disconnect() {
    let gateway = Gateway::start();
    let mut raw = Raw::connect(gateway.mqtt, &Connect::v5("c", "u"));
    raw.send(&packet(0xE0, &[0, 5, 0x11, 0, 0, 0, 9]));
    assert_eq!(raw.wait_closed(), Some(0x82));
    let connect = Connect::v5("d", "u").lasting();
    let mut raw = Raw::connect(gateway.mqtt, &connect);
    raw.send(&packet(0xE0, &[0, 5, 0x11, 0, 0, 0, 0]));
    raw.wait_closed();
    assert_eq!(Raw::try_connect(gateway.mqtt, &connect).1, 0, "no session is present");
}

#[test]
fn a_terminal_that_stops_acknowledging_is_closed() {
    let gateway = Gateway::start_with("[mqtt]\ninflight = 1\nack_timeout = \"1s\"\n", &[]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    gateway.http().push("p1", "group:news", "1");
    gateway.http().push("p2", "group:news", "2");
    assert_eq!(alice.publish_in().text(), "1");
    assert_eq!(alice.wait_closed(), Some(0x98));
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    assert_eq!((alice.push().text(), alice.push().text()), ("1", "2"));
}
