//! What one client, one user and all together may hold; and what the log says of those who go too far.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::mqtt::{Connect, Packet, Raw, packet, text};
use crate::common::{DEADLINE, Gateway, wait_for};

const OPEN: &str = "[[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"x/#\"]\n";

/// A CONNECT of MQTT 5 with a delayed will of this size; session and delay of an hour.
fn with_will(client: &str, bytes: usize) -> Vec<u8> {
    let will = vec![b'w'; bytes];
    let length = u16::try_from(bytes).unwrap().to_be_bytes();
    let body = [
        &b"\0\x04MQTT\x05\x06\0\x3c\x05\x11\0\0\x0e\x10"[..],
        &text(client),
        &[5, 0x18, 0, 0, 0x0e, 0x10],
        &text("x/will"),
        &length,
        &will,
    ];
    packet(0x10, &body.concat())
}

#[test]
fn wills_that_wait_had_no_bound() {
    let gateway = Gateway::start_with(&format!("[mqtt]\nmax_wills = 100_000\n{OPEN}"), &[]);
    let connect = |client: &str| {
        let mut raw = Raw::open(gateway.mqtt);
        raw.v5 = true;
        raw.send(&with_will(client, 60_000));
        let code = raw.packet().body[1];
        (raw, code)
    };
    let (first, code) = connect("a");
    assert_eq!(code, 0);
    drop(first);
    assert_eq!(connect("b").1, 0x97, "the first one waits for its delay");
    // Who comes back takes its will back, and there is room again.
    let back = Raw::connect(gateway.mqtt, &Connect::v5("a", "a").lasting());
    wait_for("room for another will", || (connect("b").1 == 0).then_some(()));
    back.disconnect();
    // 3.1.1 is told in its own words.
    let mut old = Raw::open(gateway.mqtt);
    old.send(&packet(
        0x10,
        &[&b"\0\x04MQTT\x04\x06\0\x3c"[..], &text("c"), &text("x/w"), &text(&"w".repeat(65_000))].concat(),
    ));
    assert_eq!(old.packet().body, [0, 3]);
}

#[test]
fn a_connect_of_any_size_was_kept_before_anybody_knew_who_sends_it() {
    let gateway = Gateway::start();
    let mut large = Raw::open(gateway.mqtt);
    // The announced length is enough: 200,000 bytes.
    large.send(&[0x10, 0xC0, 0x9A, 0x0C]);
    assert_eq!(large.try_packet(DEADLINE), None);
    wait_for("a line in the log", || gateway.log().contains("mqtt.max_connect").then_some(()));
}

#[test]
fn packets_that_never_came_whole_had_no_bound() {
    let gateway = Gateway::start_with("[mqtt]\nmax_unfinished = 100_000\n", &[]);
    // A PUBLISH of 90,000 bytes of which 80,000 come.
    let part = [&[0x30, 0x90, 0xBF, 0x05][..], &text("x"), &[0], &vec![b'x'; 80_000]].concat();
    let mut first = Raw::connect(gateway.mqtt, &Connect::v5("a", "a"));
    first.send(&part);
    let mut second = Raw::connect(gateway.mqtt, &Connect::v5("b", "b"));
    second.try_send(&part);
    // Whichever came last.
    let closed = [first.try_packet(Duration::from_secs(1)), second.try_packet(DEADLINE)];
    assert!(closed.contains(&Some(Packet { first: 0xE0, body: vec![0x97] })), "{closed:?}");
}

#[test]
fn filters_and_topics_of_any_length_were_kept() {
    let gateway = Gateway::start_with(OPEN, &[]);
    let mut raw = Raw::connect(gateway.mqtt, &Connect::v5("a", "a").lasting());
    let long = format!("x/{}", "y".repeat(1_100));
    assert_eq!(raw.subscribe(&[(&long, 0), (&format!("groups/+/{long}"), 0), ("x/y", 0)]), [0x97, 0x97, 0]);
    raw.publish(&long, 1, b"m");
    assert_eq!(raw.expect(4).body[2], 0x90);
}

