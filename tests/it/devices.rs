//! Devices as an operator asks for them, and users as a whole: states, time lines, erasing, forgetting.

use serde_json::{Value, json};

use crate::common::http::{Pap, escape};
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, papcast, wait_for};

fn devices(gateway: &Gateway, query: &str) -> Vec<Value> {
    let reply = gateway.http().get(&format!("/api/v1/devices?{query}"));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["devices"].as_array().unwrap().clone()
}

fn names(devices: &[Value]) -> Vec<&str> {
    devices.iter().map(|one| one["user"].as_str().unwrap()).collect()
}

#[test]
fn devices_are_listed_by_what_is_wrong_with_them() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.bind("fleet", "never");
    let member = |name: &str| {
        let mut raw = Raw::connect(gateway.mqtt, &Connect::v5(name, name).lasting());
        raw.join("fleet");
        raw
    };
    let mut good = member("good");
    let mut slow = member("slow");
    member("away").disconnect();
    for _ in 0..5 {
        Raw::connect(gateway.mqtt, &Connect::v5("flaps", "flaps").lasting()).disconnect();
    }
    http.push("p1", "group:fleet", "hello");
    http.push("p2", "group:fleet", "hello");
    good.push();
    good.push();
    slow.publish_in();
    http.wait_outcome("p2", "pending", "1 of 4");
    assert_eq!(names(&devices(&gateway, "")), ["away", "good", "never", "slow"], "flaps is in no group");
    let mut flaps = Raw::connect(gateway.mqtt, &Connect::v5("flaps", "flaps").lasting());
    flaps.join("fleet");
    assert_eq!(names(&devices(&gateway, "state=flapping")), ["flaps"]);
    let away = wait_for("the end of a connection to be written down", || {
        let away = devices(&gateway, "state=away");
        away.first().is_some_and(|one| one["reason"].is_string()).then_some(away)
    });
    assert_eq!(names(&away), ["away", "never"]);
    assert_eq!((&away[0]["reason"], &away[0]["protocol"]), (&json!("it said goodbye"), &json!("mqtt5")));
    assert_eq!((&away[1]["last_seen"], &away[1]["groups"]), (&Value::Null, &json!(1)));
    let lagging = devices(&gateway, "state=lagging&sort=lag");
    assert_eq!(names(&lagging), ["away", "never", "slow"]);
    assert_eq!(lagging.iter().map(|one| one["owed"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 2, 2]);
    assert!(lagging[2]["unanswered_since"].is_string() && lagging[2]["owed_since"].is_string(), "{lagging:?}");
    assert_eq!(names(&devices(&gateway, "prefix=f")), ["flaps"]);
    assert_eq!(names(&devices(&gateway, "away_for=0s&prefix=ne")), ["never"]);
    // Pages.
    let first = gateway.http().get("/api/v1/devices?limit=2").json();
    assert_eq!(names(first["devices"].as_array().unwrap()), ["away", "flaps"]);
    assert_eq!(
        names(&devices(&gateway, &format!("after={}", first["next"].as_str().unwrap()))),
        ["good", "never", "slow"]
    );
    for bad in ["state=lost", "sort=size", "away_for=long", "rain=1"] {
        assert_eq!(http.get(&format!("/api/v1/devices?{bad}")).status, 400, "{bad}");
    }
    let csv = http.get("/api/v1/devices?state=away&format=csv");
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"), "{csv:?}");
    assert!(csv.body.starts_with("user,states,connected,") && csv.body.lines().count() == 3, "{csv:?}");
    let at = format!("http://{}", gateway.http);
    let told = papcast(&["devices", "--state", "away", "--gateway", &at]);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.out.starts_with("away\taway lagging\t"), "{told:?}");
}

/// Mute: a minute is long for a test, so that only the other side of it is seen here.
#[test]
fn a_device_that_has_just_got_a_push_is_not_mute() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    gateway.http().push("p1", "group:news", "hello");
    alice.publish_in();
    assert!(devices(&gateway, "state=mute").is_empty());
    assert_eq!(names(&devices(&gateway, "state=lagging")), ["alice"]);
}

