//! Who was in a group, who came and went by whose hand, when members had a push, and who changed what.

use serde_json::{Value, json};

use crate::common::http::Pap;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, in_seconds, papcast, wait_for};

fn history(gateway: &Gateway, query: &str) -> Vec<(String, String, String)> {
    let reply = gateway.http().get(&format!("/api/v1/groups/news/history?{query}"));
    assert_eq!(reply.status, 200, "{reply:?}");
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_owned();
    let entries = reply.json()["history"].as_array().unwrap().clone();
    entries.iter().map(|one| (text(one, "event"), text(one, "user"), text(one, "by"))).collect()
}

fn entry(event: &str, user: &str, by: &str) -> (String, String, String) {
    (event.to_owned(), user.to_owned(), by.to_owned())
}

#[test]
fn who_came_and_went_is_kept_with_whose_hand_it_was() {
    let config = "[auth]\nmode = \"required\"\n[[groups.assign]]\nmatch = \"car*\"\ngroup = \"news\"\n";
    let gateway = Gateway::start_with(config, &[]);
    let kim = gateway.token("operator", "kim", &[]);
    let http = gateway.http().bearer(&kim);
    let device = |name: &'static str| (name, gateway.token("device", name, &[]));
    let (alice, alice_token) = device("alice");
    let mut phone = Raw::connect(gateway.mqtt, &Connect::v5("phone", alice).password(&alice_token));
    phone.join("news");
    http.bind("news", "bob");
    let (carl, carl_token) = device("carl");
    let mut car = Raw::connect(gateway.mqtt, &Connect::v5("car", carl).password(&carl_token));
    car.request("$push/join", "");
    let (dora, dora_token) = device("dora");
    let mut subscriber = Raw::connect(gateway.mqtt, &Connect::v5("d", dora).password(&dora_token));
    assert_eq!(subscriber.subscribe(&[("groups/news", 1)]), [1]);
    subscriber.unsubscribe(&["groups/news"]);
    phone.request("$push/leave/news", "");
    assert_eq!(http.json("DELETE", "/api/v1/groups/news/members/bob", Value::Null).status, 204);
    let http_history = http.get("/api/v1/groups/news/history").json();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_owned();
    let entries: Vec<_> = http_history["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(one, "event"), text(one, "user"), text(one, "by")))
        .collect();
    assert_eq!(
        entries,
        [
            entry("leave", "bob", "operator kim"),
            entry("leave", "alice", "terminal"),
            entry("leave", "dora", "subscription"),
            entry("join", "dora", "subscription"),
            entry("join", "carl", "rule"),
            entry("join", "bob", "operator kim"),
            entry("join", "alice", "terminal"),
        ]
    );
}

#[test]
fn who_was_in_a_group_at_a_moment_is_known_afterwards() {
    let mut gateway = Gateway::start();
    let http = gateway.http();
    for user in ["a", "b", "c"] {
        http.bind("news", user);
    }
    // Times are told to the second: what comes now is after this one.
    let moment = in_seconds(0);
    wait_for("a second to pass", || (in_seconds(0) > moment).then_some(()));
    let before = in_seconds(0);
    wait_for("a second to pass", || (in_seconds(0) > before).then_some(()));
    http.json("DELETE", "/api/v1/groups/news/members/a", Value::Null);
    http.bind("news", "d");
    http.json("DELETE", "/api/v1/groups/news/members/b", Value::Null);
    http.bind("news", "b");
    let then = |gateway: &Gateway, query: &str| {
        let reply = gateway.http().get(&format!("/api/v1/groups/news/history?{query}"));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let at = format!("at={}", before.replace(':', "%3A"));
    assert_eq!(then(&gateway, &at), ["a", "b", "c"]);
    assert_eq!(then(&gateway, &format!("{at}&limit=2")), ["a", "b"]);
    assert_eq!(then(&gateway, &format!("{at}&after=b")), ["c"]);
    assert_eq!(then(&gateway, "at=2001-01-01T00%3A00%3A00Z"), Vec::<String>::new());
    assert_eq!(then(&gateway, "at=2099-01-01T00%3A00%3A00Z"), ["b", "c", "d"]);
    assert_eq!(gateway.http().get("/api/v1/groups/news/history?at=noon").status, 400);
    // Also when the gateway was killed, and the group is gone.
    gateway.kill();
    gateway.restart();
    assert_eq!(then(&gateway, &at), ["a", "b", "c"]);
    gateway.http().json("DELETE", "/api/v1/groups/news", Value::Null);
    assert_eq!(then(&gateway, &at), ["a", "b", "c"]);
    assert_eq!(history(&gateway, "limit=1")[0].2, "group removed");
    let url = format!("http://{}", gateway.http);
    let told = papcast(&["history", "news", "--at", &before, "--gateway", &url]);
    assert_eq!(told.out, "a\nb\nc\n", "{told:?}");
    let all = papcast(&["history", "news", "--gateway", &url]);
    assert!(all.out.lines().next().unwrap().ends_with("\tgroup removed"), "{all:?}");
}

#[test]
fn when_each_member_had_a_push_is_known_also_after_a_crash() {
    let mut gateway = Gateway::start();
    let mut terminals: Vec<Raw> = (0..3)
        .map(|n| {
            let name = format!("t{n}");
            let mut raw = Raw::connect(gateway.mqtt, &Connect::v5(&name, &name));
            raw.join("news");
            raw
        })
        .collect();
    gateway.http().bind("news", "away");
    gateway.http().push("p1", "group:news", "hello");
    terminals.iter_mut().for_each(|terminal| drop(terminal.push()));
    gateway.http().wait_outcome("p1", "pending", "3 of 4");
    gateway.kill();
    gateway.restart();
    let reply = gateway.http().get("/api/v1/pushes/p1/recipients").json();
    for one in reply["recipients"].as_array().unwrap() {
        assert_eq!(one["at"].is_string(), one["user"] != "away", "{one}");
    }
    let push = gateway.http().get("/api/v1/pushes/p1").json();
    let times = &push["addresses"][0]["times"];
    assert!(times["first"].is_string() && times["half"].is_string() && times["last"].is_string(), "{push}");
    assert_eq!(times["most"], Value::Null, "3 of 4 are not 95 of 100: {push}");
}

#[test]
fn what_operators_changed_is_kept_with_their_names() {
    let gateway = Gateway::start_with("[auth]\nmode = \"required\"\n", &[]);
    let kim = gateway.token("operator", "kim", &[]);
    let lee = gateway.token("operator", "lee", &["--role", "viewer"]);
    let http = gateway.http().bearer(&kim);
    http.json("PUT", "/api/v1/groups/news", json!({"policy": "closed"}));
    http.bind("news", "bob");
    let press = gateway.token("initiator", "press", &[]);
    assert_eq!(gateway.http().bearer(&press).pap(&Pap::new("p1").to("group:news")).pap_code(), 1001);
    assert_eq!(http.json("DELETE", "/api/v1/pushes/p1?initiator=press", Value::Null).status, 200);
    http.json("DELETE", "/api/v1/groups/news", Value::Null);
    let audit = gateway.http().bearer(&lee).get("/api/v1/audit").json();
    let acts: Vec<(&str, &str, &str)> = audit["audit"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["by"].as_str().unwrap(), one["act"].as_str().unwrap(), one["object"].as_str().unwrap()))
        .collect();
    assert_eq!(
        acts,
        [
            ("kim", "remove", "group news"),
            ("kim", "cancel", "push p1"),
            ("command line", "add", "initiator press"),
            ("kim", "add", "group news"),
            ("kim", "make", "group news"),
            ("command line", "add", "operator lee"),
            ("command line", "add", "operator kim"),
        ]
    );
    let pages = gateway.http().bearer(&kim).get("/api/v1/audit?limit=2").json();
    let rest = gateway.http().bearer(&kim).get(&format!("/api/v1/audit?after={}", pages["next"].as_str().unwrap()));
    assert_eq!(rest.json()["audit"].as_array().unwrap().len(), 5, "{rest:?}");
    let csv = gateway.http().bearer(&lee).get("/api/v1/audit?format=csv");
    assert!(csv.body.starts_with("at,by,act,object,detail\r\n"), "{csv:?}");
}

#[test]
fn many_members_and_many_decisions_go_in_one_request() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.json("PUT", "/api/v1/groups/vip", json!({"policy": "approval"}));
    let reply = http.json("POST", "/api/v1/groups/news/members", json!({"add": ["a", "b", "", "a"]}));
    let outcome = reply.json();
    assert_eq!((&outcome["changed"], &outcome["unchanged"]), (&json!(2), &json!(1)), "{reply:?}");
    assert_eq!(outcome["failed"].as_array().unwrap().len(), 1, "{outcome}");
    let removed = http.json("POST", "/api/v1/groups/news/members", json!({"remove": ["a", "x"]})).json();
    assert_eq!((&removed["changed"], &removed["unchanged"]), (&json!(1), &json!(1)));
    let mut asking: Vec<Raw> = ["c", "d", "e"]
        .iter()
        .map(|name| {
            let mut raw = Raw::connect(gateway.mqtt, &Connect::v5(name, name));
            assert_eq!(raw.request("$push/join/vip", "")["status"], "pending");
            raw
        })
        .collect();
    let one = http.json("POST", "/api/v1/groups/vip/requests", json!({"decision": "reject", "users": ["c", "nobody"]}));
    assert_eq!((&one.json()["changed"], &one.json()["failed"][0]["user"]), (&json!(1), &json!("nobody")), "{one:?}");
    assert_eq!(asking[0].publish_in().json()["status"], "rejected");
    let all = http.json("POST", "/api/v1/groups/vip/requests", json!({"decision": "approve"}));
    assert_eq!(all.json()["changed"], 2, "{all:?}");
    assert_eq!(asking[1].publish_in().json()["status"], "accepted");
    assert_eq!(http.get("/api/v1/groups/vip").json()["members"], 2);
}

/// A device that subscribes anew all the time pushed everybody else's history out.
#[test]
fn a_subscription_that_comes_and_goes_filled_the_history() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    for _ in 0..20 {
        assert_eq!(alice.subscribe(&[("groups/news", 1)]), [1]);
        alice.unsubscribe(&["groups/news"]);
    }
    assert_eq!(history(&gateway, "").len(), 2, "it came, and it left");
}

#[test]
fn what_was_before_the_history_begins_was_answered_as_if_it_were_known() {
    let mut gateway = Gateway::start();
    gateway.http().bind("news", "a");
    gateway.http().bind("news", "b");
    gateway.kill();
    let store = rusqlite::Connection::open(gateway.dir.path().join("papcast.db")).unwrap();
    store.execute("DELETE FROM history WHERE id = (SELECT min(id) FROM history)", []).unwrap();
    drop(store);
    gateway.restart();
    let reply = gateway.http().get("/api/v1/groups/news/history?at=2001-01-01T00%3A00%3A00Z");
    assert!(reply.status == 410 && reply.body.contains("history.keep"), "{reply:?}");
}
