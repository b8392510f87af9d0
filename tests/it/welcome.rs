//! A new member gets the last live push of its group, where the group says so.

use serde_json::{Value, json};

use crate::common::http::Pap;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, in_seconds, papcast};

fn group_with_welcome(gateway: &Gateway) {
    let reply = gateway.http().json("PUT", "/api/v1/groups/news", json!({"welcome": "last"}));
    assert_eq!((reply.status, &reply.json()["welcome"]), (201, &json!("last")), "{reply:?}");
    gateway.http().bind("news", "old");
}

#[test]
fn a_new_member_gets_the_last_push_on_the_groups_topic_and_is_not_one_of_n() {
    let mut gateway = Gateway::start();
    group_with_welcome(&gateway);
    let http = gateway.http();
    http.push("p1", "group:news", "first");
    http.push("p2", "group:news", "second");
    let mut old = Raw::connect(gateway.mqtt, &Connect::v3("o", "old"));
    assert_eq!(old.push().text(), "first");
    assert_eq!(old.push().text(), "second");
    http.wait_outcome("p2", "delivered", "1 of 1");
    // One who is here, one who comes later, and after a crash.
    let mut here = Raw::connect(gateway.mqtt, &Connect::v5("h", "here"));
    here.publish("$push/join/news", 0, b"");
    let first = here.publish_in();
    let welcome = if first.qos == 1 { first } else { here.publish_in() };
    here.puback(welcome.id);
    assert_eq!((welcome.topic.as_str(), welcome.text()), ("groups/news", "second"));
    assert_eq!(welcome.user_property("push-id").as_deref(), Some("p2"));
    crate::common::wait_for("it to be counted", || (http.outcome("p2")["welcomed"] == 1).then_some(()));
    http.bind("news", "later");
    gateway.kill();
    gateway.restart();
    // The answer to the join may have come behind it.
    drop(here);
    let http = gateway.http();
    let mut later = Raw::connect(gateway.mqtt, &Connect::v3("l", "later"));
    let kept = later.push();
    assert_eq!((kept.text(), kept.topic.as_str()), ("second", "groups/news"));
    let shown = crate::common::wait_for("both to be counted", || {
        let shown = http.outcome("p2");
        (shown["welcomed"] == 2).then_some(shown)
    });
    assert_eq!((&shown["desc"], &shown["recipients"]), (&json!("1 of 1"), &json!(1)), "{shown}");
    // The next push is for all three, and comes once to each.
    http.push("p3", "group:news", "third");
    assert_eq!(later.push().text(), "third");
    later.assert_silent();
    let recipients = http.get("/api/v1/pushes/p2/recipients").json();
    assert_eq!(recipients["recipients"].as_array().unwrap().len(), 1, "{recipients}");
}

#[test]
fn who_leaves_and_joins_again_does_not_get_the_same_push_twice() {
    let gateway = Gateway::start();
    group_with_welcome(&gateway);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    gateway.http().push("p1", "group:news", "hello");
    assert_eq!(alice.push().text(), "hello");
    for _ in 0..2 {
        alice.request("$push/leave/news", "");
        alice.join("news");
    }
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v5("b", "bob"));
    // What it gets may come before the answer to its request.
    bob.publish("$push/join/news", 0, b"");
    let texts = [bob.publish_in(), bob.publish_in()].map(|publish| {
        if publish.qos > 0 {
            bob.puback(publish.id);
        }
        publish.topic
    });
    assert!(texts.contains(&"groups/news".to_owned()), "{texts:?}");
    for _ in 0..2 {
        assert_eq!(bob.subscribe(&[("groups/news", 1)]), [1]);
        bob.request("$push/leave/news", "");
        bob.unsubscribe(&["groups/news"]);
    }
    alice.assert_silent();
    bob.assert_silent();
}

#[test]
fn what_is_over_or_was_not_asked_for_welcomes_nobody() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.bind("plain", "x");
    http.push("p0", "group:plain", "hello");
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("plain");
    group_with_welcome(&gateway);
    alice.join("news");
    http.push("p1", "group:news", "cancelled");
    alice.push();
    assert_eq!(http.send("DELETE", "/api/v1/pushes/p1", "text/plain", b"").status, 200);
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v5("b", "bob"));
    bob.join("news");
    assert_eq!(
        http.pap(&Pap::new("p2").to("group:news").text("brief").attribute("deliver-before-timestamp", &in_seconds(2)))
            .pap_code(),
        1001
    );
    alice.push();
    bob.push();
    http.wait_outcome("p2", "expired", "2 of 3");
    let mut carl = Raw::connect(gateway.mqtt, &Connect::v5("c", "carl"));
    carl.join("news");
    carl.assert_silent();
}

/// Whoever takes a push back takes it back from new members too.
#[test]
fn a_cancelled_push_is_not_kept_for_a_new_member() {
    let gateway = Gateway::start();
    group_with_welcome(&gateway);
    let http = gateway.http();
    http.push("p1", "group:news", "hello");
    http.bind("news", "later");
    assert_eq!(http.send("DELETE", "/api/v1/pushes/p1", "text/plain", b"").status, 200);
    let mut later = Raw::connect(gateway.mqtt, &Connect::v3("l", "later"));
    later.assert_silent();
    let notified = http.outcome("p1");
    assert_eq!((&notified["state"], &notified["welcomed"]), (&json!("cancelled"), &Value::Null));
}

#[test]
fn a_group_with_a_welcome_is_made_by_the_command() {
    let gateway = Gateway::start();
    let at = format!("http://{}", gateway.http);
    let made = papcast(&["group", "add", "news", "--welcome", "last", "--json", "--gateway", &at]);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    assert_eq!(made["welcome"], "last");
    // What is not said stays.
    let reply = gateway.http().json("PUT", "/api/v1/groups/news", json!({"policy": "closed"}));
    assert_eq!(reply.json()["welcome"], "last");
}

/// The same push by two of its addresses is one push for a user (docs/ledger.md, rule 12).
#[test]
fn who_had_the_push_by_another_group_got_it_again_as_a_welcome() {
    let gateway = Gateway::start();
    group_with_welcome(&gateway);
    let http = gateway.http();
    http.bind("other", "alice");
    assert_eq!(http.pap(&Pap::new("p1").to("group:news").to("group:other")).pap_code(), 1001);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.push();
    alice.join("news");
    alice.assert_silent();
}

#[test]
fn who_left_before_it_came_got_the_welcome_all_the_same() {
    let gateway = Gateway::start();
    group_with_welcome(&gateway);
    let http = gateway.http();
    http.push("p1", "group:news", "hello");
    http.bind("news", "bob");
    http.bind("news", "carl");
    assert_eq!(http.json("DELETE", "/api/v1/groups/news/members/bob", Value::Null).status, 204);
    Raw::connect(gateway.mqtt, &Connect::v3("b", "bob")).assert_silent();
    assert_eq!(http.json("DELETE", "/api/v1/groups/news", Value::Null).status, 204);
    Raw::connect(gateway.mqtt, &Connect::v3("c", "carl")).assert_silent();
}