#[test]
fn a_user_shows_what_it_owes_and_what_happened_to_it() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("phone", "alice").lasting());
    alice.join("news");
    gateway.http().push("p1", "group:news", "hello");
    alice.publish_in();
    alice.disconnect();
    let shown = wait_for("the end of the connection to be told", || {
        let shown = gateway.http().get("/api/v1/users/alice").json();
        (shown["events"][0]["event"] == "disconnect").then_some(shown)
    });
    let kinds: Vec<&str> =
        shown["events"].as_array().unwrap().iter().map(|one| one["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["disconnect", "join", "connect"]);
    assert_eq!((&shown["owed"][0]["push_id"], &shown["owed"][0]["address"]), (&json!("p1"), &json!("group:news")));
    assert_eq!(shown["device"]["states"], json!(["away", "lagging"]));
    let at = format!("http://{}", gateway.http);
    let told = papcast(&["user", "alice", "--gateway", &at]);
    assert!(told.out.contains("owes\tp1\t") && told.out.contains("event\tdisconnect\t"), "{told:?}");
}

#[test]
fn an_erased_user_leaves_no_name_behind() {
    let gateway = Gateway::start_with("[auth]\nmode = \"required\"\n", &[]);
    let token = gateway.token("device", "sip:alice@a.b", &[]);
    let kim = gateway.token("operator", "kim", &[]);
    let http = gateway.http().bearer(&kim);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("phone", "sip:alice@a.b").password(&token).lasting());
    alice.join("news");
    http.bind("news", "bob");
    assert_eq!(http.pap(&Pap::new("p1").to("group:news")).pap_code(), 1001);
    assert_eq!(http.pap(&Pap::new("p2").to("user:sip:alice@a.b")).pap_code(), 1001);
    alice.publish_in();
    let path = format!("/api/v1/users/{}", escape("sip:alice@a.b"));
    let head = format!(
        "DELETE {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nPrefer: return=representation\r\nAuthorization: Bearer {kim}\r\n\r\n"
    );
    let erased = gateway.http().raw(head.as_bytes());
    assert_eq!(erased.status, 200, "{erased:?}");
    let erased = erased.json();
    assert_eq!((&erased["memberships"], &erased["credentials"], &erased["pushes"]), (&json!(1), &json!(1), &json!(1)));
    assert!(alice.wait_closed().is_some(), "its connection ends");
    let (_, _, code) = Raw::try_connect(gateway.mqtt, &Connect::v5("phone", "sip:alice@a.b").password(&token));
    assert_eq!(code, 0x86, "its token works no more");
    assert_eq!(http.get(&path).status, 404);
    assert_eq!(http.json("DELETE", &path, Value::Null).status, 404);
    // The numbers of the push stay, and say that somebody left; who, is not said any more.
    http.wait_outcome("p1", "pending", "0 of 2, 1 left the group");
    let history = http.get("/api/v1/groups/news/history").json();
    assert_eq!(history["history"].as_array().unwrap().len(), 3, "{history}");
    for place in [
        "/api/v1/groups/news/history",
        "/api/v1/audit",
        "/api/v1/pushes/p1/recipients",
        "/api/v1/pushes/p2",
        "/api/v1/devices",
    ] {
        let body = http.get(place).body;
        assert!(!body.contains("alice"), "{place}: {body}");
    }
    assert!(history["history"][0]["user"].as_str().unwrap().starts_with("erased-"), "{history}");
    assert_eq!(http.get("/api/v1/audit").json()["audit"][0]["act"], "erase");
    // Whoever comes by this name later is somebody else.
    let token = gateway.token("device", "sip:alice@a.b", &[]);
    let mut other = Raw::connect(gateway.mqtt, &Connect::v5("phone", "sip:alice@a.b").password(&token).lasting());
    other.assert_silent();
}

#[test]
fn a_user_is_erased_by_the_command_only_when_that_is_meant() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let at = format!("http://{}", gateway.http);
    let asked = papcast(&["user", "remove", "alice", "--gateway", &at]);
    assert!(asked.code == Some(2) && asked.err.contains("--yes"), "{asked:?}");
    let done = papcast(&["user", "remove", "alice", "--yes", "--gateway", &at]);
    assert!(done.code == Some(0) && done.out.contains("1 memberships"), "{done:?}");
    assert_eq!(gateway.http().get("/api/v1/users/alice").status, 404);
}

