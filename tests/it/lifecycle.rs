//! Start, stop, fail.

use std::process::Command;

use crate::common::http::Client;
use crate::common::mqtt::{Connect, Raw};
use crate::common::{DEADLINE, Gateway, PAPCAST, wait_for};

#[test]
fn the_ready_line_names_the_bound_addresses_and_both_answer() {
    let gateway = Gateway::start();
    assert_eq!(gateway.http().get("/healthz").status, 200);
    let ready = gateway.http().get("/readyz").json();
    assert_eq!((ready["status"].as_str(), ready["parts"]["store"].as_str()), (Some("ok"), Some("ok")));
    Raw::connect(gateway.mqtt, &Connect::v3("c", "u")).ping();
    assert!(gateway.dir.path().join("papcast.db").exists());
}

#[test]
fn sigterm_stops_cleanly_and_tells_the_terminals() {
    let mut gateway = Gateway::start();
    let mut v5 = Raw::connect(gateway.mqtt, &Connect::v5("a", "u"));
    let mut v3 = Raw::connect(gateway.mqtt, &Connect::v3("b", "u"));
    assert_eq!(gateway.terminate().code(), Some(0));
    assert_eq!(v5.wait_closed(), Some(0x8B), "server shutting down");
    assert_eq!(v3.wait_closed(), None);
    assert!(gateway.log().contains("stopped"));
}

#[test]
fn a_store_that_was_stopped_opens_again_with_everything_in_it() {
    let mut gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    gateway.http().push("p1", "group:news", "kept");
    gateway.terminate();
    gateway.restart();
    assert_eq!(gateway.http().outcome("p1")["desc"], "0 of 1");
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("c", "alice"));
    assert_eq!(alice.push().text(), "kept");
}

#[test]
fn an_address_in_use_is_one_plain_sentence_and_exit_code_1() {
    let gateway = Gateway::start();
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(PAPCAST)
        .arg("serve")
        .current_dir(dir.path())
        .env("PAPCAST_HTTP__LISTEN", gateway.http.to_string())
        .env("PAPCAST_MQTT__LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains(&format!("papcast: http.listen: cannot listen on {}: Address already in use", gateway.http)),
        "{error}"
    );
    assert!(output.stdout.is_empty(), "no ready line");
}

#[test]
fn a_second_signal_stops_at_once() {
    use std::io::Write;
    let mut gateway = Gateway::start();
    // A request whose body is not complete keeps the drain waiting for a while; after it the exit code would be 0.
    let mut slow = std::net::TcpStream::connect(gateway.http).unwrap();
    slow.write_all(b"POST /pap HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc").unwrap();
    gateway.http().get("/healthz");
    gateway.signal("TERM");
    wait_for("the stop to begin", || gateway.log().contains("stopping").then_some(()));
    gateway.signal("TERM");
    assert_eq!(gateway.wait_exit().code(), Some(1));
    assert!(!gateway.log().contains("stopped"), "it drained all the same: {}", gateway.log());
}

#[test]
fn ready_is_taken_back_while_requests_drain() {
    use std::io::{Read, Write};
    let mut gateway = Gateway::start();
    // A request whose body is not complete keeps the drain waiting; a keep-alive connection asks for readiness.
    let mut slow = std::net::TcpStream::connect(gateway.http).unwrap();
    slow.write_all(b"POST /pap HTTP/1.1\r\nHost: x\r\nContent-Type: application/xml\r\nContent-Length: 6\r\n\r\n<pap")
        .unwrap();
    let mut probe = std::net::TcpStream::connect(gateway.http).unwrap();
    probe.set_read_timeout(Some(DEADLINE)).unwrap();
    probe.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut buffer = [0; 512];
    let read = probe.read(&mut buffer).unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
    gateway.signal("TERM");
    wait_for("the stop to begin", || gateway.log().contains("stopping").then_some(()));
    // A connection on which nothing was said yet when the stop began may be closed.
    wait_for("readiness to be taken back", || (gateway.http().try_send("GET", "/readyz") == Some(503)).then_some(()));
    assert_eq!(gateway.http().get("/healthz").status, 200);
    let refused = gateway.http().get("/api/v1/groups");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "no new work");
    slow.write_all(b"/>").unwrap();
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 202"), "a request under way is answered");
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

#[test]
fn a_store_of_a_newer_papcast_is_refused() {
    let mut gateway = Gateway::start();
    gateway.terminate();
    let path = gateway.dir.path().join("papcast.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let error = gateway.start_refused();
    assert!(error.contains("has schema 999"), "{error}");
}

#[test]
fn two_gateways_on_one_store_lost_sight_of_each_other() {
    let mut gateway = Gateway::start();
    let error = gateway.start_refused();
    assert!(error.contains("another gateway uses this store"), "{error}");
    // A crash leaves nothing that would have to be cleared away.
    gateway.kill();
    gateway.restart();
}

#[test]
fn json_logs_are_json() {
    let mut gateway = Gateway::start_with("[log]\nformat = \"json\"\n", &[]);
    gateway.terminate();
    let log = gateway.log();
    let lines = log.lines().map(|line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|_| panic!("{line}"))["fields"]["message"]
            .clone()
    });
    let said: Vec<serde_json::Value> = lines.collect();
    for message in ["listening on ", "stopped"] {
        assert!(said.iter().any(|said| said.as_str().is_some_and(|said| said.starts_with(message))), "{log}");
    }
}

#[test]
fn unknown_paths_and_methods_are_problems() {
    let gateway = Gateway::start();
    let http: Client = gateway.http();
    let reply = http.get("/nowhere");
    assert_eq!((reply.status, reply.header("content-type")), (404, Some("application/problem+json")));
    assert_eq!(reply.json()["status"], 404);
    assert_eq!(http.get("/pap").status, 405);
}

#[test]
fn two_clean_subscribers_of_one_user_blocked_the_stop() {
    let mut gateway = Gateway::start_with("[mqtt]\nworkers = 1\n", &[]);
    let mut terminals: Vec<Raw> = (0..6)
        .map(|n| {
            let mut terminal = Raw::connect(gateway.mqtt, &Connect::v3(&format!("c{n}"), "alice"));
            terminal.subscribe(&[("groups/news", 1)]);
            terminal
        })
        .collect();
    assert_eq!(gateway.terminate().code(), Some(0), "{}", gateway.log());
    for terminal in &mut terminals {
        terminal.wait_closed();
    }
}

#[test]
fn a_body_that_never_comes_does_not_spoil_the_stop() {
    use std::io::Write;
    let mut gateway = Gateway::start();
    let mut slow = std::net::TcpStream::connect(gateway.http).unwrap();
    slow.write_all(b"POST /pap HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc").unwrap();
    gateway.http().get("/healthz");
    assert_eq!(gateway.terminate().code(), Some(0), "{}", gateway.log());
}
