//! HTTP as real initiators send it, in raw bytes: folded headers, bodies that are too large, errors that have to be XML.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::common::http::{Pap, Reply};
use crate::common::{DEADLINE, Gateway, wait_for};

const FOLDED: &str = "Content-Type: multipart/related; boundary=xyz;\r\n        type=\"application/xml\"\r\n";

fn request(headers: &str, body: &str) -> String {
    format!("POST /pap HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn connect(gateway: &Gateway) -> TcpStream {
    let stream = TcpStream::connect(gateway.http).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Everything until the gateway closes, which has to be a proper end and no reset.
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn pushes(gateway: &Gateway) -> usize {
    gateway.http().get("/api/v1/pushes").json()["pushes"].as_array().unwrap().len()
}

fn is_bad_message(reply: &Reply, status: u16, code: u16) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/xml"), "{reply:?}");
    assert!(reply.body.starts_with("<?xml") && reply.body.contains("<pap><badmessage-response code="), "{reply:?}");
    assert_eq!(reply.pap_code(), code, "{reply:?}");
    assert_eq!(reply.header("content-length").map(str::parse), Some(Ok(reply.body.len())));
}

#[test]
fn the_layout_of_the_specification_s_own_example_was_400_without_a_word() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let reply = gateway.http().raw(request(FOLDED, &Pap::new("p1").to("group:news").body()).as_bytes());
    assert_eq!((reply.status, reply.pap_code()), (202, 1001), "{reply:?}");
    assert_eq!(reply.header("connection"), Some("close"));
    // The boundary itself stands in the second line, and the bytes come one by one.
    let headers = "Content-Type: multipart/related;\r\n\tboundary=xyz\r\nX-Other:\r\n  y\r\n  z\r\n";
    let mut stream = connect(&gateway);
    stream.set_nodelay(true).unwrap();
    for byte in request(headers, &Pap::new("p2").to("group:news").body()).bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    assert!(rest(stream).contains("code=\"1001\""));
    // After another request on the same connection, both sent at once.
    let plain = request("Content-Type: multipart/related; boundary=xyz\r\n", &Pap::new("p3").to("group:news").body());
    let mut stream = connect(&gateway);
    stream.write_all(plain.as_bytes()).unwrap();
    stream.write_all(request(FOLDED, &Pap::new("p4").to("group:news").body()).as_bytes()).unwrap();
    let answers = rest(stream);
    assert_eq!(answers.matches("HTTP/1.1 202").count(), 2, "{answers}");
    assert_eq!(pushes(&gateway), 4);
}

#[test]
fn a_folded_head_could_not_smuggle_a_request() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let body = Pap::new("first").to("group:news").body();
    let hidden =
        request("Content-Type: multipart/related; boundary=xyz\r\n", &Pap::new("hidden").to("group:news").body());
    let length = body.len();
    let with = |headers: &str| format!("POST /pap HTTP/1.1\r\nHost: x\r\n{FOLDED}{headers}\r\n{body}{hidden}");
    // What follows a folded request is not looked at.
    let mut stream = connect(&gateway);
    stream.write_all(with(&format!("Content-Length: {length}\r\n")).as_bytes()).unwrap();
    let answers = rest(stream);
    assert_eq!((answers.matches("HTTP/1.1 ").count(), answers.matches("code=\"1001\"").count()), (1, 1), "{answers}");
    assert_eq!(pushes(&gateway), 1);
    for headers in [
        format!("Content-Length:\r\n {length}\r\n"),
        format!("Content-Length: {length}\r\n 0\r\n"),
        format!("X: y\r\n Content-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Content-Length: {length}\r\nTransfer-Encoding:\r\n chunked\r\n"),
        "Transfer-Encoding: chunked\r\n".into(),
        format!("Content-Length: {length}\r\nX: y\n z\r\n"),
        format!("Content-Length: {length}\r\nX: y\r\n \r\n"),
        format!("Content-Length : {length}\r\n"),
        String::new(),
    ] {
        let mut stream = connect(&gateway);
        stream.write_all(with(&headers).as_bytes()).unwrap();
        let answers = rest(stream);
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{headers:?}: {answers}");
        assert!(answers.starts_with("HTTP/1.1 400"), "{headers:?}: {answers}");
        assert!(answers.contains("<badmessage-response code=\"2000\""), "{headers:?}: {answers}");
        assert!(answers.contains("write each header on one line"), "{headers:?}: {answers}");
        assert_eq!(pushes(&gateway), 1, "{headers:?}");
    }
    // What came before a refused one on the same connection is answered as if alone.
    let plain = request("Content-Type: multipart/related; boundary=xyz\r\n", &body.replace("first", "before"));
    let mut stream = connect(&gateway);
    stream.write_all(format!("{plain}{}", with("Transfer-Encoding: chunked\r\n")).as_bytes()).unwrap();
    let answers = rest(stream);
    let statuses: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["202", "400"], "{answers}");
    assert_eq!(pushes(&gateway), 2);
    // Two lengths without a fold are hyper's to refuse, as before.
    let plain =
        with(&format!("Content-Length: {length}\r\nContent-Length: 0\r\n")).replace(";\r\n        type", "; type");
    let mut stream = connect(&gateway);
    stream.write_all(plain.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
    assert_eq!(pushes(&gateway), 2);
    let line = wait_for("a line in the log, which there was none of", || {
        gateway.log().lines().find(|line| line.contains("this is not HTTP")).map(ToOwned::to_owned)
    });
    assert!(line.contains("a request was refused") && line.contains("remote=127.0.0.1"), "{line}");
}

