//! The embedded broker cannot be reached from outside: everything that is known to stop it or one of its links is sent over every
//! way that a name of a client can take, while somebody watches, so that all of it would go through the router.

use serde_json::Value;

use crate::common::Gateway;
use crate::common::http::{Client, Pap, escape};
use crate::common::mqtt::{Connect, Raw, packet, text};

const OPEN: &str = "[[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"#\"]\n";

/// rumqttd 0.20: a topic that begins outside ASCII ends the router's thread; one with `$` at its beginning its link; `$share` with
/// a session that leaves something unacknowledged the thread; client ids with these characters that come twice the listener.
const NAMES: [&str; 10] = ["é/x", "é", "ü", "$share/g/x", "$SYS/x", "$x", "a+b", "a#b", "a/b", "\u{10FFFD}"];

/// A gateway on which somebody watches everything and somebody well-behaved is a member of a group.
fn start() -> (Gateway, Raw, Raw) {
    let gateway = Gateway::start_with(OPEN, &[]);
    let mut watcher = Raw::connect(gateway.mqtt, &Connect::v5("watcher", "watcher"));
    assert_eq!(watcher.subscribe(&[("#", 0), ("groups/#", 0), ("users/#", 0)]), [0, 0, 0]);
    let mut good = Raw::connect(gateway.mqtt, &Connect::v5("good", "good"));
    good.join("good");
    (gateway, watcher, good)
}

/// A push comes, and the router's beat is heard.
fn assert_alive(gateway: &Gateway, good: &mut Raw, id: &str) {
    gateway.http().push(id, "group:good", id);
    assert_eq!(good.push().text(), id);
    let parts = gateway.http().get("/healthz");
    assert_eq!((parts.status, parts.json()["status"].clone()), (200, "ok".into()), "{parts:?}");
}

#[test]
fn topics_of_publishes_wills_and_responses_do_not_reach_the_router_as_topics() {
    let (gateway, _watcher, mut good) = start();
    for (at, name) in NAMES.into_iter().enumerate() {
        for version in [Connect::v3("c", "c"), Connect::v5("c", "c")] {
            let will = Connect { will: Some((name, "gone")), ..version.clone() };
            if let Some(raw) = Raw::connect_if_there(gateway.mqtt, &will) {
                // Without a goodbye the will is published.
                drop(raw);
            }
            for qos in 0..=2 {
                let mut raw = Raw::connect(gateway.mqtt, &version);
                raw.publish(name, qos, b"x");
                raw.try_send(&[0xC0, 0]);
                while raw.try_packet(std::time::Duration::from_secs(5)).is_some_and(|packet| packet.first != 0xD0) {}
            }
        }
        let mut raw = Raw::connect(gateway.mqtt, &Connect::v5("c", "c"));
        raw.ask("$push/list", name, b"id", "");
        raw.try_send(&[0xC0, 0]);
        while raw.try_packet(std::time::Duration::from_secs(5)).is_some_and(|packet| packet.first != 0xD0) {}
        assert_alive(&gateway, &mut good, &format!("p{at}"));
    }
}

#[test]
fn names_of_groups_and_users_do_not_reach_the_router_as_they_are() {
    let (gateway, mut watcher, mut good) = start();
    for (at, name) in NAMES.into_iter().enumerate() {
        let mut raw = Raw::connect(gateway.mqtt, &Connect::v5(&format!("c{at}"), name));
        let request = serde_json::json!({"op": "join", "group": name}).to_string();
        let answer = raw.request("$push/request", &request);
        assert_eq!(answer["status"], "accepted", "{answer}");
        let (group, user) = (format!("group:{name}"), format!("user:{name}"));
        let http: Client = gateway.http();
        for (to, id) in [(&group, format!("g{at}")), (&user, format!("u{at}"))] {
            let body = serde_json::json!({"to": [to], "body": id, "push_id": id});
            assert_eq!(http.json("POST", "/api/v1/pushes", body).status, 202, "{to}");
            let push = raw.push();
            assert_eq!(push.text(), id);
            assert!(push.topic.is_ascii(), "{}", push.topic);
            assert_eq!(watcher.push().text(), id, "it went through the router");
        }
        assert_eq!(http.json("PUT", &format!("/api/v1/groups/{}", escape(name)), Value::Null).status, 200);
        assert_alive(&gateway, &mut good, &format!("p{at}"));
        assert_eq!(watcher.push().text(), format!("p{at}"));
    }
}

#[test]
fn filters_and_sessions_that_end_do_not_reach_the_router() {
    let (gateway, _watcher, mut good) = start();
    for (at, name) in NAMES.into_iter().enumerate() {
        let connect = Connect::v5(name, "somebody").lasting();
        let mut raw = Raw::connect(gateway.mqtt, &connect);
        // Twice, and once more: a second SUBSCRIBE to a filter would double every message of a link.
        for _ in 0..3 {
            raw.subscribe(&[(name, 1), ("$share/group/x", 1), ("$share/group/#", 1), ("x/#", 1), ("good", 1)]);
        }
        raw.unsubscribe(&[name, "x/#", "never"]);
        raw.subscribe(&[("x/#", 1), ("groups/good", 1)]);
        gateway.http().push(&format!("s{at}"), "group:good", "unanswered");
        // It leaves with something unacknowledged, comes back under the same client id, and again.
        raw.publish_in();
        drop(raw);
        let mut again = Raw::connect(gateway.mqtt, &connect);
        let _twin = Raw::connect(gateway.mqtt, &connect);
        again.wait_closed();
        assert_eq!(good.push().text(), "unanswered");
        assert_alive(&gateway, &mut good, &format!("p{at}"));
        gateway.http().send("DELETE", "/api/v1/groups/good/members/somebody", "text/plain", b"");
    }
    // Nobody gets anything twice for it.
    let mut reader = Raw::connect(gateway.mqtt, &Connect::v5("reader", "reader"));
    assert_eq!(reader.subscribe(&[("x/y", 1), ("x/+", 1)]), [1, 1]);
    let mut writer = Raw::connect(gateway.mqtt, &Connect::v5("writer", "writer"));
    writer.publish("x/y", 1, b"once");
    assert_eq!(reader.push().text(), "once");
    writer.publish("x/y", 1, b"twice");
    assert_eq!(reader.push().text(), "twice");
}

/// An expiry inside the router would make it skip what has not been read.
#[test]
fn an_expiry_of_a_client_or_of_an_initiator_is_not_the_routers() {
    let (gateway, _watcher, mut good) = start();
    let mut reader = Raw::connect(gateway.mqtt, &Connect::v5("reader", "reader"));
    assert_eq!(reader.subscribe(&[("x/y", 0)]), [0]);
    let mut writer = Raw::connect(gateway.mqtt, &Connect::v5("writer", "writer"));
    // Message Expiry Interval of 0, of 1 and none: QoS 0, to the topic x/y.
    for properties in [&[0x02, 0, 0, 0, 0][..], &[0x02, 0, 0, 0, 1], &[]] {
        let body = [&text("x/y")[..], &[properties.len() as u8], properties, b"m"].concat();
        writer.send(&packet(0x30, &body));
    }
    writer.ping();
    let mut got = vec![reader.publish_in().text().to_owned(), reader.publish_in().text().to_owned()];
    got.dedup();
    assert_eq!(got, ["m"]);
    let brief = Pap::new("brief").to("group:good").attribute("deliver-before-timestamp", &crate::common::in_seconds(1));
    assert_eq!(gateway.http().pap(&brief).pap_code(), 1001);
    assert_eq!(good.push().text(), "hello");
    assert_alive(&gateway, &mut good, "after");
}
