//! How much one initiator, one user and one store may have: beyond it each is told so in the words of its protocol, and counted.

use serde_json::json;

use crate::common::http::{Client, Pap, Reply};
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, wait_for};

const REQUIRED: &str = "auth.mode = \"required\"\nauth.open_metrics = true\n";

fn json_push(http: Client, id: &str) -> Reply {
    http.json("POST", "/api/v1/pushes", json!({"to": ["group:news"], "body": "x", "push_id": id}))
}

fn assert_counted(gateway: &Gateway, limit: &str) {
    let text = gateway.http().get("/metrics").body;
    assert!(text.contains(&format!("papcast_over_limit_total{{limit=\"{limit}\"}}")), "{limit}: {text}");
    wait_for("a line in the log", || gateway.log().contains(limit).then_some(()));
}

#[test]
fn an_initiator_has_a_rate_and_a_quota_of_its_own() {
    let rules = "[[initiators]]\nmatch = \"none\"\npushes_per_day = 0\n[[initiators]]\nmatch = \"fast\"\npushes_per_minute = 3\n\
                 [[initiators]]\nmatch = \"daily*\"\npushes_per_day = 2\n";
    let mut gateway = Gateway::start_with(&format!("{REQUIRED}{rules}"), &[]);
    let operator = gateway.http().bearer(&gateway.token("operator", "ann", &[]));
    operator.bind("news", "alice");
    let [fast, daily, free] =
        ["fast", "daily-1", "free"].map(|name| gateway.http().bearer(&gateway.token("initiator", name, &[])));
    let none = gateway.http().bearer(&gateway.token("initiator", "none", &[]));
    assert_eq!(json_push(none, "1").status, 429, "0 a day let the first one of each day pass");
    for id in ["1", "2", "3"] {
        assert_eq!(json_push(fast, id).status, 202);
    }
    let refused = json_push(fast, "4");
    assert_eq!((refused.status, refused.json()["code"].clone()), (429, 4001.into()), "{refused:?}");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "one more every 20 s, not in {wait}");
    let pap = fast.pap(&Pap::new("5").to("group:news"));
    assert_eq!((pap.status, pap.pap_code()), (202, 4001), "{pap:?}");
    assert_counted(&gateway, "initiators.pushes_per_minute");
    for id in ["1", "2"] {
        assert_eq!(json_push(daily, id).status, 202);
    }
    assert_eq!(json_push(daily, "2").status, 202, "a repeat is answered as the first time");
    let refused = json_push(daily, "3");
    assert_eq!(refused.status, 429, "{refused:?}");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&wait), "{wait}");
    assert_counted(&gateway, "initiators.pushes_per_day");
    // A day is not over because the gateway was started again.
    gateway.kill();
    gateway.restart();
    assert_eq!(json_push(daily, "4").status, 429);
    for id in 0..10 {
        assert_eq!(json_push(free, &id.to_string()).status, 202);
    }
}

#[test]
fn what_one_initiator_has_under_way_is_bounded_and_what_is_over_makes_room() {
    let gateway = Gateway::start_with("push.max_pending_per_initiator = 3\n", &[]);
    let http = gateway.http();
    for user in ["alice", "bob"] {
        http.bind("news", user);
    }
    let two = |id: &str| http.pap(&Pap::new(id).to("user:alice").to("user:bob")).pap_code();
    assert_eq!(two("p1"), 1001);
    assert_eq!(two("p2"), 4001, "there are two addresses, and two more would be four");
    assert_eq!(http.pap(&Pap::new("p3").to("group:news")).pap_code(), 1001);
    assert_eq!(http.pap(&Pap::new("p4").to("group:news")).pap_code(), 4001);
    assert_eq!(http.basic("other", "x").pap(&Pap::new("p4").to("group:news")).pap_code(), 1001, "another one's");
    assert_counted(&gateway, "push.max_pending_per_initiator");
    // What takes the place of a push needs no room.
    let instead =
        Pap::new("p3b").to("group:news").attribute("replace-push-id", "p3").attribute("replace-method", "all");
    assert_eq!(http.pap(&instead).pap_code(), 1001);
    // One is delivered, and one is cancelled.
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    (0..3).for_each(|_| drop(alice.push()));
    wait_for("room for one", || (http.pap(&Pap::new("p5").to("user:alice")).pap_code() == 1001).then_some(()));
    assert_eq!(http.send("DELETE", "/api/v1/pushes/p3b", "text/plain", b"").status, 200);
    wait_for("room for another", || (http.pap(&Pap::new("p6").to("user:bob")).pap_code() == 1001).then_some(()));
}

