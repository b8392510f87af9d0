//! What happens, for those who follow it: over HTTP, over MQTT, and by the command.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::common::events::Events;
use crate::common::http::Pap;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, Lines, papcast, papcast_command};

#[test]
fn a_push_is_followed_from_its_acceptance_to_its_last_acknowledgement() {
    let gateway = Gateway::start();
    let mut events = Events::follow(gateway.http, "", "");
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("phone", "alice"));
    let connect = events.next();
    assert_eq!(
        (&connect["event"], &connect["user"], &connect["client_id"]),
        (&json!("connect"), &json!("alice"), &json!("phone"))
    );
    assert_eq!((&connect["protocol"], &connect["transport"]), (&json!("mqtt5"), &json!("tcp")));
    alice.join("news");
    let join = events.next();
    assert_eq!(
        (&join["event"], &join["user"], &join["group"], &join["by"]),
        (&json!("join"), &json!("alice"), &json!("news"), &json!("terminal"))
    );
    gateway.http().bind("news", "bob");
    assert_eq!(events.next()["by"], "operator anonymous");
    assert_eq!(events.next()["event"], "change");
    gateway.http().push("p1", "group:news", "hello");
    let push = events.next();
    assert_eq!(push["event"], "push");
    assert_eq!(
        (&push["push_id"], &push["initiator"], &push["group"]),
        (&json!("p1"), &json!("anonymous"), &json!("news"))
    );
    assert_eq!((&push["recipients"], &push["delivered"], &push["state"]), (&json!(2), &json!(0), &json!("pending")));
    alice.push();
    let progress = events.next();
    assert_eq!((&progress["event"], &progress["delivered"]), (&json!("progress"), &json!(1)));
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v3("b", "bob"));
    bob.push();
    assert_eq!(events.next()["event"], "connect");
    let last = events.next();
    assert_eq!((&last["event"], &last["state"], &last["delivered"]), (&json!("final"), &json!("delivered"), &json!(2)));
    assert!(last["seconds"].as_f64().unwrap() >= 0.0, "{last}");
    bob.disconnect();
    let end = events.next();
    assert_eq!((&end["event"], &end["user"], &end["reason"]), (&json!("disconnect"), &json!("bob"), &json!("goodbye")));
    assert_eq!(end["desc"], "it said goodbye");
    // The same name from the post to the end, also in the log.
    let request = push["request"].as_str().unwrap();
    assert_eq!(last["request"], request);
    let log = gateway.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(request)).collect();
    assert!(lines.iter().any(|line| line.contains("push accepted")), "{log}");
    assert!(lines.iter().any(|line| line.contains("push finished")), "{log}");
}

