//! Push-ids that are used again (`push.duplicates`).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::json;

use crate::common::http::{Client, Pap};
use crate::common::initiator::Initiator;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, in_seconds, wait_for};

fn gateway(policy: &str) -> Gateway {
    Gateway::start_with(&format!("[push]\nduplicates = \"{policy}\"\n[notify]\nallow_private = true\n"), &[])
}

fn code(http: &Client, text: &str) -> u16 {
    http.pap(&Pap::new("same").to("group:news").text(text)).pap_code()
}

#[test]
fn reject_keeps_a_push_id_while_its_push_is_kept() {
    let gateway = gateway("reject");
    let http = gateway.http();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("news");
    assert_eq!(code(&http, "one"), 1001);
    assert_eq!(alice.push().text(), "one");
    http.wait_outcome("same", "delivered", "1 of 1");
    assert_eq!(code(&http, "two"), 2007);
    assert_eq!(code(&http, "one"), 1001, "the same bytes are the same submission");
    alice.assert_silent();
}

#[test]
fn reject_pending_gives_it_away_once_its_push_is_over() {
    let mut gateway = gateway("reject-pending");
    let initiator = Initiator::start();
    let http = gateway.http();
    http.bind("news", "alice");
    let first = Pap::new("same").to("group:news").text("one").attribute("ppg-notify-requested-to", &initiator.url);
    assert_eq!(http.pap(&first).pap_code(), 1001);
    assert_eq!(code(&http, "two"), 2007, "it is pending");
    initiator.answer("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    assert_eq!(alice.push().text(), "one");
    http.wait_outcome("same", "delivered", "1 of 1");
    assert_eq!(http.pap(&first).pap_code(), 1001, "a repeat");
    alice.assert_silent();
    assert_eq!(code(&http, "two"), 1001);
    assert_eq!(alice.push().text(), "two");
    http.wait_outcome("same", "delivered", "1 of 1");
    assert_eq!(http.pap(&first).pap_code(), 1001, "a repeat still, though the push-id is another one's by now");
    alice.assert_silent();
    // The first one is in the list under the name that its initiator gave it, and so is its notification.
    let list = http.get("/api/v1/pushes").json();
    let ids: Vec<_> = list["pushes"].as_array().unwrap().iter().map(|push| push["push_id"].clone()).collect();
    assert_eq!(ids, ["same", "same"]);
    for _ in 0..2 {
        assert!(initiator.next().body.contains("push-id=\"same\""));
    }
    // A refused submission leaves things as they were.
    let unknown = Pap::new("same").to("group:nobody-knows").text("three");
    assert_eq!(http.pap(&unknown).pap_code(), 2002);
    gateway.kill();
    gateway.restart();
    gateway.http().wait_outcome("same", "delivered", "1 of 1");
    assert_eq!(code(&gateway.http(), "three"), 1001);
}

#[test]
fn accept_makes_another_push_of_it_and_the_first_one_goes_on() {
    let gateway = gateway("accept");
    let http = gateway.http();
    http.bind("news", "alice");
    for text in ["one", "one", "two"] {
        assert_eq!(code(&http, text), 1001);
    }
    let later = json!({"push_id": "same", "to": ["group:news"], "body": "three"});
    assert_eq!(http.json("POST", "/api/v1/pushes", later).status, 202);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    for text in ["one", "one", "two", "three"] {
        let push = alice.push();
        assert_eq!(push.text(), text);
        assert_eq!(push.user_property("push-id").as_deref(), Some("same"));
    }
    http.wait_outcome("same", "delivered", "1 of 1");
    // What is replaced or cancelled by the push-id is the newest.
    http.json("DELETE", "/api/v1/groups/news/members/alice", serde_json::Value::Null);
    http.bind("news", "bob");
    assert_eq!(code(&http, "four"), 1001);
    assert_eq!(code(&http, "five"), 1001);
    assert_eq!(http.json("DELETE", "/api/v1/pushes/same", serde_json::Value::Null).status, 200);
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    assert_eq!(bob.push().text(), "four");
    bob.assert_silent();
    wait_for("six pushes in the list", || {
        (http.get("/api/v1/pushes").json()["pushes"].as_array().unwrap().len() == 6).then_some(())
    });
}

#[test]
fn a_repeat_was_refused_for_what_had_changed_since() {
    let mut gateway = gateway("reject");
    let http = gateway.http();
    http.bind("news", "alice");
    let initiator = Initiator::start();
    let push = Pap::new("late")
        .to("group:news")
        .attribute("deliver-before-timestamp", &in_seconds(2))
        .attribute("ppg-notify-requested-to", &initiator.url);
    assert_eq!(http.pap(&push).pap_code(), 1001);
    http.wait_outcome("late", "expired", "0 of 1");
    assert_eq!(http.pap(&push).pap_code(), 1001, "after its deadline");
    let other = Pap::new("other").to("group:news").attribute("deliver-before-timestamp", &in_seconds(-1));
    assert_eq!(http.pap(&other).pap_code(), 2001, "what was never accepted");
    gateway.terminate();
    let config = gateway.dir.path().join("broker.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("allow_private = true", "allow_private = false");
    std::fs::write(&config, text).unwrap();
    gateway.restart();
    assert_eq!(gateway.http().pap(&push).pap_code(), 1001, "where it may not be notified any more");
}

/// What papcast 0.1.0 stored: a hash of the standard library, for JSON over the fields in their order.
#[test]
fn a_repeat_of_what_an_earlier_papcast_had_taken_was_a_duplicate() {
    let mut gateway = gateway("reject");
    gateway.http().bind("news", "alice");
    let pap = Pap::new("pap").to("group:news").text("one");
    let json = json!({"push_id": "json", "to": ["group:news"], "body": "one", "priority": "high"});
    assert_eq!(gateway.http().pap(&pap).pap_code(), 1001);
    assert_eq!(gateway.http().json("POST", "/api/v1/pushes", json.clone()).status, 202);
    gateway.terminate();
    let mut of_pap = DefaultHasher::new();
    Some("multipart/related; boundary=\"xyz\"; type=\"application/xml\"").hash(&mut of_pap);
    pap.body().as_bytes().hash(&mut of_pap);
    let mut of_json = DefaultHasher::new();
    let none: Option<String> = None;
    (vec!["group:news".to_owned()], &none, Some("one"), &none, Some("json")).hash(&mut of_json);
    // Not specified is the fourth of four, high the first of three; replace-method: all.
    (3_isize, 0_isize, &none, &none, &none, &none, 0_isize).hash(&mut of_json);
    let store = rusqlite::Connection::open(gateway.dir.path().join("papcast.db")).unwrap();
    for (id, digest) in [("pap", of_pap.finish()), ("json", of_json.finish())] {
        let changed = store
            .execute("UPDATE pushes SET digest = ?2 WHERE push_id = ?1", rusqlite::params![id, digest.cast_signed()])
            .unwrap();
        assert_eq!(changed, 1);
    }
    drop(store);
    gateway.restart();
    assert_eq!(gateway.http().pap(&pap).pap_code(), 1001);
    assert_eq!(gateway.http().json("POST", "/api/v1/pushes", json).status, 202);
    assert_eq!(gateway.http().pap(&Pap::new("pap").to("group:news").text("two")).pap_code(), 2007);
    let other = json!({"push_id": "json", "to": ["group:news"], "body": "two", "priority": "high"});
    assert_eq!(gateway.http().json("POST", "/api/v1/pushes", other).status, 409);
}

#[test]
fn a_repeat_in_json_is_one_however_it_is_written_down() {
    let gateway = gateway("reject");
    gateway.http().bind("news", "alice");
    let post = |body: &str| gateway.http().send("POST", "/api/v1/pushes", "application/json", body.as_bytes()).status;
    assert_eq!(post(r#"{"push_id":"p","to":["group:news"],"body":"one"}"#), 202);
    assert_eq!(post(r#"{ "body": "one", "to": ["group:news"], "push_id": "p", "priority": "medium" }"#), 202);
    assert_eq!(post(r#"{"push_id":"p","to":["group:news"],"body":"one","priority":"low"}"#), 409);
    assert_eq!(post(r#"{"push_id":"p","to":["group:news"],"body_base64":"b25l"}"#), 409);
}