#[test]
fn sessions_groups_and_users_are_bounded() {
    let gateway = Gateway::start_with(
        "[mqtt]\nmax_sessions_per_user = 2\n[groups]\nmax_made_per_user = 2\n[store]\nmax_users = 4\n",
        &[],
    );
    let stored = |client: &str| Raw::try_connect(gateway.mqtt, &Connect::v5(client, "alice").lasting());
    let (first, _, code) = stored("a");
    assert_eq!(code, 0);
    first.disconnect();
    assert_eq!(stored("b").2, 0);
    assert_eq!(stored("c").2, 0x97, "one is away and one is here");
    assert_eq!(stored("a").2, 0, "its own");
    let brief = Raw::try_connect(gateway.mqtt, &Connect::v5("d", "alice"));
    assert_eq!(brief.2, 0, "what ends with its connection needs no room");
    assert_counted(&gateway, "mqtt.max_sessions_per_user");
    let mut alice = brief.0;
    alice.join("one");
    alice.join("two");
    let refused = alice.request("$push/join/three", "");
    assert_eq!((refused["reason"].as_str(), refused["status"].as_str()), (Some("limit-reached"), Some("rejected")));
    assert!(refused["desc"].as_str().unwrap().contains("groups.max_made_per_user"), "{refused}");
    assert_counted(&gateway, "groups.max_made_per_user");
    // A group that is deleted makes room; groups of operators are nobody's.
    assert_eq!(gateway.http().send("DELETE", "/api/v1/groups/one", "text/plain", b"").status, 204);
    alice.join("three");
    gateway.http().bind("operators", "alice");
    for user in ["bob", "carol", "dave"] {
        Raw::connect(gateway.mqtt, &Connect::v5(user, user)).join("two");
    }
    let mut fifth = Raw::connect(gateway.mqtt, &Connect::v5("e", "erin"));
    assert!(fifth.request("$push/join/two", "")["desc"].as_str().unwrap().contains("store.max_users"));
    assert_eq!(fifth.subscribe(&[("groups/two", 1)]), [0x87]);
    assert_counted(&gateway, "store.max_users");
    alice.join("two");
}

#[test]
fn a_store_that_is_large_enough_takes_nothing_more_and_delivers_what_it_has() {
    let gateway = Gateway::start_with("store.max_size = 1_000_000\n", &[]);
    let http = gateway.http();
    http.bind("news", "alice");
    let large = "x".repeat(100_000);
    let taken =
        (0..20).take_while(|id| http.pap(&Pap::new(&id.to_string()).to("group:news").text(&large)).pap_code() == 1001);
    let taken = taken.count();
    assert!((5..=10).contains(&taken), "{taken}");
    let refused = json_push(http, "more");
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.json()["detail"].as_str().unwrap().contains("store.max_size"));
    assert_counted(&gateway, "store.max_size");
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    for _ in 0..taken {
        assert_eq!(alice.push().text(), large);
    }
    let answer = alice.request("$push/join/more", "");
    assert!(answer["desc"].as_str().unwrap().contains("store.max_size"), "{answer}");
    http.wait_outcome("0", "delivered", "1 of 1");
}

/// A user that nobody knew made a group although no join may make one.
#[test]
fn where_joins_make_no_groups_a_newcomer_makes_none_either() {
    let gateway = Gateway::start_with("groups.max_made_per_user = 0\n", &[]);
    let mut raw = Raw::connect(gateway.mqtt, &Connect::v5("a", "newcomer"));
    assert_eq!(raw.request("$push/join/new", "")["reason"], "limit-reached");
    assert_eq!(raw.subscribe(&[("groups/new", 1)]), [0x87]);
    let text = gateway.http().get("/metrics").body;
    let counted = "papcast_over_limit_total{limit=\"groups.max_made_per_user\"} 2";
    assert!(text.contains(counted), "a SUBSCRIBE is counted as well: {text}");
}
