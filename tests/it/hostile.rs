//! Bad input gets its answer, and nobody else notices.

use std::io::Write;
use std::net::TcpStream;

use crate::common::http::Pap;
use crate::common::mqtt::{Connect, Raw, packet, text};
use crate::common::{DEADLINE, Gateway};

/// A bystander that must not be disturbed by anything.
struct Bystander {
    terminal: Raw,
    pushes: u32,
}

impl Bystander {
    fn new(gateway: &Gateway) -> Self {
        let mut terminal = Raw::connect(gateway.mqtt, &Connect::v3("bystander", "bystander"));
        terminal.join("calm");
        Self { terminal, pushes: 0 }
    }

    fn check(&mut self, gateway: &Gateway) {
        self.pushes += 1;
        gateway.http().push(&format!("calm-{}", self.pushes), "group:calm", "still here");
        assert_eq!(self.terminal.push().text(), "still here");
    }
}

#[test]
fn malformed_packets_end_their_own_connection_only() {
    let gateway = Gateway::start();
    let mut bystander = Bystander::new(&gateway);
    let bad: Vec<Vec<u8>> = vec![
        vec![0x00, 0x00],
        vec![0xF0, 0x00],
        vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        vec![0x30, 0x01, 0x00],
        packet(0x30, &[0xFF, 0xFF, b'a']),
        packet(0x36, &[&text("t")[..], &[0, 1]].concat()),
        packet(0x32, &[&text("t")[..], &[0, 0]].concat()),
        packet(0x30, &[0, 2, 0xC3, 0x28]),
        packet(0x80, &[0, 1, 0, 1, b'a', 0]),
        packet(0x82, &[0, 1]),
        packet(0x82, &[&[0, 1][..], &text("a"), &[3]].concat()),
        packet(0x82, &[0, 0, 0, 1, b'a', 0]),
        packet(0xA0, &[0, 1, 0, 1, b'a']),
        packet(0xA2, &[0, 1]),
        packet(0x40, &[0]),
        packet(0x62, &[]),
        packet(0x10, b"\0\x04MQTT\x04\x02\0\0\0\x01c"),
        packet(0x90, &[0, 1, 0]),
        packet(0x38, &text("t")),
        packet(0xC0, b"a"),
        vec![0xC0, 0x80, 0x00],
    ];
    for v5 in [false, true] {
        for bytes in &bad {
            let mut raw = Raw::connect(gateway.mqtt, &Connect { v5, ..Connect::v3("bad", "bad") });
            raw.try_send(bytes);
            raw.wait_closed();
        }
    }
    bystander.check(&gateway);
}

