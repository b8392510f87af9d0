//! MQTT over WebSocket: raw frames, paho-mqtt and MQTT.js, with and without TLS.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use super::tls::Certificates;
use crate::common::mqtt::{Connect, text};
use crate::common::{DEADLINE, Gateway, Lines, skip};

/// RFC 6455 §1.3: the key and its answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ANSWER: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A client that speaks in bytes.
struct Raw(TcpStream);

impl Raw {
    /// Asks for WebSocket; answers the head of the answer.
    fn ask(at: SocketAddr, path: &str, headers: &str) -> (Self, String) {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
            head.push(byte[0]);
        }
        (Self(stream), String::from_utf8(head).unwrap())
    }

    fn open(at: SocketAddr, path: &str) -> Self {
        let headers = format!(
            "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\nSec-WebSocket-Key: {KEY}\r\n"
        );
        let (raw, head) = Self::ask(at, path, &headers);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("sec-websocket-protocol: mqtt\r\n"), "{head}");
        assert!(head.contains(&format!("sec-websocket-accept: {}\r\n", ANSWER.to_ascii_lowercase())), "{head}");
        raw
    }

    /// Masked, as clients have to (RFC 6455 §5.3).
    fn frame(&mut self, opcode: u8, payload: &[u8]) {
        let mask = [7, 77, 177, 27];
        let mut frame = vec![0x80 | opcode];
        match u16::try_from(payload.len()).unwrap() {
            short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
            long => {
                frame.push(0x80 | 126);
                frame.extend(long.to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.0.write_all(&frame).unwrap();
    }

    fn read(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let length = match head[1] {
            126 => {
                let mut long = [0; 2];
                self.0.read_exact(&mut long).unwrap();
                usize::from(u16::from_be_bytes(long))
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).unwrap();
        (head[0], payload)
    }
}

const BINARY: u8 = 2;

#[test]
fn packets_come_in_frames_of_any_size() {
    let gateway = Gateway::start_with("mqtt.ws_listen = \"127.0.0.1:0\"\n", &[]);
    for (at, path) in [(gateway.http, "/mqtt"), (gateway.address("ws"), "/mqtt"), (gateway.address("ws"), "/")] {
        let mut raw = Raw::open(at, path);
        let connect = Connect::v3("c", "alice").bytes();
        // One packet in many frames, and two in one.
        connect.chunks(3).for_each(|part| raw.frame(BINARY, part));
        assert_eq!(raw.read(), (0x82, vec![0x20, 2, 0, 0]));
        raw.frame(BINARY, &[0xC0, 0, 0xC0, 0]);
        assert_eq!([raw.read(), raw.read()], [(0x82, vec![0xD0, 0]), (0x82, vec![0xD0, 0])]);
        // A ping of WebSocket itself.
        raw.frame(9, b"there?");
        assert_eq!(raw.read(), (0x8A, b"there?".to_vec()));
        // MQTT 5.0 §6.0: other frames than binary ones end the connection.
        raw.frame(1, &[0xC0, 0]);
        let mut rest = Vec::new();
        let _ = raw.0.read_to_end(&mut rest);
        assert!(rest.len() < 16, "{rest:?}");
    }
    // What comes right behind the request is not lost.
    let mut stream = TcpStream::connect(gateway.http).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut all = format!(
        "GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
    .into_bytes();
    let connect = Connect::v3("d", "bob").bytes();
    all.extend([0x82, 0x80 | u8::try_from(connect.len()).unwrap(), 0, 0, 0, 0]);
    all.extend(&connect);
    stream.write_all(&all).unwrap();
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(&[0x82, 4, 0x20, 2, 0, 0]) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
}

#[test]
fn a_request_that_is_no_websocket_is_told_what_is_missing() {
    let gateway = Gateway::start();
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let key = format!("Sec-WebSocket-Key: {KEY}\r\n");
    for (headers, status) in [
        (String::new(), "426"),
        (format!("{upgrade}{key}Sec-WebSocket-Protocol: mqtt\r\n"), "400"),
        (format!("{upgrade}{key}Sec-WebSocket-Version: 13\r\n"), "400"),
        (format!("{upgrade}{key}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n"), "400"),
        (
            format!("{upgrade}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: x\r\n"),
            "400",
        ),
    ] {
        let (_, head) = Raw::ask(gateway.http, "/mqtt", &headers);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{headers}{head}");
    }
    let mut raw = Raw::open(gateway.http, "/mqtt");
    // Longer than a packet may be: RFC 6455 §5.2, 64 bits of length.
    raw.0.write_all(&[0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]).unwrap();
    let mut rest = Vec::new();
    let _ = raw.0.read_to_end(&mut rest);
    assert_eq!(gateway.http().get("/healthz").status, 200);
}

#[test]
fn a_large_push_and_its_acknowledgement_go_through() {
    let gateway = Gateway::start();
    let mut raw = Raw::open(gateway.http, "/mqtt");
    raw.frame(BINARY, &Connect::v3("c", "alice").bytes());
    raw.read();
    let mut subscribe = vec![0, 1];
    subscribe.extend(text("groups/news"));
    subscribe.push(1);
    raw.frame(BINARY, &crate::common::mqtt::packet(0x82, &subscribe));
    assert_eq!(raw.read().1, [0x90, 3, 0, 1, 1]);
    gateway.http().push("p1", "group:news", &"x".repeat(200_000));
    // More than is framed ahead: several frames.
    let mut got = Vec::new();
    while got.len() < 200_000 + 2 + 11 + 2 + 4 {
        let mut head = [0; 2];
        raw.0.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 0x82);
        let mut length = vec![
            0;
            match head[1] {
                126 => 2,
                127 => 8,
                _ => 0,
            }
        ];
        raw.0.read_exact(&mut length).unwrap();
        let long = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        let mut payload = vec![0; if length.is_empty() { usize::from(head[1]) } else { long }];
        raw.0.read_exact(&mut payload).unwrap();
        got.extend(payload);
    }
    let at = 4 + 2 + 11;
    raw.frame(BINARY, &[0x40, 2, got[at], got[at + 1]]);
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
}

#[test]
fn pings_without_end_kept_the_others_from_everything() {
    let gateway = Gateway::start_with("mqtt.workers = 1\nmqtt.connect_timeout = \"2s\"\n", &[]);
    let mut terminal = crate::common::mqtt::Raw::connect(gateway.mqtt, &Connect::v5("a", "alice"));
    terminal.join("news");
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let mut raw = Raw::open(gateway.http, "/mqtt");
            std::thread::spawn(move || {
                // 10,000 pings at a time, whose answers nobody reads; until it is sent away.
                let pings = [0x89, 0x80, 0, 0, 0, 0].repeat(10_000);
                while raw.0.write_all(&pings).is_ok() {}
            })
        })
        .collect();
    for number in 0..20 {
        gateway.http().push(&format!("p{number}"), "group:news", "still there");
        assert_eq!(terminal.push().text(), "still there");
    }
    // Who never says CONNECT is sent away, however much else he says.
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    terminal.ping();
}

#[test]
fn a_page_of_another_host_acted_for_whoever_looked_at_it() {
    let open = Gateway::start();
    let required = Gateway::start_with("auth.mode = \"required\"\n", &[]);
    let ask = |gateway: &Gateway, origin: &str| {
        let headers = format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\
             Sec-WebSocket-Key: {KEY}\r\nOrigin: {origin}\r\n"
        );
        Raw::ask(gateway.http, "/mqtt", &headers).1[9..12].to_owned()
    };
    // The requests go to the host \"x\".
    for (origin, expected) in
        [("http://x", "101"), ("https://X:3000", "101"), ("http://evil.example", "403"), ("null", "403")]
    {
        assert_eq!(ask(&open, origin), expected, "{origin}");
        assert_eq!(ask(&required, origin), "101", "a token is asked for: {origin}");
    }
}

