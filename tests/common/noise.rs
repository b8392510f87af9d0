//! Ways into the MQTT side for bytes that nobody has checked: one function for each. The fuzz targets call them with what they
//! make up, and `tests/it/noise.rs` with random bytes. Whatever is sent, the gateway ends that connection when its client does,
//! and others are served.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Nothing that works takes as long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of one input that are used.
const MOST: usize = 16_384;

#[derive(Debug, Clone, Copy)]
pub struct Doors {
    pub http: SocketAddr,
    pub mqtt: SocketAddr,
    pub mqtts: SocketAddr,
}

pub type Entry = fn(Doors, &[u8]);

pub const ENTRIES: [(&str, Entry); 6] = [
    ("bytes before the CONNECT", before_connect),
    ("bytes after the CONNECT", after_connect),
    ("whole packets in any order", packets),
    ("records of TLS", tls),
    ("bytes in the place of WebSocket frames", websocket_frames),
    ("bytes in whole WebSocket frames", websocket_content),
];

/// CONNECT of MQTT 3.1.1 and 5: a session that lasts an hour, of the user and client `noise`.
const CONNECT: [&[u8]; 2] =
    [b"\x10\x11\0\x04MQTT\x04\0\0\x3c\0\x05noise", b"\x10\x17\0\x04MQTT\x05\0\0\x3c\x05\x11\0\0\x0e\x10\0\x05noise"];

pub fn before_connect(doors: Doors, bytes: &[u8]) {
    say(doors.mqtt, &[bytes]);
}

/// The first byte says which version.
pub fn after_connect(doors: Doors, bytes: &[u8]) {
    let Some((version, rest)) = bytes.split_first() else { return };
    say(doors.mqtt, &[CONNECT[usize::from(version & 1)], rest]);
}

/// Each byte chooses a packet, and what is in it.
pub fn packets(doors: Doors, bytes: &[u8]) {
    let Some((version, rest)) = bytes.split_first() else { return };
    let v5 = version & 1 == 1;
    let mut said = CONNECT[usize::from(v5)].to_vec();
    for choice in rest.chunks(3).take(500) {
        let [kind, id, more] = [0, 1, 2].map(|at| choice.get(at).copied().unwrap_or(0));
        said.extend(one_packet(v5, kind, id, more));
    }
    say(doors.mqtt, &[&said]);
}

/// Topics and filters that lead everywhere.
const TOPICS: [&str; 12] = [
    "x/y",
    "$push/join/noise",
    "$push/leave/noise",
    "$push/list",
    "$push/request",
    "groups/noise",
    "users/noise",
    "#",
    "groups/+",
    "$share/g/x",
    "\u{e9}/x",
    "",
];

fn one_packet(v5: bool, kind: u8, id: u8, more: u8) -> Vec<u8> {
    let topic = text(TOPICS[usize::from(more) % TOPICS.len()]);
    let id = [0, id];
    let properties: &[u8] = if v5 { &[0] } else { &[] };
    let (first, body) = match kind % 14 {
        0 => (0x30, [&topic[..], properties, b"{\"op\":\"join\",\"group\":\"noise\"}"].concat()),
        1 => (0x32, [&topic[..], &id, properties, b"m"].concat()),
        2 => (0x34, [&topic[..], &id, properties, b"m"].concat()),
        3 => (0x3C, [&topic[..], &id, properties, b"m"].concat()),
        4 => (0x40, id.to_vec()),
        5 => (0x50, id.to_vec()),
        6 => (0x62, id.to_vec()),
        7 => (0x70, id.to_vec()),
        8 => (0x82, [&id[..], properties, &topic, &[more & 3]].concat()),
        9 => (0xA2, [&id[..], properties, &topic].concat()),
        10 => (0xC0, vec![]),
        11 => return CONNECT[usize::from(v5)].to_vec(),
        12 => (0xF0, if v5 { vec![more, 0] } else { vec![] }),
        _ => (0x40, [&id[..], &[more]].concat()),
    };
    packet(first, &body)
}

/// A ClientHello of TLS 1.2 that every server takes, and then records.
pub fn tls(doors: Doors, bytes: &[u8]) {
    let hello = client_hello();
    let cut = bytes.first().map_or(0, |first| usize::from(*first)).min(hello.len());
    // The hello as a whole, or damaged at one place.
    let mut damaged = hello.clone();
    if cut % 2 == 1 {
        damaged.truncate(cut);
    }
    say(doors.mqtts, &[&damaged, bytes]);
}

fn client_hello() -> Vec<u8> {
    // Supported groups, signature algorithms, point formats (RFC 8422 §5.1, RFC 8446 §4.2.3).
    let extensions =
        b"\x00\x0a\x00\x06\x00\x04\x00\x1d\x00\x17\x00\x0d\x00\x0c\x00\x0a\x04\x03\x05\x03\x08\x04\x04\x01\x08\x07\
        \x00\x0b\x00\x02\x01\x00";
    let body = [
        &b"\x03\x03"[..],
        &[7; 32],
        b"\x00\x00\x06\xc0\x2b\xc0\x2f\x13\x01\x01\x00",
        &u16::try_from(extensions.len()).unwrap().to_be_bytes(),
        extensions,
    ]
    .concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let handshake = [&[1], &length[1..], &body].concat();
    [&b"\x16\x03\x01"[..], &u16::try_from(handshake.len()).unwrap().to_be_bytes(), &handshake].concat()
}

const UPGRADE: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

pub fn websocket_frames(doors: Doors, bytes: &[u8]) {
    say(doors.http, &[UPGRADE, bytes]);
}

/// Frames of the lengths and kinds that the first byte of each chooses.
pub fn websocket_content(doors: Doors, bytes: &[u8]) {
    let mut said = frame(0x82, CONNECT[1]);
    for piece in bytes.chunks(40) {
        // Binary, continued, ping, pong, text.
        let opcode = [0x82, 0x02, 0x80, 0x89, 0x8A, 0x81][usize::from(piece[0]) % 6];
        said.extend(frame(opcode, &piece[1..]));
    }
    say(doors.http, &[UPGRADE, &said]);
}

/// A masked frame (RFC 6455 §5.2) with a mask that changes nothing.
fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | u8::try_from(content.len()).unwrap(), 0, 0, 0, 0][..], content].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// A packet of less than 128 bytes.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(body.len()).unwrap()][..], body].concat()
}

/// Says all of it, and nothing more; reads until the gateway closes, which it has to.
fn say(at: SocketAddr, parts: &[&[u8]]) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    for part in parts {
        // It may have been closed by now.
        let _ = stream.write_all(&part[..part.len().min(MOST)]);
    }
    let _ = stream.shutdown(Shutdown::Write);
    match std::io::copy(&mut stream, &mut std::io::sink()) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            panic!("a client that has said all it wants to say is not let go");
        }
        _ => {}
    }
}

/// Whoever behaves is served.
pub fn assert_well(doors: Doors) {
    let mut stream = TcpStream::connect(doors.mqtt).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04well\xC0\0").unwrap();
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0, 0xD0, 0], "a CONNACK and a PINGRESP");
}
