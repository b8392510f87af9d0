//! What clients do to others: while one kind of attack lasts, a well-behaved terminal gets a push every second, and its worst delay
//! is printed, as a table. Fails where a push is missing, or comes later than [`LIMIT`].
//!
//! ```text
//! cargo test --release --test attacks
//! ```
//!
//! The gateway asks for tokens and has TLS, as on a network. Some attackers have a token of their own.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::http::{Client, Pap};
use common::mqtt::{Connect, Raw, packet, text};
use common::{Gateway, PAPCAST, papcast};

/// A push that comes later than this has been kept away.
const LIMIT: Duration = Duration::from_secs(10);
/// How long each attack lasts: some pushes long.
const LASTS: Duration = Duration::from_secs(4);
const EACH: Duration = Duration::from_secs(1);
/// Threads of an attack.
const THREADS: usize = 4;

/// What an attacker has: addresses, and a token of its own as `mallory`.
struct Target {
    gateway: Gateway,
    mqtts: SocketAddr,
    mallory: String,
    stop: AtomicBool,
    /// Things that the attackers did.
    count: AtomicUsize,
}

impl Target {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn did(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn connect<'a>(&'a self, client: &'a str) -> Connect<'a> {
        Connect::v5(client, "mallory").password(&self.mallory)
    }

    fn session(&self, client: &str) -> Option<Raw> {
        Raw::connect_if_there(self.gateway.mqtt, &self.connect(client))
    }
}

type Attack = fn(&Target, usize);

/// Each of them is run by some threads, which have a number.
const ATTACKS: &[(&str, Attack)] = &[
    ("nothing", |target, _| while_it_lasts(target, || std::thread::sleep(Duration::from_millis(50)))),
    ("CONNECT, a byte every 100 ms, 800 at a time", |target, _| {
        drip(target, target.gateway.mqtt, 200, &Connect::v5("slow", "x").bytes());
    }),
    ("TLS handshakes that stop, 800 at a time", |target, _| {
        drip(target, target.mqtts, 200, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    }),
    ("HTTP heads, a byte every 100 ms, 800 at a time", |target, _| {
        drip(target, target.gateway.http, 200, b"GET /healthz HTTP/1.1\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    }),
    ("HTTP bodies that do not end, 400 at a time", |target, _| {
        let head = b"POST /pap HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx";
        drip(target, target.gateway.http, 100, head);
    }),
    ("connections opened and closed without a word", |target, _| {
        while_it_lasts(target, || drop(TcpStream::connect(target.gateway.mqtt)));
    }),
    ("sign-ins with wrong tokens, over MQTT and HTTP", |target, thread| {
        while_it_lasts(target, || {
            let guess = format!("guess-{thread}-{}", target.count.load(Ordering::Relaxed));
            if thread % 2 == 0 {
                let connect = Connect::v5("guesser", "good").password(&guess);
                // Nobody waits for the answer: it takes longer each time.
                send(target.gateway.mqtt, &connect.bytes());
            } else {
                let head = format!("GET /api/v1/groups HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {guess}\r\n\r\n");
                send(target.gateway.http, head.as_bytes());
            }
        });
    }),
    ("packets of which half comes, 200 at a time", |target, thread| {
        let half = [&[0x30, 0x80, 0x80, 0x20][..], &text("x"), &[0], &[b'x'; 50_000]].concat();
        let name = |n: usize| format!("half-{thread}-{n}");
        let mut held: Vec<Raw> = (0..50).filter_map(|n| target.session(&name(n))).collect();
        held.retain_mut(|raw| raw.try_send(&half));
        while_it_lasts(target, || std::thread::sleep(Duration::from_millis(50)));
    }),
    ("lengths of 256 MB, before and after the CONNECT", |target, thread| {
        let giant = [0x30, 0xFF, 0xFF, 0xFF, 0x7F];
        while_it_lasts(target, || {
            send(target.gateway.mqtt, &[0x10, 0xFF, 0xFF, 0xFF, 0x7F]);
            if let Some(mut raw) = target.session(&format!("giant-{thread}")) {
                raw.try_send(&giant);
            }
        });
    }),
    ("topics and client ids that are no UTF-8", |target, thread| {
        let publish = packet(0x30, b"\0\x03a\xFF\xFE\0x");
        let connect = packet(0x10, b"\0\x04MQTT\x05\x02\0\0\0\0\x02\xFF\xFE");
        while_it_lasts(target, || {
            send(target.gateway.mqtt, &connect);
            if let Some(mut raw) = target.session(&format!("utf-{thread}")) {
                raw.try_send(&publish);
            }
        });
    }),
    ("topic aliases that were never given", |target, thread| {
        // Topic Alias 0, and 65,535, with an empty topic.
        while_it_lasts(target, || {
            for alias in [[0x23, 0, 0], [0x23, 0xFF, 0xFF]] {
                if let Some(mut raw) = target.session(&format!("alias-{thread}")) {
                    raw.try_send(&packet(0x30, &[&[0, 0, 3][..], &alias, b"x"].concat()));
                }
            }
        });
    }),
    ("the same packet id again and again, at QoS 2", |target, thread| {
        let publish = packet(0x34, &[&text("x/y")[..], &[0, 7, 0], b"x"].concat()).repeat(500);
        one_session(target, &format!("id-{thread}"), |raw| raw.try_send(&publish) && drain(raw));
    }),
    ("SUBSCRIBE and UNSUBSCRIBE without a pause", |target, thread| {
        let many: Vec<u8> = (0..50).flat_map(|n| [&text(&format!("x/{n}"))[..], &[0]].concat()).collect();
        let subscribe = packet(0x82, &[&[0, 9, 0][..], &many].concat());
        let unsubscribe = packet(0xA2, &[&[0, 9, 0][..], &text("x/1")].concat());
        let both = [subscribe, unsubscribe].concat().repeat(20);
        one_session(target, &format!("sub-{thread}"), |raw| raw.try_send(&both) && drain(raw));
    }),
    ("joins of ever new groups without a pause", |target, thread| {
        let mut n = 0;
        one_session(target, &format!("join-{thread}"), |raw| {
            n += 1;
            let join =
                |at: usize| packet(0x30, &[&text(&format!("$push/join/a-{thread}-{n}-{at}"))[..], &[0]].concat());
            raw.try_send(&(0..50).flat_map(join).collect::<Vec<u8>>()) && drain(raw)
        });
    }),
    ("one client id that all want", |target, _| {
        while_it_lasts(target, || drop(target.session("war")));
    }),
    ("members that never read, of a group that gets 10 MB a second", |target, thread| {
        let held: Vec<Raw> = (0..25)
            .filter_map(|n| {
                let mut raw = target.session(&format!("deaf-{thread}-{n}"))?;
                raw.try_send(&packet(0x30, &[&text("$push/join/good")[..], &[0]].concat()));
                Some(raw)
            })
            .collect();
        while_it_lasts(target, || std::thread::sleep(Duration::from_millis(50)));
        drop(held);
    }),
    ("publishes to topics that are not theirs", |target, thread| {
        let publish = packet(0x30, &[&text("groups/good")[..], &[0], b"x"].concat()).repeat(1_000);
        one_session(target, &format!("pub-{thread}"), |raw| raw.try_send(&publish) && drain(raw));
    }),
    ("WebSocket pings without a pause", |target, _| {
        let upgrade = b"GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
        let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(10_000);
        while_it_lasts(target, || {
            let Ok(mut stream) = TcpStream::connect(target.gateway.http) else { return };
            let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
            let _ = stream.write_all(upgrade);
            while target.goes_on() && stream.write_all(&pings).is_ok() {
                target.did();
            }
        });
    }),
    ("PAP requests of 1 MB that are no XML", |target, _| {
        let body = "<a ".repeat(300_000);
        let head = format!("POST /pap HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        let request = [head.as_bytes(), body.as_bytes()].concat();
        while_it_lasts(target, || send(target.gateway.http, &request));
    }),
];

fn while_it_lasts(target: &Target, mut act: impl FnMut()) {
    while target.goes_on() {
        act();
        target.did();
    }
}

/// Sends and goes away, without waiting for anything.
fn send(at: SocketAddr, bytes: &[u8]) {
    let Ok(mut stream) = TcpStream::connect(at) else { return };
    let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
    let _ = stream.write_all(bytes);
}

/// So many connections that say one byte after the other, and begin anew where they are closed.
fn drip(target: &Target, at: SocketAddr, count: usize, bytes: &[u8]) {
    let open = || Some((TcpStream::connect(at).ok()?, 0));
    let mut held: Vec<(TcpStream, usize)> = (0..count).filter_map(|_| open()).collect();
    while target.goes_on() {
        for slot in &mut held {
            let next = &bytes[slot.1.min(bytes.len() - 1)..][..1];
            if slot.0.write_all(next).is_err()
                && let Some(fresh) = open()
            {
                *slot = fresh;
            }
            slot.1 += 1;
            target.did();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Does something again and again on one connection, and on a new one where that has ended.
fn one_session(target: &Target, client: &str, mut act: impl FnMut(&mut Raw) -> bool) {
    let mut held = None;
    while target.goes_on() {
        let Some(raw) = held.as_mut() else {
            held = target.session(client);
            continue;
        };
        if !act(raw) {
            held = None;
        }
        target.did();
    }
}

/// Takes what has come; `false` where the connection has ended.
fn drain(raw: &mut Raw) -> bool {
    let mut scratch = [0; 65_536];
    raw.read_some(&mut scratch, Duration::from_millis(5))
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn file(&self, name: &str) -> String {
        self.0.path().join("c").join(name).to_str().unwrap().to_owned()
    }
}

fn start() -> (Target, Client, Raw, Folder) {
    let folder = Folder(tempfile::tempdir().unwrap());
    assert_eq!(papcast(&["tls", "self-signed", folder.0.path().join("c").to_str().unwrap()]).code, Some(0));
    let settings = format!(
        "auth.mode = \"required\"\nhttp.tls_listen = \"127.0.0.1:0\"\nmqtt.tls_listen = \"127.0.0.1:0\"\n\
         [tls]\ncert = {:?}\nkey = {:?}\n[[acl]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"x/#\"]\n",
        folder.file("server.pem"),
        folder.file("server-key.pem")
    );
    let gateway = Gateway::start_with(&settings, &[]);
    let add = |kind: &str, name: &str| {
        let made = std::process::Command::new(PAPCAST)
            .args([kind, "add", name, "--json", "--config", "broker.toml"])
            .current_dir(gateway.dir.path())
            .output()
            .unwrap();
        let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
        made["token"].as_str().unwrap().to_owned()
    };
    let initiator = gateway.http().basic("press", &add("initiator", "press"));
    let (good, mallory) = (add("device", "good"), add("device", "mallory"));
    let mut terminal = Raw::connect(gateway.mqtt, &Connect::v5("good", "good").password(&good));
    terminal.join("good");
    let mqtts = gateway.address("mqtts");
    let target = Target { gateway, mqtts, mallory, stop: AtomicBool::new(false), count: AtomicUsize::new(0) };
    (target, initiator, terminal, folder)
}

/// A push every second while the attack lasts; answers the worst time from its post to its arrival.
fn suffer(target: &Target, initiator: Client, terminal: &mut Raw, large: bool) -> Duration {
    let (begin, mut worst, mut n) = (Instant::now(), Duration::ZERO, 0);
    while begin.elapsed() < LASTS {
        let at = Instant::now();
        let id = format!("p{n}");
        let text = if large { format!("{id} {}", "x".repeat(100_000)) } else { id.clone() };
        let reply = initiator.pap(&Pap::new(&id).to("group:good").text(&text));
        assert_eq!(reply.pap_code(), 1001, "{reply:?}");
        let push = terminal.push();
        assert_eq!(push.text(), text, "in order, and none is missing");
        worst = worst.max(at.elapsed());
        n += 1;
        std::thread::sleep(EACH.saturating_sub(at.elapsed()));
    }
    target.stop.store(true, Ordering::Relaxed);
    worst
}

fn run(name: &str, attack: Attack) -> (Duration, usize) {
    let (target, initiator, mut terminal, _folder) = start();
    let worst = std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let target = &target;
            scope.spawn(move || attack(target, thread));
        }
        suffer(&target, initiator, &mut terminal, name.contains("never read"))
    });
    // It is all there, and whoever behaves is served by every door.
    terminal.ping();
    assert_eq!(target.gateway.http().get("/healthz").status, 200, "{name}");
    (worst, target.count.load(Ordering::Relaxed))
}

#[test]
fn a_well_behaved_terminal_gets_its_pushes_whatever_others_do() {
    let _ = rlimit::increase_nofile_limit(8_192);
    let mut table = String::from("| what others do | how often | worst delay |\n| --- | --- | --- |\n");
    let mut late = Vec::new();
    for (name, attack) in ATTACKS {
        let (worst, count) = run(name, *attack);
        table += &format!("| {name} | {count} | {} ms |\n", worst.as_millis());
        if worst > LIMIT {
            late.push(*name);
        }
    }
    // What tests print is hidden.
    let _ = write!(std::io::stderr(), "{table}");
    assert!(late.is_empty(), "pushes were kept away by: {late:?}");
}
