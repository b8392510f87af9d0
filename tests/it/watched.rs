//! Nothing runs unwatched: whatever ends without being told to turns `/healthz` red and ends the process, but for a single
//! connection, which ends alone.

use crate::common::http::Client;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, limit_files, wait_for};

/// Injects a fault, gives everybody something to do, and waits for what has to follow. `part` begins the name of the part.
fn ends_the_process(fault: &str, part: &str) {
    let mut gateway = Gateway::start_with("[store]\nretention = \"1s\"\n", &[]);
    let http = gateway.http();
    let mut terminal = Raw::connect(gateway.mqtt, &Connect::v3("c", "alice"));
    terminal.join("news");
    gateway.inject(fault);
    // None of this need be answered any more.
    let poke = move |http: &Client| {
        http.try_send("PUT", "/api/v1/groups/poked");
        http.try_send("PUT", "/api/v1/groups/news/members/bob");
        http.try_pap(&crate::common::http::Pap::new("p1").to("group:news").text("x"));
        drop(Raw::connect_if_there(gateway.mqtt, &Connect::v3("d", "bob")));
    };
    std::thread::spawn(move || poke(&http));
    wait_for("/healthz to turn red and to name the part", || {
        let (status, body) = http.try_get("/healthz")?;
        let parts: serde_json::Value = serde_json::from_str(&body).ok()?;
        let mut ended = parts["parts"].as_object()?.iter().filter(|(_, state)| *state == "ended");
        (status == 503 && ended.any(|(name, _)| name.starts_with(part))).then_some(())
    });
    assert_eq!(gateway.wait_exit().code(), Some(1));
    let log = gateway.log();
    let last = log.lines().find(|line| line.starts_with("papcast: ")).unwrap();
    assert!(last.starts_with(&format!("papcast: {part}")) && last.contains("has ended"), "{part} is named: {last}");
}

#[test]
fn a_writer_that_ended_was_not_noticed() {
    ends_the_process("store-write", "store-write");
}

#[test]
fn a_reader_that_ended_was_not_noticed() {
    ends_the_process("store-read", "store-read-");
}

#[test]
fn a_publisher_that_ended_was_not_noticed() {
    ends_the_process("broker-publish", "broker-publish");
}

#[test]
fn a_router_that_is_watched_no_longer_was_not_noticed() {
    ends_the_process("router", "router");
}

#[test]
fn a_worker_that_ended_was_not_noticed() {
    for part in ["", "-deliver", "-acknowledge", "-tick"] {
        ends_the_process(&format!("mqtt-worker{part}"), "mqtt-worker-");
    }
}

#[test]
fn housekeeping_that_ended_was_not_noticed() {
    ends_the_process("housekeeping", "housekeeping");
}

#[test]
fn forgetting_that_ended_was_not_noticed() {
    ends_the_process("retention", "retention");
}

#[test]
fn notifying_that_ended_was_not_noticed() {
    ends_the_process("notifications", "notifications");
}

#[test]
fn accepting_that_ended_was_not_noticed() {
    ends_the_process("mqtt-accept", "mqtt-accept");
}

#[test]
fn a_connection_whose_task_panicked_kept_its_client_id_for_ever() {
    let mut gateway = Gateway::start();
    let mut bystander = Raw::connect(gateway.mqtt, &Connect::v3("bystander", "bob"));
    bystander.join("news");
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice").lasting());
    alice.join("news");
    gateway.http().push("p1", "group:news", "1");
    let unanswered = alice.publish_in();
    assert_eq!(bystander.push().text(), "1");
    gateway.inject("connection:a");
    alice.puback(unanswered.id);
    alice.wait_closed();
    let mut again = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice").lasting());
    assert_eq!(again.push().text(), "1", "what was not acknowledged comes again");
    gateway.http().push("p2", "group:news", "2");
    assert_eq!(again.push().text(), "2");
    assert_eq!(bystander.push().text(), "2");
    gateway.http().wait_outcome("p2", "delivered", "2 of 2");
    let user = gateway.http().get("/api/v1/users/alice").json();
    assert_eq!(user["connections"].as_array().unwrap().len(), 1, "{user}");
    assert_eq!(gateway.http().get("/healthz").status, 200);
}

#[test]
fn readyz_said_ready_while_the_disk_was_full() {
    let gateway = Gateway::start();
    let http = gateway.http();
    assert_eq!(http.get("/readyz").status, 200);
    limit_files(&gateway, "1");
    wait_for("readiness to be taken back", || (http.get("/readyz").status == 503).then_some(()));
    let ready = http.get("/readyz").json();
    assert_eq!((ready["status"].as_str(), ready["parts"]["router"].as_str()), (Some("failing"), Some("ok")));
    assert_ne!(ready["parts"]["store"], "ok", "{ready}");
    assert_eq!(http.get("/healthz").status, 200, "everything runs");
    limit_files(&gateway, "unlimited");
    wait_for("the gateway to be ready again", || (http.get("/readyz").status == 200).then_some(()));
}
