//! Topics that the ACL opens, wills, and watching.

use crate::common::Gateway;
use crate::common::http::Pap;
use crate::common::mqtt::{Connect, Raw, packet, text};

const ACL: &str = "[[acl]]\nallow = [\"publish\"]\ntopics = [\"status/%u\", \"by-client/%c\"]\n\n[[acl]]\nallow = [\"subscribe\"]\ntopics = [\"status/#\", \"by-client/+\"]\n";

#[test]
fn messages_between_terminals_keep_their_qos_and_properties() {
    let gateway = Gateway::start_with(ACL, &[]);
    let mut reader = Raw::connect(gateway.mqtt, &Connect::v5("r", "reader"));
    assert_eq!(reader.subscribe(&[("status/#", 1)]), [1]);
    let mut plain = Raw::connect(gateway.mqtt, &Connect::v3("p", "plain"));
    assert_eq!(plain.subscribe(&[("status/alice", 0)]), [0]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    let properties = [&[0x03][..], &text("text/x"), &[0x26], &text("k"), &text("v")].concat();
    let body =
        [&text("status/alice")[..], &[0, 7], &[u8::try_from(properties.len()).unwrap()], &properties, b"up"].concat();
    alice.send(&packet(0x32, &body));
    assert_eq!(alice.expect(4).body[..2], [0, 7]);
    let message = reader.push();
    assert_eq!((message.topic.as_str(), message.qos, message.text()), ("status/alice", 1, "up"));
    assert_eq!(message.user_property("k").as_deref(), Some("v"));
    assert_eq!(plain.publish_in().qos, 0);
    // Not on somebody else's topic, and not after UNSUBSCRIBE.
    alice.publish("status/bob", 1, b"forged");
    assert_eq!(alice.expect(4).body[2], 0x87);
    alice.publish("by-client/a", 1, b"x");
    assert_eq!(alice.expect(4).body.get(2).copied().unwrap_or(0), 0);
    reader.unsubscribe(&["status/#"]);
    alice.publish("status/alice", 0, b"again");
    assert_eq!(plain.publish_in().text(), "again");
    reader.assert_silent();
}

#[test]
fn an_id_with_wildcards_in_it_opens_nothing_else() {
    let gateway = Gateway::start_with(ACL, &[]);
    let mut mallory = Raw::connect(gateway.mqtt, &Connect::v5("m", "+"));
    mallory.publish("status/alice", 1, b"x");
    assert_eq!(mallory.expect(4).body[2], 0x87);
    mallory.publish("status/%2B", 1, b"x");
    assert_eq!(mallory.expect(4).body.get(2).copied().unwrap_or(0), 0);
}

#[test]
fn wills_are_published_when_a_client_vanishes_and_only_where_the_acl_allows() {
    let gateway = Gateway::start_with(ACL, &[]);
    let mut reader = Raw::connect(gateway.mqtt, &Connect::v3("r", "reader"));
    reader.subscribe(&[("status/+", 1)]);
    for v5 in [false, true] {
        let with_will = Connect { v5, will: Some(("status/alice", "gone")), ..Connect::v3("a", "alice") };
        drop(Raw::connect(gateway.mqtt, &with_will));
        assert_eq!(reader.push().text(), "gone");
        Raw::connect(gateway.mqtt, &with_will).disconnect();
        reader.assert_silent();
        let forbidden = Connect { will: Some(("status/bob", "x")), ..with_will.clone() };
        drop(Raw::connect(gateway.mqtt, &forbidden));
        reader.assert_silent();
        let invalid = Connect { will: Some(("status/#", "x")), ..with_will };
        let mut refused = Raw::open(gateway.mqtt);
        refused.v5 = v5;
        refused.send(&invalid.bytes());
        assert_eq!(refused.try_packet(crate::common::DEADLINE).map(|answer| answer.body[1]), v5.then_some(0x90));
    }
    // DISCONNECT with Will Message.
    let mut alice =
        Raw::connect(gateway.mqtt, &Connect { will: Some(("status/alice", "bye")), ..Connect::v5("a", "alice") });
    alice.send(&[0xE0, 1, 4]);
    assert_eq!(reader.push().text(), "bye");
}

#[test]
fn an_unanswered_message_is_sent_again_to_a_resumed_session() {
    let gateway = Gateway::start_with(ACL, &[]);
    let connect = Connect::v5("r", "reader").lasting();
    let mut reader = Raw::connect(gateway.mqtt, &connect);
    reader.subscribe(&[("status/alice", 1)]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.publish("status/alice", 0, b"zero");
    assert_eq!(reader.publish_in().qos, 0);
    alice.publish("status/alice", 1, b"one");
    let message = reader.publish_in();
    drop(reader);
    let (mut reader, present, _) = Raw::try_connect(gateway.mqtt, &connect);
    assert_eq!(present, 1);
    let again = reader.push();
    assert_eq!((again.text(), again.id, again.dup), ("one", message.id, true));
    alice.publish("status/alice", 1, b"two");
    assert_eq!(reader.push().text(), "two", "the subscription is still there");
}

#[test]
fn wildcards_on_our_own_topics_only_watch() {
    let gateway = Gateway::start();
    let mut watcher = Raw::connect(gateway.mqtt, &Connect::v3("w", "watcher"));
    assert_eq!(watcher.subscribe(&[("groups/+", 1), ("users/#", 1)]), [0, 0]);
    let mut all = Raw::connect(gateway.mqtt, &Connect::v5("all", "all"));
    assert_eq!(all.subscribe(&[("#", 1)]), [0]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    gateway.http().push("p1", "group:news", "1");
    for reader in [&mut watcher, &mut all] {
        let seen = reader.publish_in();
        assert_eq!((seen.topic.as_str(), seen.qos, seen.text()), ("groups/news", 0, "1"));
    }
    assert_eq!(alice.push().text(), "1");
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
    assert_eq!(gateway.http().get("/api/v1/groups/news").json()["members"], 1, "watching binds nobody");
    gateway.http().push("p2", "user:alice", "direct");
    assert_eq!(watcher.publish_in().topic, "users/alice");
    assert_eq!(all.publish_in().topic, "users/alice");
    alice.push();
    // A push to several addresses is seen on each, whole.
    gateway.http().pap(&Pap::new("p3").to("group:news").to("user:alice").text("both"));
    assert_eq!((watcher.publish_in().text(), watcher.publish_in().text()), ("both", "both"));
    assert_eq!(alice.push().text(), "both");
    // A member that watches as well gets each push once.
    watcher.join("news");
    gateway.http().push("p4", "group:news", "member");
    assert_eq!(watcher.push().qos, 1);
    watcher.assert_silent();
    watcher.unsubscribe(&["groups/+", "users/#"]);
    gateway.http().push("p5", "user:alice", "unseen");
    alice.push();
    watcher.assert_silent();
}

#[test]
fn a_delayed_will_is_taken_back_by_resuming_and_hastened_by_a_clean_start() {
    let gateway = Gateway::start_with(ACL, &[]);
    let mut reader = Raw::connect(gateway.mqtt, &Connect::v3("r", "reader"));
    reader.subscribe(&[("status/alice", 1)]);
    // CONNECT with a Will Delay Interval, in bytes: session expiry 1 h, delay as given.
    let vanish = |delay: u8| {
        let body = [
            &b"\0\x04MQTT\x05\x84\0\0\x05\x11\0\0\x0E\x10"[..],
            &text("a"),
            &[5, 0x18, 0, 0, 0, delay],
            &text("status/alice"),
            &text("gone"),
            &text("alice"),
        ]
        .concat();
        let mut raw = Raw::open(gateway.mqtt);
        raw.send(&packet(0x10, &body));
        assert_eq!(raw.packet().body[1], 0);
        drop(raw);
        crate::common::wait_for("alice to be away", || {
            (gateway.http().get("/api/v1/users/alice").status == 404).then_some(())
        });
    };
    vanish(1);
    assert_eq!(reader.push().text(), "gone", "after its delay");
    vanish(60);
    let resumed = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice").lasting());
    reader.assert_silent();
    resumed.disconnect();
    vanish(60);
    let clean = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    assert_eq!(reader.push().text(), "gone", "the session it belonged to has ended");
    drop(clean);
    // A delayed will was lost when another user took the client id.
    vanish(60);
    let _other = Raw::connect(gateway.mqtt, &Connect::v5("a", "bob").lasting());
    assert_eq!(reader.push().text(), "gone", "the session of the other user has ended");
}
