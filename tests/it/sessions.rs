//! MQTT sessions: whose they are, and that they end although the disk was full when they should have.

use serde_json::{Value, json};

use crate::common::http::{Client, Pap};
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, in_seconds, limit_files, wait_for};

fn members(http: &Client, group: &str) -> Vec<String> {
    let list = http.get(&format!("/api/v1/groups/{group}/members")).json();
    list["members"].as_array().unwrap().iter().map(|one| one["user"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_session_whose_connection_had_changed_its_user_left_a_member_behind_for_ever() {
    let mut gateway = Gateway::start();
    let session = || Connect { clean: false, ..Connect::v3("S", "sa") };
    let mut first = Raw::connect(gateway.mqtt, &session());
    first.subscribe(&[("groups/sg", 1)]);
    assert_eq!(first.request("$push/request", r#"{"op":"list","user":"sb"}"#)["status"], "accepted");
    // The subscription goes with the connection to its new user.
    wait_for("sb to be the member", || (members(&gateway.http(), "sg") == ["sb"]).then_some(()));
    drop(first);
    gateway.kill();
    gateway.restart();
    // The session is resumed by `sa`, and so is its subscription.
    let (mut again, present, code) = Raw::try_connect(gateway.mqtt, &session());
    assert_eq!((code, present), (0, 1));
    assert_eq!(members(&gateway.http(), "sg"), ["sa"]);
    gateway.http().push("p1", "group:sg", "one");
    assert_eq!(again.push().text(), "one");
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
    again.unsubscribe(&["groups/sg"]);
    assert!(members(&gateway.http(), "sg").is_empty());
}

#[test]
fn sessions_that_ended_on_a_full_disk_stayed_members_until_the_next_start() {
    let gateway = Gateway::start();
    let http = gateway.http();
    let mut clean = Raw::connect(gateway.mqtt, &Connect::v3("clean", "clean"));
    clean.subscribe(&[("groups/news", 1)]);
    // Session Expiry Interval (property 0x11) of one second.
    let mut brief = Connect::v5("brief", "brief");
    brief.properties = vec![0x11, 0, 0, 0, 1];
    let mut brief = Raw::connect(gateway.mqtt, &brief);
    brief.subscribe(&[("groups/news", 1)]);
    let mut tired = Raw::connect(gateway.mqtt, &Connect::v5("tired", "tired"));
    tired.subscribe(&[("groups/news", 1)]);
    http.bind("news", "lasting");
    limit_files(&gateway, "20000");
    assert_eq!(tired.unsubscribe(&["groups/news"]), [0x80]);
    clean.disconnect();
    brief.disconnect();
    wait_for("both ends to be tried", || {
        (gateway.log().matches("could not be stored; it is tried again").count() >= 2).then_some(())
    });
    limit_files(&gateway, "unlimited");
    assert_eq!(tired.unsubscribe(&["groups/news"]), [0], "what could not be stored has not ended");
    wait_for("the ends to be stored", || (members(&http, "news") == ["lasting"]).then_some(()));
    let mut back = Raw::connect(gateway.mqtt, &Connect::v3("clean", "clean"));
    back.subscribe(&[("groups/news", 1)]);
    back.ping();
    assert_eq!(members(&http, "news"), ["clean", "lasting"]);
}

#[test]
fn on_a_full_disk_a_terminal_with_a_persistent_session_could_not_connect() {
    let gateway = Gateway::start();
    let http = gateway.http();
    let session = |client: &'static str| Connect { clean: false, ..Connect::v3(client, "alice") };
    let mut known = Raw::connect(gateway.mqtt, &session("known"));
    known.join("news");
    known.disconnect();
    http.push("p1", "group:news", "one");
    limit_files(&gateway, "20000");
    let (mut known, present, code) = Raw::try_connect(gateway.mqtt, &session("known"));
    assert_eq!((code, present), (0, 1));
    assert_eq!(known.publish_in().text(), "one");
    let mut new = Raw::connect(gateway.mqtt, &session("new"));
    assert_eq!(new.push().text(), "one");
    limit_files(&gateway, "unlimited");
    http.wait_outcome("p1", "delivered", "1 of 1");
}

/// A connection that resumes a session which shall end with it, and is taken over before it has begun.
#[test]
fn a_session_that_never_began_left_a_ghost_member_behind() {
    let gateway = Gateway::start();
    let http = gateway.http();
    for round in 0..60 {
        let group = format!("g{round}");
        let mut lasting = Raw::connect(gateway.mqtt, &Connect::v5("S", "sa").lasting());
        lasting.subscribe(&[(&format!("groups/{group}"), 1)]);
        lasting.disconnect();
        // Resumes, with an expiry of 0; the next one wants its client id before it is answered.
        let mut resumed = Raw::open(gateway.mqtt);
        resumed.send(&Connect { clean: false, ..Connect::v5("S", "sa") }.bytes());
        let mut brief = Raw::open(gateway.mqtt);
        brief.v5 = true;
        brief.send(&Connect { clean: false, ..Connect::v5("S", "sa") }.bytes());
        // One of them is let in, whichever came last; and goes.
        brief.try_send(&[0xE0, 0]);
        resumed.try_send(&[0xE0, 0]);
        while brief.try_packet(crate::common::DEADLINE).is_some() {}
        while resumed.try_packet(crate::common::DEADLINE).is_some() {}
        wait_for("the session to have ended with its connection", || members(&http, &group).is_empty().then_some(()));
    }
}

#[test]
fn what_was_under_way_came_again_in_another_order() {
    let gateway = Gateway::start();
    let session = || Connect { clean: false, ..Connect::v3("a", "alice") };
    let mut alice = Raw::connect(gateway.mqtt, &session());
    for group in ["g", "h", "i"] {
        alice.join(group);
    }
    let groups = ["h", "g", "g", "i", "h", "g"];
    let mut sent = Vec::new();
    for (n, group) in groups.iter().enumerate() {
        gateway.http().push(&n.to_string(), &format!("group:{group}"), &n.to_string());
        let push = alice.publish_in();
        sent.push((push.id, push.text().to_owned()));
    }
    drop(alice);
    gateway.http().push("new", "group:i", "new");
    let (mut alice, present, _) = Raw::try_connect(gateway.mqtt, &session());
    assert_eq!(present, 1);
    // Answered one by one: after an end with pushes unanswered they come one at a time at first.
    let again: Vec<_> = (0..=groups.len()).map(|_| alice.push()).collect();
    let resent: Vec<_> = again.iter().filter(|push| push.dup).map(|push| (push.id, push.text().to_owned())).collect();
    assert_eq!(resent, sent);
    assert_eq!(again.iter().filter(|push| !push.dup).map(|push| push.text()).collect::<Vec<_>>(), ["new"]);
}

#[test]
fn what_had_expired_under_way_kept_the_other_groups_waiting() {
    let gateway = Gateway::start_with("[mqtt]\ninflight = 4\n", &[]);
    let http = gateway.http();
    let session = || Connect { clean: false, ..Connect::v3("a", "alice") };
    let mut alice = Raw::connect(gateway.mqtt, &session());
    for group in ["g", "h"] {
        alice.join(group);
    }
    http.pap(&Pap::new("stale").to("group:g").attribute("deliver-before-timestamp", &in_seconds(2)));
    alice.publish_in();
    drop(alice);
    http.wait_outcome("stale", "expired", "0 of 1");
    for n in 0..40 {
        http.push(&n.to_string(), "group:g", "g");
    }
    http.push("h", "group:h", "h");
    let mut alice = Raw::connect(gateway.mqtt, &session());
    let order: Vec<String> = (0..41).map(|_| alice.push().text().to_owned()).collect();
    let at = order.iter().position(|text| text == "h").unwrap();
    assert!(at < 10, "{at}: they take turns");
}

#[test]
fn the_clean_sessions_of_the_last_process_end_at_the_start_however_many_they_are() {
    let mut gateway = Gateway::start();
    gateway.http().json("PUT", "/api/v1/groups/news", Value::Null);
    gateway.http().bind("news", "lasting");
    gateway.terminate();
    let count = 3_500;
    let store = rusqlite::Connection::open(gateway.dir.path().join("papcast.db")).unwrap();
    store
        .execute_batch(&format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
                INSERT INTO flows (id, kind, name, members, created_at) SELECT 1000 + i, 1, 'user-' || i, 0, 1 FROM n;
             INSERT INTO bindings (flow, user, sources, joined_seq, acked_seq, joined_at)
                SELECT (SELECT id FROM flows WHERE name = 'news'), id, 2, 0, 0, 1 FROM flows WHERE id > 1000;
             INSERT INTO sessions (client, user, lasting, expiry) SELECT name, name, 0, 0 FROM flows WHERE id > 1000;
             INSERT INTO subscriptions (session, filter, qos, binding)
                SELECT s.id, 'groups/news', 1, b.id FROM sessions s JOIN flows f ON f.name = s.user JOIN bindings b ON b.user = f.id;
             UPDATE flows SET members = members + {count} WHERE name = 'news';"
        ))
        .unwrap();
    drop(store);
    gateway.restart();
    // In portions, the last one smaller than the others.
    assert!(gateway.log().contains(&format!("sessions={count}")), "{}", gateway.log());
    assert_eq!(gateway.http().get("/api/v1/groups/news").json()["members"], json!(1));
    assert_eq!(members(&gateway.http(), "news"), ["lasting"]);
}