#[test]
fn devices_that_never_came_back_are_taken_out_of_their_groups() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.bind("news", "gone");
    let mut here = Raw::connect(gateway.mqtt, &Connect::v5("h", "here"));
    here.join("news");
    http.push("p1", "group:news", "hello");
    here.push();
    http.wait_outcome("p1", "pending", "1 of 2");
    let forget = |body: Value| {
        let reply = http.json("POST", "/api/v1/devices/forget", body);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["memberships"].as_u64().unwrap()
    };
    assert_eq!(forget(json!({"away_for": "1h"})), 0, "it joined just now");
    assert_eq!(forget(json!({"away_for": "0s", "dry_run": true})), 1);
    http.wait_outcome("p1", "pending", "1 of 2");
    let at = format!("http://{}", gateway.http);
    let unsure = papcast(&["devices", "forget", "--away-for", "0s", "--gateway", &at]);
    assert_eq!(unsure.code, Some(2), "{unsure:?}");
    let done = papcast(&["devices", "forget", "--away-for", "0s", "--yes", "--gateway", &at]);
    assert!(done.code == Some(0) && done.out.starts_with("1 memberships ended"), "{done:?}");
    http.wait_outcome("p1", "delivered", "1 of 2, 1 left the group");
    assert_eq!(http.get("/api/v1/groups/news").json()["members"], 1);
}

/// When a device was last here was written down at its connect and disconnect only.
#[test]
fn a_device_that_was_connected_when_the_gateway_was_killed_counted_as_long_away() {
    let mut gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    alice.join("news");
    let seen = |gateway: &Gateway| gateway.http().get("/api/v1/users/alice").json()["device"]["last_seen"].clone();
    // It is remembered although it was in no group when it connected.
    wait_for("it to be written down", || {
        let store = rusqlite::Connection::open(gateway.dir.path().join("papcast.db")).unwrap();
        let known: i64 = store.query_row("SELECT count(*) FROM terminals", [], |row| row.get(0)).unwrap();
        (known == 1).then_some(())
    });
    gateway.kill();
    let store = rusqlite::Connection::open(gateway.dir.path().join("papcast.db")).unwrap();
    store.execute("UPDATE terminals SET seen_at = 1000", []).unwrap();
    store.execute("UPDATE bindings SET joined_at = 1000", []).unwrap();
    drop(store);
    gateway.restart();
    assert!(seen(&gateway).as_str().unwrap() > "2026", "{}", seen(&gateway));
    let reply = gateway.http().json("POST", "/api/v1/devices/forget", json!({"away_for": "1h"}));
    assert_eq!(reply.json()["memberships"], 0, "{reply:?}");
}

/// A session of the erased user's client held a membership of somebody else.
#[test]
fn erasing_a_user_left_a_member_behind_that_nobody_could_remove() {
    let gateway = Gateway::start();
    let mut client = Raw::connect(gateway.mqtt, &Connect::v5("c", "alice").lasting());
    // In mode `open` a connection may act for another user from now on.
    client.request("$push/request", r#"{"op":"list","user":"bob"}"#);
    assert_eq!(client.subscribe(&[("groups/news", 1)]), [1]);
    client.disconnect();
    let members = || gateway.http().get("/api/v1/groups/news").json()["members"].clone();
    assert_eq!(members(), 1, "bob");
    for user in ["alice", "bob"] {
        gateway.http().json("DELETE", &format!("/api/v1/users/{user}"), Value::Null);
    }
    assert_eq!(members(), 0);
}

#[test]
fn the_audit_named_an_erased_user_in_its_details() {
    let gateway = Gateway::start();
    let http = gateway.http();
    http.bind("news", "alice");
    http.json("PUT", "/api/v1/groups/vip", json!({"policy": "approval"}));
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    assert_eq!(alice.request("$push/join/vip", "")["status"], "pending");
    assert_eq!(http.json("POST", "/api/v1/groups/vip/requests/alice", json!({"decision": "approve"})).status, 204);
    assert!(http.get("/api/v1/audit").body.contains("alice"));
    assert_eq!(http.json("DELETE", "/api/v1/users/alice", Value::Null).status, 204);
    let audit = http.get("/api/v1/audit").body;
    assert!(!audit.contains("alice") && audit.contains("the join of erased-"), "{audit}");
    let mut events = crate::common::events::Events::follow(gateway.http, "after=0", "");
    loop {
        let event = events.next();
        assert!(!event.to_string().contains("alice"), "{event}");
        if event["act"] == "erase" {
            break;
        }
    }
}