#[test]
fn a_body_with_folds_in_it_is_not_touched() {
    let gateway = Gateway::start();
    let mut alice = crate::common::mqtt::Raw::connect(gateway.mqtt, &crate::common::mqtt::Connect::v5("a", "alice"));
    alice.join("news");
    let text = "POST /pap HTTP/1.1\r\nA: b\r\n c\r\n\r\n";
    let body = |id: &str| Pap::new(id).to("group:news").text(&text.repeat(400)).body();
    let plain = |id: &str| request("Content-Type: multipart/related; boundary=xyz\r\n", &body(id));
    let mut stream = connect(&gateway);
    stream.write_all(format!("{}{}{}", plain("p1"), plain("p2"), request(FOLDED, &body("p3"))).as_bytes()).unwrap();
    assert_eq!(rest(stream).matches("code=\"1001\"").count(), 3);
    for _ in 0..3 {
        assert_eq!(alice.push().text(), text.repeat(400));
    }
}

#[test]
fn the_answer_to_a_body_that_was_too_large_was_lost_in_a_reset() {
    let gateway = Gateway::start();
    let large = Pap::new("p1").to("group:news").text(&"x".repeat(20_000_000)).body();
    let mut stream = connect(&gateway);
    // Like most clients it reads nothing before it has written everything.
    stream.write_all(request(FOLDED, &large).replace("/pap", "/mss/PD_pushRequest").as_bytes()).unwrap();
    let answer = rest(stream);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("<badmessage-response code=\"2000\""), "{answer}");
    assert!(answer.contains("http.max_body"), "{answer}");
    // In chunks, whose sum nobody knows before.
    let mut stream = connect(&gateway);
    stream.write_all(b"POST /pap HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    for _ in 0..40 {
        stream.write_all(format!("{:x}\r\n{}\r\n", 100_000, "x".repeat(100_000)).as_bytes()).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let answer = rest(stream);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("<badmessage-response code=\"2000\""), "{answer}");
}

#[test]
fn a_client_that_asked_first_was_told_to_send_what_is_too_large() {
    let gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    let ask = |length: usize| {
        let mut stream = connect(&gateway);
        let head = format!(
            "POST /pap HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Type: multipart/related; boundary=xyz\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let answer = rest(ask(20_000_000));
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("<badmessage-response code=\"2000\""), "{answer}");
    let body = Pap::new("p1").to("group:news").body();
    let mut stream = ask(body.len());
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).unwrap();
    assert!(rest(stream).contains("code=\"1001\""));
}

#[test]
fn http_errors_on_the_paths_of_pap_were_json_to_clients_that_read_xml() {
    let gateway = Gateway::start_with("[http]\nbody_timeout = \"200ms\"\nmax_body = 2_000\n", &[]);
    let http = gateway.http();
    let reply = http.get("/pap");
    is_bad_message(&reply, 405, 2000);
    assert_eq!(reply.header("allow"), Some("POST"));
    assert!(reply.body.contains("DTD PAP 1.0//EN"), "nobody has read a version: {reply:?}");
    is_bad_message(&http.pap(&Pap::new("p1").to("group:news").text(&"x".repeat(3_000))), 413, 2000);
    is_bad_message(&http.raw(b"POST /wappush HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n<pap"), 408, 2000);
    is_bad_message(&http.raw(b"POST /pap HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n"), 400, 2000);
    let json = http.send("POST", "/api/v1/pushes", "application/json", &[b'x'; 3_000]);
    assert_eq!((json.status, json.header("content-type")), (413, Some("application/problem+json")));
    let log = gateway.log();
    for reason in ["HTTP 405", "HTTP 413", "HTTP 408", "HTTP 400"] {
        let line = log.lines().find(|line| line.contains(reason)).unwrap_or_else(|| panic!("{reason} in {log}"));
        assert!(line.contains("remote=127.0.0.1") && line.contains("a request was refused"), "{line}");
    }
}

#[test]
fn a_gateway_that_stops_says_so_in_the_initiator_s_version() {
    let mut gateway = Gateway::start();
    let body = Pap::new("p1").to("group:news").body();
    // A request that is under way holds the stop up.
    let mut slow = connect(&gateway);
    slow.write_all(request("", &body).split_at(80).0.as_bytes()).unwrap();
    let mut probe = connect(&gateway);
    probe.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(probe.read(&mut [0; 512]).unwrap() > 0);
    gateway.signal("TERM");
    wait_for("readiness to be taken back", || (gateway.http().try_send("GET", "/readyz") == Some(503)).then_some(()));
    let reply = gateway.http().pap(&Pap::new("p2").to("group:news"));
    is_bad_message(&reply, 503, 4001);
    assert!(reply.body.contains("DTD PAP 2.0//EN"), "{reply:?}");
    slow.write_all(request("", &body).split_at(80).1.as_bytes()).unwrap();
    assert!(rest(slow).starts_with("HTTP/1.1 202"), "what had begun is answered");
    assert_eq!(gateway.wait_exit().code(), Some(0));
}