#[test]
fn packets_larger_than_the_limit_are_refused_before_they_are_read() {
    let gateway = Gateway::start_with("[mqtt]\nmax_packet = 10000\n", &[]);
    let mut bystander = Bystander::new(&gateway);
    let mut raw = Raw::connect(gateway.mqtt, &Connect::v5("big", "u"));
    raw.send(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
    assert_eq!(raw.wait_closed(), Some(0x95));
    let mut first = Raw::open(gateway.mqtt);
    first.send(&[0x10, 0xFF, 0xFF, 0xFF, 0x7F]);
    first.wait_closed();
    bystander.check(&gateway);
}

/// design.md: bytes that a router of rumqttd does not survive never reach it.
#[test]
fn topics_that_the_router_chokes_on_never_reach_it() {
    let toml = "[[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"\u{e9}/#\", \"open/#\", \"/#\"]\n";
    let gateway = Gateway::start_with(toml, &[]);
    let mut bystander = Bystander::new(&gateway);
    let mut reader = Raw::connect(gateway.mqtt, &Connect::v5("r", "r"));
    assert_eq!(reader.subscribe(&[("\u{e9}/x", 1), ("open/\u{1F4E8}", 1), ("/", 1)]), [1, 1, 1]);
    for topic in ["\u{e9}/x", "open/\u{1F4E8}", "/"] {
        let mut writer = Raw::connect(gateway.mqtt, &Connect::v5("w", "w"));
        writer.publish(topic, 1, b"x");
        writer.expect(4);
        assert_eq!(reader.push().topic, topic);
    }
    for topic in ["\u{e9}y", "$share/g/x", "$SYS", " ", "groups/\u{e9}"] {
        let mut raw = Raw::connect(gateway.mqtt, &Connect::v5("x", "x"));
        raw.publish(topic, 1, b"x");
        raw.expect(4);
        raw.subscribe(&[(topic, 1)]);
        raw.ping();
    }
    for odd in ["\u{e9}", "a/b", "#", "+", "$x", "%"] {
        let mut raw = Raw::connect(gateway.mqtt, &Connect::v3(odd, odd));
        let mut again = Raw::connect(gateway.mqtt, &Connect::v3(odd, odd));
        raw.wait_closed();
        again.request("$push/request", &serde_json::json!({"op":"join","group":odd}).to_string());
        gateway.http().push(&format!("p-{odd}"), &format!("group:{odd}"), "fine");
        assert_eq!(again.push().text(), "fine");
    }
    bystander.check(&gateway);
}

#[test]
fn a_shared_subscription_left_with_unanswered_messages_harms_nobody() {
    let gateway = Gateway::start();
    let mut bystander = Bystander::new(&gateway);
    let mut raw = Raw::connect(gateway.mqtt, &Connect::v3("s", "s").lasting());
    assert_eq!(raw.subscribe(&[("$share/g/groups/calm", 1)]), [0x80]);
    gateway.http().push("p1", "group:calm", "x");
    assert_eq!(bystander.terminal.push().text(), "x");
    drop(raw);
    bystander.check(&gateway);
}

#[test]
fn acknowledgements_that_nobody_asked_for_are_ignored() {
    let gateway = Gateway::start();
    let mut raw = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    raw.join("news");
    for id in [1_u16, 7, 65_535] {
        raw.puback(id);
        raw.send(&packet(0x70, &id.to_be_bytes()));
    }
    raw.send(&packet(0x50, &[0, 1]));
    assert_eq!(raw.expect(6).body[..2], [0, 1], "PUBREL");
    gateway.http().push("p1", "group:news", "1");
    let push = raw.publish_in();
    raw.puback(push.id);
    raw.puback(push.id);
    raw.ping();
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
}

#[test]
fn more_unanswered_qos_2_publishes_than_announced_end_the_connection() {
    let gateway = Gateway::start();
    let mut raw = Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    for _ in 0..65 {
        raw.publish("$push/list", 2, b"");
    }
    assert_eq!(raw.wait_closed(), Some(0x93));
}

#[test]
fn a_flood_of_requests_from_who_reads_nothing_is_bounded() {
    let gateway = Gateway::start();
    let mut bystander = Bystander::new(&gateway);
    let mut flood = TcpStream::connect(gateway.mqtt).unwrap();
    flood.set_write_timeout(Some(crate::common::SILENCE)).unwrap();
    flood.write_all(&Connect::v3("flood", "flood").bytes()).unwrap();
    let pings = [0xC0_u8, 0].repeat(512 * 1024);
    // The gateway stops reading: at some point the socket takes no more.
    let mut stopped = false;
    for _ in 0..64 {
        if flood.write_all(&pings).is_err() {
            stopped = true;
            break;
        }
    }
    assert!(stopped, "64 MiB of requests were read although no answer was");
    bystander.check(&gateway);
}

#[test]
fn thousands_of_connections_that_send_nothing_are_closed_and_disturb_nobody() {
    let gateway = Gateway::start_with("[mqtt]\nconnect_timeout = \"3s\"\n[http]\nheader_timeout = \"3s\"\n", &[]);
    let mut bystander = Bystander::new(&gateway);
    // 10,000 together: the harness needs file descriptors for its own ends too.
    rlimit::increase_nofile_limit(12_000).unwrap();
    let mut idle: Vec<TcpStream> = (0..9_500).map(|_| TcpStream::connect(gateway.mqtt).unwrap()).collect();
    let web: Vec<TcpStream> = (0..500).map(|_| TcpStream::connect(gateway.http).unwrap()).collect();
    bystander.check(&gateway);
    for stream in idle.iter_mut().rev().take(50).chain(&mut web.into_iter().take(5).collect::<Vec<_>>()) {
        use std::io::Read;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }
    bystander.check(&gateway);
}

#[test]
fn more_connections_than_allowed_are_turned_away() {
    let gateway = Gateway::start_with("[mqtt]\nmax_connections = 2\n", &[]);
    let one = Raw::connect(gateway.mqtt, &Connect::v3("1", "u"));
    let mut two = Raw::connect(gateway.mqtt, &Connect::v3("2", "u"));
    let mut three = Raw::open(gateway.mqtt);
    three.try_send(&Connect::v3("3", "u").bytes());
    three.wait_closed();
    two.ping();
    drop(one);
    crate::common::wait_for("a place to be free", || {
        let mut raw = Raw::open(gateway.mqtt);
        raw.try_send(&Connect::v3("3", "u").bytes()).then(|| raw.try_packet(DEADLINE)).flatten()
    });
}

#[test]
fn http_that_is_none_and_http_that_is_slow() {
    let gateway = Gateway::start_with("[http]\nbody_timeout = \"1s\"\n", &[]);
    let mut bystander = Bystander::new(&gateway);
    let http = gateway.http();
    for request in
        [&b"\0\0\0\0\r\n\r\n"[..], b"GET\r\n\r\n", b"POST /pap HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n"]
    {
        assert_eq!(http.raw(request).status, 400);
    }
    let reply = http.raw(b"POST /pap HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/xml\r\nContent-Length: 100\r\n\r\n<pap");
    assert_eq!(reply.status, 408, "a body that does not come");
    let bomb = Pap::new("p").to(&"&#65;".repeat(3_000)).control();
    assert_eq!(http.send("POST", "/pap", "application/xml", bomb.as_bytes()).pap_code(), 2000);
    bystander.check(&gateway);
}

#[test]
fn one_client_that_always_talked_kept_its_worker_from_everybody_else() {
    let gateway = Gateway::start_with("[mqtt]\nworkers = 1\n", &[]);
    let mut bystander = Bystander::new(&gateway);
    let at = gateway.mqtt;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let flood = std::thread::spawn(move || {
        let mut raw = Raw::connect(at, &Connect::v3("talker", "talker"));
        let acks = packet(0x40, &[0, 9]).repeat(50_000);
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) && raw.try_send(&acks) {}
    });
    for _ in 0..10 {
        bystander.check(&gateway);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    flood.join().unwrap();
}

/// The most memory that the gateway has ever had resident, in MiB.
fn peak(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Waits until the gateway has done all that it does by itself: in 50 looks one after the other it was hardly at work.
fn wait_until_at_rest(gateway: &Gateway) {
    // User and system time in hundredths of a second; the name before them has no blanks.
    let worked = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.pid())).unwrap();
        stat.split_whitespace().skip(13).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    };
    let (mut start, mut looks) = (worked(), 0);
    crate::common::wait_for("the gateway to be at rest", || {
        let now = worked();
        (start, looks) = if now > start + 5 { (now, 0) } else { (start, looks + 1) };
        (looks >= 50).then_some(())
    });
}