#[test]
fn watchers_had_no_bound() {
    let gateway = Gateway::start_with("[mqtt]\nmax_watchers = 2\n", &[]);
    let watch = |client: &str| {
        let mut raw = Raw::connect(gateway.mqtt, &Connect::v5(client, client));
        let codes = raw.subscribe(&[("groups/#", 0), ("#", 0)]);
        (raw, codes)
    };
    let (mut first, granted) = watch("a");
    assert_eq!(granted, [0, 0]);
    let (second, granted) = watch("b");
    assert_eq!(granted, [0, 0]);
    assert_eq!(watch("c").1, [0x97, 0x97]);
    // One goes, one unsubscribes, and two more may come.
    second.disconnect();
    assert_eq!(first.unsubscribe(&["groups/#", "#"]), [0, 0]);
    let (mut third, granted) = watch("d");
    assert_eq!(granted, [0, 0]);
    let (_fourth, granted) = watch("e");
    assert_eq!(granted, [0, 0]);
    gateway.http().bind("news", "bob");
    gateway.http().push("p1", "group:news", "seen");
    assert_eq!(third.publish_in().text(), "seen");
    first.assert_silent();
}

#[test]
fn the_owner_of_a_client_id_stood_in_a_queue_behind_a_storm() {
    let gateway = Gateway::start();
    let connect = || Connect { clean: false, ..Connect::v3("same", "alice") };
    let mut storm: Vec<Raw> = (0..200).map(|_| Raw::open(gateway.mqtt)).collect();
    for raw in &mut storm {
        raw.send(&connect().bytes());
    }
    // One of the storm may come behind it, on another worker: then it tries again, as clients do.
    let mut owner = wait_for("the owner to be let in", || Raw::connect_if_there(gateway.mqtt, &connect()));
    // Nobody of the storm waits any more: each was let in and taken over, or passed over, and is closed.
    for raw in &mut storm {
        while raw.try_packet(DEADLINE).is_some() {}
    }
    owner.ping();
    let user = gateway.http().get("/api/v1/users/alice").json();
    assert_eq!(user["connections"].as_array().unwrap().len(), 1);
}

#[test]
fn another_device_of_a_user_stood_in_a_queue_behind_a_storm() {
    let gateway = Gateway::start_with("[mqtt]\nmax_waiting = 5\n", &[]);
    let names: Vec<String> = (0..200).map(|number| format!("c{number}")).collect();
    let mut storm: Vec<Raw> = names
        .iter()
        .map(|name| {
            let mut raw = Raw::open(gateway.mqtt);
            raw.send(&Connect { clean: false, ..Connect::v3(name, "alice") }.bytes());
            raw
        })
        .collect();
    // Each gets an answer, and those who would have to wait for too many others are told so.
    for raw in &mut storm {
        let answer = raw.packet();
        assert!(matches!(answer.body[1], 0 | 3), "{answer:?}");
    }
    wait_for("the device to be let in", || Raw::connect_if_there(gateway.mqtt, &Connect::v3("mine", "alice")));
}

/// `tr` of /proc/net/tcp: 02 is a keep-alive timer.
#[test]
fn a_terminal_that_lost_its_power_counted_as_connected_for_ever() {
    let gateway = Gateway::start();
    let _terminal = Raw::connect(gateway.mqtt, &Connect::v3("a", "a"));
    let local = format!("0100007F:{:04X}", gateway.mqtt.port());
    wait_for("a keep-alive timer on the accepted socket", || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let timers: Vec<&str> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            // State 01 is an established connection.
            .filter(|fields| fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&"01"))
            .map(|fields| fields[5])
            .collect();
        (!timers.is_empty() && timers.iter().all(|timer| timer.starts_with("02:"))).then_some(())
    });
}