#[test]
fn passwords_were_in_the_log_of_frames() {
    let gateway = Gateway::start_with("log.level = \"trace\"\n", &[]);
    let mut raw = Raw::open(gateway.http, "/mqtt");
    raw.frame(BINARY, &Connect::v3("c", "alice").password("a-planted-password").bytes());
    raw.read();
    let log = gateway.log();
    assert!(!log.contains("a-planted-password"), "{log}");
    let hex: String = b"a-planted-password".iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!log.to_lowercase().contains(&hex), "{log}");
}

/// Runs a program that subscribes and prints what arrives, in a language of its users, until it has a push.
fn gets_a_push(gateway: &Gateway, url: &str, version: &str, command: &mut Command) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = Lines::of(child.stdout.take().unwrap());
    assert_eq!(lines.next(), "subscribed", "{url}");
    let id = format!("{url} {version}").replace(['/', ':'], "-");
    gateway.http().push(&id, "group:news", &id);
    assert_eq!(lines.next(), id);
    gateway.http().wait_outcome(&id, "delivered", "1 of 1");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn with_both_ports(test: impl Fn(&Gateway, &str, Option<&str>)) {
    let certificates = Certificates::make();
    let gateway =
        Gateway::start_with(&format!("mqtt.wss_listen = \"127.0.0.1:0\"\n{}", certificates.settings("")), &[]);
    let ca = certificates.file("ca.pem");
    test(&gateway, &format!("ws://localhost:{}/mqtt", gateway.http.port()), None);
    test(&gateway, &format!("wss://localhost:{}/mqtt", gateway.address("wss").port()), Some(&ca));
    test(&gateway, &format!("wss://localhost:{}/mqtt", gateway.address("https").port()), Some(&ca));
}