#[test]
fn a_few_kilobytes_of_requests_made_the_gateway_hold_hundreds_of_megabytes() {
    let gateway = Gateway::start();
    let mut raw = Raw::connect(gateway.mqtt, &Connect::v3("lister", "lister"));
    for n in 0..150 {
        raw.join(&format!("{}{n}", "%C3%A9".repeat(60)));
    }
    let before = peak(&gateway);
    let requests = packet(0x30, &text("$push/list")).repeat(4_000);
    raw.try_send(&requests);
    Raw::connect(gateway.mqtt, &Connect::v3("other", "other")).ping();
    // Each answer has some 130 KB; all of them would be half a gigabyte.
    wait_until_at_rest(&gateway);
    let grown = peak(&gateway) - before;
    assert!(grown < 60, "grown by {grown} MiB");
}

#[test]
fn one_connection_that_could_not_be_accepted_was_the_end_of_http() {
    let gateway = Gateway::start();
    let open = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count();
    let limit = |files: &str| {
        let status = std::process::Command::new("prlimit")
            .args(["--pid", &gateway.pid().to_string(), &format!("--nofile={files}:")])
            .status();
        assert!(status.unwrap().success());
    };
    limit(&(open - 1).to_string());
    let waiting = std::net::TcpStream::connect(gateway.http).unwrap();
    crate::common::wait_for("a connection to be refused", || {
        gateway.log().contains("an HTTP connection could not be accepted").then_some(())
    });
    limit("4096");
    drop(waiting);
    assert_eq!(gateway.http().get("/readyz").status, 200);
}

#[test]
fn one_subscribe_with_very_many_filters_is_answered_and_can_be_interrupted() {
    let mut gateway = Gateway::start();
    let mut raw = Raw::connect(gateway.mqtt, &Connect::v3("many", "many"));
    let filters: Vec<(&str, u8)> = vec![("groups/same", 0); 20_000];
    let codes = raw.subscribe(&filters);
    assert_eq!((codes.len(), codes[0], codes[19_999]), (20_000, 0, 0x80));
    assert_eq!(gateway.terminate().code(), Some(0));
}