#[test]
fn a_reader_goes_on_after_its_last_event_and_is_told_what_it_lost() {
    let gateway = Gateway::start_with("[history]\nevents = 100\n", &[]);
    let mut events = Events::follow(gateway.http, "kind=join", "");
    gateway.http().bind("news", "u0");
    let first = events.next();
    let last = format!("Last-Event-ID: {}\r\n", events.last.clone().unwrap());
    drop(events);
    gateway.http().bind("news", "u1");
    let mut again = Events::follow(gateway.http, "kind=join", &last);
    let next = again.next();
    assert_eq!((&first["user"], &next["user"]), (&json!("u0"), &json!("u1")));
    drop(again);
    // Two events for each: more than are kept.
    let users: Vec<String> = (0..80).map(|n| format!("m{n}")).collect();
    let reply = gateway.http().json("POST", "/api/v1/groups/news/members", json!({ "add": users }));
    assert_eq!((reply.status, &reply.json()["changed"]), (200, &json!(80)), "{reply:?}");
    let mut late = Events::follow(gateway.http, "", &last);
    let lost = late.next();
    assert_eq!(lost["event"], "lost");
    // 80 joins and 80 changes, and two of before; 100 are there.
    assert!(lost["lost"].as_u64().unwrap() >= 60, "{lost}");
    assert_eq!(gateway.http().get("/api/v1/events?kind=rain").status, 400);
    let odd = gateway
        .http()
        .raw(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nLast-Event-ID: yesterday\r\n\r\n");
    assert_eq!(odd.status, 400, "{odd:?}");
}

#[test]
fn readers_of_events_are_limited_and_a_stop_ends_them() {
    let mut gateway = Gateway::start_with("http.max_event_streams = 1\n", &[]);
    let events = Events::follow(gateway.http, "", "");
    let refused = gateway.http().get("/api/v1/events");
    assert!(refused.status == 429 && refused.body.contains("http.max_event_streams"), "{refused:?}");
    gateway.signal("TERM");
    events.wait_end();
    assert!(gateway.wait_exit().success());
}

/// Whoever follows with a token that is taken away must not go on.
#[test]
fn a_reader_whose_token_was_removed_went_on_following() {
    let gateway = Gateway::start_with("[auth]\nmode = \"required\"\n", &[]);
    let bearer = format!("Authorization: Bearer {}\r\n", gateway.token("operator", "kim", &["--role", "viewer"]));
    let events = Events::follow(gateway.http, "", &bearer);
    assert_eq!(gateway.command(&["operator", "remove", "kim"]).code, Some(0));
    events.wait_end();
}

#[test]
fn what_happens_to_a_group_is_shown_on_its_trace_topic() {
    let gateway = Gateway::start();
    let mut watcher = Raw::connect(gateway.mqtt, &Connect::v3("w", "watcher"));
    assert_eq!(watcher.subscribe(&[("$push/trace/a%2Fb", 1)]), [0]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.join("a%2Fb");
    let join = watcher.publish_in();
    assert_eq!((join.topic.as_str(), &join.json()["event"]), ("$push/trace/a%2Fb", &json!("join")));
    alice.join("other");
    gateway.http().push("p1", "group:a/b", "hello");
    let push = watcher.publish_in().json();
    assert_eq!(
        (&push["push_id"], &push["initiator"], &push["recipients"]),
        (&json!("p1"), &json!("anonymous"), &json!(1))
    );
    alice.push();
    let last = watcher.publish_in().json();
    assert_eq!((&last["event"], &last["delivered"]), (&json!("final"), &json!(1)));
    assert_eq!(watcher.subscribe(&[("$push/trace/#", 0)]), [0]);
    gateway.http().push("p2", "group:other", "hello");
    assert_eq!(watcher.publish_in().topic, "$push/trace/other");
}

#[test]
fn devices_and_initiators_do_not_see_traces() {
    let gateway = Gateway::start_with("[auth]\nmode = \"required\"\n", &[]);
    let device = gateway.token("device", "alice", &[]);
    let viewer = gateway.token("operator", "kim", &["--role", "viewer"]);
    let initiator = gateway.token("initiator", "pi", &[]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice").password(&device));
    assert_eq!(alice.subscribe(&[("$push/trace/news", 0)]), [0x80]);
    let mut kim = Raw::connect(gateway.mqtt, &Connect::v3("k", "$operator/kim").password(&viewer));
    assert_eq!(kim.subscribe(&[("$push/trace/news", 0)]), [0]);
    for (token, status) in [(&initiator, 403), (&device, 403)] {
        let head = format!(
            "GET /api/v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        assert_eq!(gateway.http().raw(head.as_bytes()).status, status);
    }
}

#[test]
fn every_packet_of_a_traced_client_is_told() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("phone", "alice"));
    alice.join("news");
    let mut bob = Raw::connect(gateway.mqtt, &Connect::v5("other", "bob"));
    bob.join("news");
    let reply = gateway.http().json("POST", "/api/v1/users/alice/trace", json!({"seconds": 60}));
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(gateway.http().get("/api/v1/users/alice").json()["traced_until"].is_string());
    let mut events = Events::follow(gateway.http, "kind=trace", "");
    // Workers look once a second whether anybody is traced.
    let ping = crate::common::wait_for("a packet to be told", || {
        alice.ping();
        bob.ping();
        events.try_next().filter(|first| first["packet"] == "PINGREQ")
    });
    assert_eq!(
        (&ping["user"], &ping["client_id"], &ping["direction"]),
        (&json!("alice"), &json!("phone"), &json!("in"))
    );
    gateway.http().push("p1", "group:news", "hello");
    alice.push();
    bob.push();
    let mut seen = Vec::new();
    while !seen.iter().any(|packet: &String| packet.starts_with("PUBACK")) {
        let event = events.next();
        assert_eq!(event["user"], "alice");
        seen.push(event["packet"].as_str().unwrap().to_owned());
    }
    assert!(seen.iter().any(|packet| packet.starts_with("PUBLISH QoS 1 of push \"p1\" on groups/news")), "{seen:?}");
    assert_eq!(gateway.http().send("DELETE", "/api/v1/users/alice/trace", "text/plain", b"").status, 204);
    assert_eq!(gateway.http().send("DELETE", "/api/v1/users/alice/trace", "text/plain", b"").status, 404);
    assert_eq!(gateway.http().json("POST", "/api/v1/users/alice/trace", json!({"seconds": 0})).status, 400);
}

#[test]
fn the_command_follows_events_and_shows_what_is_remembered() {
    let gateway = Gateway::start();
    let at = format!("http://{}", gateway.http);
    gateway.http().bind("news", "alice");
    let past = papcast(&["events", "--gateway", &at, "--kind", "join"]);
    assert_eq!(past.code, Some(0), "{past:?}");
    assert!(past.out.contains("join") && past.out.contains("alice news by operator anonymous"), "{past:?}");
    let mut child = papcast_command(&["events", "-f", "--json", "--group", "news", "--gateway", &at])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    // It may follow from a moment on that is after the first of these.
    let mut n = 0;
    let line = crate::common::wait_for("an event", || {
        n += 1;
        gateway.http().json("POST", "/api/v1/pushes", json!({"to": ["group:news"], "body": "x", "push_id": format!("p{n}"), "deliver_before": "2099-01-01T00:00:00Z"}));
        lines.try_next()
    });
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["event"], &event["group"]), (&json!("push"), &json!("news")));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_is_refused_is_told_with_its_reason() {
    let gateway = Gateway::start();
    let mut events = Events::follow(gateway.http, "kind=refused", "");
    assert_eq!(gateway.http().pap(&Pap::new("p1").to("group:nowhere")).pap_code(), 2002);
    let push = events.next();
    assert_eq!((&push["what"], &push["who"], &push["code"]), (&json!("push"), &json!("anonymous"), &json!("2002")));
    gateway.http().json("PUT", "/api/v1/groups/closed", json!({"policy": "closed"}));
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "alice"));
    alice.publish("$push/join/closed", 0, b"");
    let join = events.next();
    assert_eq!(
        (&join["what"], &join["user"], &join["code"]),
        (&json!("join"), &json!("alice"), &json!("group-closed"))
    );
    assert!(gateway.log().contains("join refused"), "{}", gateway.log());
}