#[test]
fn paho_gets_pushes_over_websocket_in_both_versions() {
    if !super::examples::has_paho() {
        return;
    }
    let code = r#"
import sys, paho.mqtt.client as mqtt
port, ca, version = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho", transport="websockets", protocol=version)
client.username_pw_set("alice")
client.ws_set_options(path="/mqtt")
if ca: client.tls_set(ca_certs=ca)
client.on_connect = lambda client, *_: client.subscribe("groups/news", 1)
client.on_subscribe = lambda *_: print("subscribed", flush=True)
client.on_message = lambda client, data, message: print(message.payload.decode(), flush=True)
client.connect("localhost", port)
client.loop_forever()
"#;
    with_both_ports(|gateway, url, ca| {
        let port = url.rsplit_once(':').unwrap().1.trim_end_matches("/mqtt");
        for version in ["4", "5"] {
            let mut command = Command::new("python3");
            gets_a_push(gateway, url, version, command.args(["-c", code, port, ca.unwrap_or(""), version]));
        }
    });
}

pub(crate) fn has_mqtt_js() -> bool {
    let has = Command::new("node").args(["-e", "require('mqtt')"]).stderr(Stdio::null()).status();
    let has = has.is_ok_and(|status| status.success());
    if !has {
        skip("MQTT.js (`npm install mqtt`, and NODE_PATH)");
    }
    has
}

#[test]
fn mqtt_js_gets_pushes_over_websocket_in_both_versions() {
    if !has_mqtt_js() {
        return;
    }
    let code = r#"
const [url, ca, version] = process.argv.slice(1);
const client = require('mqtt').connect(url, {
  username: 'alice', clientId: 'js', protocolVersion: Number(version),
  ca: ca ? require('fs').readFileSync(ca) : undefined,
});
client.on('connect', () => client.subscribe('groups/news', { qos: 1 }, () => console.log('subscribed')));
client.on('message', (topic, body) => console.log(body.toString()));
client.on('error', (error) => console.log(String(error)));
"#;
    with_both_ports(|gateway, url, ca| {
        for version in ["4", "5"] {
            let mut command = Command::new("node");
            gets_a_push(gateway, url, version, command.args(["-e", code, url, ca.unwrap_or(""), version]));
        }
    });
}