#[test]
fn nothing_in_the_log_named_a_push_that_ended_every_connection() {
    let gateway = Gateway::start();
    let connect = || Connect::v3("poor", "alice");
    let mut alice = Raw::connect(gateway.mqtt, &connect());
    alice.join("news");
    for id in ["p1", "p2", "p3"] {
        gateway.http().push(id, "group:news", id);
    }
    alice.publish_in();
    drop(alice);
    for _ in 0..3 {
        let mut alice = Raw::connect(gateway.mqtt, &connect());
        assert_eq!(alice.publish_in().text(), "p1");
        // One at a time now: nothing comes behind it.
        alice.ping();
        drop(alice);
    }
    wait_for("the push to be named", || {
        let log = gateway.log();
        let line = log.lines().find(|line| line.contains("did not take this push 3 times"))?;
        assert!(line.contains("p1") && line.contains("poor") && line.contains("bytes="), "{line}");
        Some(())
    });
    // The window grows with each answer. What is set aside comes last.
    let mut alice = Raw::connect(gateway.mqtt, &connect());
    let first = alice.publish_in();
    assert_eq!(first.text(), "p2");
    alice.ping();
    alice.puback(first.id);
    assert_eq!((alice.push().text(), alice.push().text()), ("p3", "p1"));
}

#[test]
fn one_push_that_was_never_answered_kept_everything_else_from_its_client() {
    let gateway = Gateway::start();
    let connect = || Connect::v3("poor", "alice");
    let mut alice = Raw::connect(gateway.mqtt, &connect());
    alice.join("one");
    alice.join("two");
    gateway.http().push("poison", "group:one", "poison");
    alice.publish_in();
    drop(alice);
    let mut alice = Raw::connect(gateway.mqtt, &connect());
    assert_eq!(alice.publish_in().text(), "poison");
    // It stays, and answers everything but that one.
    for (id, to) in [("p1", "group:two"), ("p2", "user:alice"), ("p3", "group:one")] {
        gateway.http().push(id, to, id);
        assert_eq!(alice.push().text(), id);
        gateway.http().wait_outcome(id, "delivered", "1 of 1");
    }
}

#[test]
fn a_response_topic_had_no_longest_length() {
    let gateway = Gateway::start();
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("c", "alice"));
    // PUBLISH at QoS 1 with a Response Topic of 1,100 bytes (property 0x08).
    let response = [&[0x08][..], &text(&"r".repeat(1_100))].concat();
    let length = [(response.len() % 128) as u8 | 0x80, (response.len() / 128) as u8];
    alice.send(&packet(0x32, &[&text("x/a")[..], &[0, 7], &length, &response, b"hello"].concat()));
    assert_eq!(alice.expect(4).body[2], 0x90, "Topic Name invalid");
    alice.assert_silent();
}

#[test]
fn a_small_device_never_learned_that_it_is_in() {
    let gateway = Gateway::start();
    let (user, group) = ("u".repeat(70), "g".repeat(56));
    let mut small = Raw::connect(gateway.mqtt, &Connect::v3("small", &user));
    small.publish(&format!("$push/join/{group}"), 0, b"");
    let answer = small.packet();
    assert!(answer.body.len() + 3 <= 256, "{} bytes", answer.body.len());
    let answer = small.parse(&answer).json();
    assert_eq!((answer["op"].as_str(), answer["status"].as_str()), (Some("join"), Some("accepted")));
    // Whoever says how much it takes gets what fits, whatever it asks.
    let mut said = Connect::v5("said", &user);
    said.properties = vec![0x27, 0, 0, 0, 100];
    let mut said = Raw::connect(gateway.mqtt, &said);
    let answer = said.request("$push/request", &format!(r#"{{"op":"join","id":"r1","group":"{group}"}}"#));
    assert_eq!(answer["status"], "accepted");
    assert_eq!(answer["id"], "r1");
}

#[test]
fn a_fleet_that_shares_one_login_was_one_user() {
    let gateway = Gateway::start_with("[mqtt]\nuser_id = \"client_id\"\n", &[]);
    let mut one = Raw::connect(gateway.mqtt, &Connect::v3("one", "DVES_USER"));
    let mut two = Raw::connect(gateway.mqtt, &Connect::v3("two", "DVES_USER"));
    one.join("news");
    two.join("news");
    gateway.http().push("p1", "group:news", "1");
    assert_eq!((one.push().text(), two.push().text()), ("1", "1"));
    gateway.http().wait_outcome("p1", "delivered", "2 of 2");
}

#[test]
fn a_will_on_a_closed_topic_kept_stock_firmware_out() {
    let gateway = Gateway::start_with(OPEN, &[]);
    let mut reader = Raw::connect(gateway.mqtt, &Connect::v3("r", "reader"));
    reader.subscribe(&[("x/#", 0)]);
    for v5 in [false, true] {
        let will = Connect { v5, will: Some(("tele/DVES/LWT", "Offline")), ..Connect::v3("DVES", "u") };
        for _ in 0..2 {
            drop(Raw::connect(gateway.mqtt, &will));
        }
        // A retained one, on an open topic: flags 0x26 and 0x04 for the will.
        let level = if v5 { 5 } else { 4 };
        let none: &[u8] = if v5 { &[0] } else { &[] };
        let body =
            [b"\0\x04MQTT", &[level, 0x26, 0, 60][..], none, &text("retained"), none, &text("x/r"), &text("gone")];
        let mut raw = Raw::open(gateway.mqtt);
        raw.send(&packet(0x10, &body.concat()));
        assert_eq!(raw.packet().body[..2], [0, 0]);
        drop(raw);
    }
    reader.assert_silent();
    let log = gateway.log();
    let told =
        |client: &str| log.lines().filter(|line| line.contains("a will is not going") && line.contains(client)).count();
    assert_eq!((told("DVES"), told("\"retained\"")), (1, 1), "{log}");
}

#[test]
fn a_token_as_username_was_refused_without_a_hint() {
    let gateway = Gateway::start();
    let mut raw = Raw::open(gateway.mqtt);
    raw.send(&Connect::v5("c", &"t".repeat(300)).bytes());
    let answer = raw.packet();
    assert_eq!(answer.body[1], 0x87);
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(said.contains("300 bytes") && said.contains("255") && said.contains("password"), "{said}");
    wait_for("a line in the log", || {
        let log = gateway.log();
        log.lines().any(|line| line.contains("a CONNECT was refused") && line.contains("300 bytes")).then_some(())
    });
}

/// Half a request head, and half a body.
const SLOW: [&str; 2] = [
    "POST /pap HTTP/1.1\r\nHost: x\r\n",
    "POST /pap HTTP/1.1\r\nHost: x\r\nContent-Type: application/xml\r\nContent-Length: 500\r\n\r\n<pap",
];

#[test]
fn slow_http_clients_kept_all_others_out() {
    for slow in SLOW {
        let gateway = Gateway::start_with("[http]\nmax_connections = 8\n", &[]);
        gateway.http().bind("news", "alice");
        let attackers: Vec<TcpStream> = (0..40)
            .map(|_| {
                let mut stream = TcpStream::connect(gateway.http).unwrap();
                stream.write_all(slow.as_bytes()).unwrap();
                stream
            })
            .collect();
        // Long before any of them has run into a timeout.
        for number in 0..5 {
            gateway.http().push(&format!("p{number}"), "group:news", "in time");
        }
        drop(attackers);
    }
}

#[test]
fn request_bodies_that_never_came_whole_had_no_bound() {
    let gateway = Gateway::start_with("[http]\nmax_under_way = 100_000\n", &[]);
    let begin = || {
        let mut stream = TcpStream::connect(gateway.http).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let head = "POST /pap HTTP/1.1\r\nHost: x\r\nContent-Type: application/xml\r\nContent-Length: 90000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&[b' '; 80_000]).unwrap();
        stream
    };
    let (first, second) = (begin(), begin());
    wait_for("one of them to be turned away", || {
        [&first, &second].into_iter().find_map(|mut stream| {
            stream.set_nonblocking(true).unwrap();
            let mut answer = [0; 4_096];
            let read = stream.read(&mut answer).ok()?;
            let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
            assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("4001"), "{answer}");
            Some(())
        })
    });
}

#[test]
fn connections_over_the_limit_filled_the_log() {
    let gateway = Gateway::start_with("[mqtt]\nmax_connections = 1\n", &[]);
    let _first = Raw::connect(gateway.mqtt, &Connect::v3("a", "a"));
    for _ in 0..50 {
        assert_eq!(Raw::open(gateway.mqtt).try_packet(DEADLINE), None);
    }
    let lines = gateway.log().matches("mqtt.max_connections").count();
    assert!((1..=5).contains(&lines), "{lines} lines");
}

#[test]
fn a_take_over_left_no_line_in_the_log() {
    let gateway = Gateway::start();
    let mut first = Raw::connect(gateway.mqtt, &Connect::v3("twin", "alice"));
    let _second = Raw::connect(gateway.mqtt, &Connect::v3("twin", "alice"));
    first.wait_closed();
    wait_for("a line in the log", || {
        gateway.log().lines().any(|line| line.contains("taken over") && line.contains("twin")).then_some(())
    });
}

#[test]
fn one_address_had_as_many_connections_as_it_liked() {
    let gateway = Gateway::start_with("[mqtt]\nmax_connections_per_address = 3\n", &[]);
    let names = ["a", "b", "c"];
    let mut there: Vec<Raw> = names.iter().map(|name| Raw::connect(gateway.mqtt, &Connect::v5(name, name))).collect();
    let mut fourth = Raw::open(gateway.mqtt);
    fourth.try_send(&Connect::v5("d", "d").bytes());
    assert_eq!(fourth.try_packet(DEADLINE), None);
    wait_for("the line", || gateway.log().contains("mqtt.max_connections_per_address").then_some(()));
    there.pop().unwrap().disconnect();
    wait_for("room", || Raw::connect_if_there(gateway.mqtt, &Connect::v5("d", "d")));
    there[0].ping();
}

#[test]
fn one_address_connected_as_often_as_it_liked() {
    let gateway = Gateway::start_with("[mqtt]\nmax_connects_per_minute = 20\n", &[]);
    let connects = || Raw::connect_if_there(gateway.mqtt, &Connect::v5("a", "a")).is_some();
    let done = (0..40).filter(|_| connects()).count();
    // A bucket of 20 is filled again while the test runs: one each three seconds.
    assert!((20..40).contains(&done), "{done}");
    assert!(gateway.log().contains("mqtt.max_connects_per_minute"), "{}", gateway.log());
}

#[test]
fn one_user_had_as_many_connections_as_he_liked() {
    let gateway = Gateway::start_with("[mqtt]\nmax_connections_per_user = 2\n", &[]);
    let mut first = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    let _second = Raw::connect(gateway.mqtt, &Connect::v5("b", "alice"));
    let (_, _, code) = Raw::try_connect(gateway.mqtt, &Connect::v5("c", "alice"));
    assert_eq!(code, 0x97);
    // Who comes back is not one more.
    let _again = Raw::connect(gateway.mqtt, &Connect::v5("b", "alice"));
    Raw::connect(gateway.mqtt, &Connect::v5("d", "bob")).disconnect();
    first.ping();
}

#[test]
fn group_requests_came_as_often_as_one_liked() {
    let gateway = Gateway::start_with("[mqtt]\nmax_requests_per_minute = 5\n", &[]);
    let mut raw = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    for _ in 0..5 {
        assert_eq!(raw.request("$push/list", "")["status"], "accepted");
    }
    let refused = raw.request("$push/request", r#"{"op":"list","id":"7"}"#);
    assert_eq!((refused["reason"].as_str(), refused["id"].as_str()), (Some("limit-reached"), Some("7")));
    let mut other = Raw::connect(gateway.mqtt, &Connect::v5("b", "bob"));
    assert_eq!(other.request("$push/list", "")["status"], "accepted");
}

#[test]
fn requests_over_http_came_as_often_as_one_liked() {
    let gateway = Gateway::start_with("[http]\nmax_requests_per_second = 3\n", &[]);
    let refused =
        wait_for("a refusal", || Some(gateway.http().get("/api/v1/groups")).filter(|reply| reply.status != 200));
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{refused:?}");
    let pap = wait_for("a refusal in PAP", || {
        let pap = crate::common::http::Pap::new("p1").to("group:nobody");
        Some(gateway.http().pap(&pap)).filter(|reply| reply.status == 429)
    });
    assert_eq!(pap.pap_code(), 4001);
    // Another caller is another one, and who only looks whether it lives is not counted.
    let other = gateway.http().basic("other", "x");
    assert_eq!(other.get("/api/v1/groups").status, 200);
    (0..10).for_each(|_| assert_eq!(gateway.http().get("/healthz").status, 200));
}
