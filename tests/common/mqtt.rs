//! MQTT in bytes, for what clients do not send and to see what they hide.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{DEADLINE, SILENCE};

#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    pub v5: bool,
    next_id: u16,
}

/// A packet as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub first: u8,
    pub body: Vec<u8>,
}

/// A PUBLISH, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub topic: String,
    pub qos: u8,
    pub dup: bool,
    pub id: u16,
    pub properties: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Publish {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Values of the user property with this name.
    pub fn user_property(&self, name: &str) -> Option<String> {
        let needle = [&[0x26][..], &text(name)].concat();
        let at = self.properties.windows(needle.len()).position(|window| window == needle)? + needle.len();
        let length = usize::from(u16::from_be_bytes([self.properties[at], self.properties[at + 1]]));
        Some(String::from_utf8(self.properties[at + 2..at + 2 + length].to_vec()).unwrap())
    }
}

/// What CONNECT says.
#[derive(Debug, Clone)]
pub struct Connect<'a> {
    pub v5: bool,
    pub client: &'a str,
    pub user: Option<&'a str>,
    pub password: Option<&'a str>,
    pub clean: bool,
    pub keep_alive: u16,
    /// MQTT 5 properties, in bytes.
    pub properties: Vec<u8>,
    /// Topic and message.
    pub will: Option<(&'a str, &'a str)>,
}

impl<'a> Connect<'a> {
    pub fn v3(client: &'a str, user: &'a str) -> Self {
        Self {
            v5: false,
            client,
            user: Some(user),
            password: None,
            clean: true,
            keep_alive: 0,
            properties: vec![],
            will: None,
        }
    }

    pub fn v5(client: &'a str, user: &'a str) -> Self {
        Self { v5: true, ..Self::v3(client, user) }
    }

    pub fn password(mut self, password: &'a str) -> Self {
        self.password = Some(password);
        self
    }

    pub fn lasting(mut self) -> Self {
        self.clean = false;
        if self.v5 {
            self.properties.extend([0x11, 0, 0, 0x0E, 0x10]);
        }
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut flags = 0;
        let mut payload = text(self.client);
        if let Some((topic, message)) = self.will {
            flags |= 0x04;
            if self.v5 {
                payload.push(0);
            }
            payload.extend([text(topic), text(message)].concat());
        }
        if let Some(user) = self.user {
            flags |= 0x80;
            payload.extend(text(user));
        }
        if let Some(password) = self.password {
            flags |= 0x40;
            payload.extend(text(password));
        }
        if self.clean {
            flags |= 0x02;
        }
        let mut body = b"\0\x04MQTT".to_vec();
        body.push(if self.v5 { 5 } else { 4 });
        body.push(flags);
        body.extend(self.keep_alive.to_be_bytes());
        if self.v5 {
            body.push(u8::try_from(self.properties.len()).unwrap());
            body.extend(&self.properties);
        }
        body.extend(payload);
        packet(0x10, &body)
    }
}

pub fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut length = body.len();
    loop {
        let byte = (length & 0x7F) as u8;
        length >>= 7;
        out.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

impl Raw {
    pub fn open(at: SocketAddr) -> Self {
        let stream = TcpStream::connect(at).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, v5: false, next_id: 0 }
    }

    /// Connects to a gateway that may not be there, or may go away meanwhile.
    pub fn connect_if_there(at: SocketAddr, connect: &Connect<'_>) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&at, DEADLINE).ok()?;
        stream.set_nodelay(true).ok()?;
        let mut raw = Self { stream, v5: connect.v5, next_id: 0 };
        raw.stream.write_all(&connect.bytes()).ok()?;
        let answer = raw.try_packet(DEADLINE)?;
        (answer.first == 0x20 && answer.body[1] == 0).then_some(raw)
    }

    /// Connects; answers the CONNACK's flags and code.
    pub fn try_connect(at: SocketAddr, connect: &Connect<'_>) -> (Self, u8, u8) {
        let mut raw = Self::open(at);
        raw.v5 = connect.v5;
        raw.send(&connect.bytes());
        let answer = raw.packet();
        assert_eq!(answer.first, 0x20, "{answer:?}");
        (raw, answer.body[0], answer.body[1])
    }

    pub fn connect(at: SocketAddr, connect: &Connect<'_>) -> Self {
        let (raw, _, code) = Self::try_connect(at, connect);
        assert_eq!(code, 0);
        raw
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Takes some of what has come within `wait`; `false` where the connection has ended.
    pub fn read_some(&mut self, scratch: &mut [u8], wait: Duration) -> bool {
        self.stream.set_read_timeout(Some(wait)).unwrap();
        match self.stream.read(scratch) {
            Ok(count) => count > 0,
            Err(error) => matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
        }
    }

    /// Says `last` and closes at once with something unread, which resets the connection: the gateway finds what was said
    /// here and cannot answer it.
    pub fn rush_off(mut self, last: &[u8]) {
        self.stream.set_read_timeout(Some(DEADLINE)).unwrap();
        assert_eq!(self.stream.peek(&mut [0]).unwrap(), 1);
        self.send(last);
    }

    fn read_exact(&mut self, length: usize, wait: Duration) -> Option<Vec<u8>> {
        self.stream.set_read_timeout(Some(wait)).unwrap();
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).ok().map(|()| bytes)
    }

    /// The next packet within `wait`; `None` if nothing came or the connection was closed.
    pub fn try_packet(&mut self, wait: Duration) -> Option<Packet> {
        let first = self.read_exact(1, wait)?[0];
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            let byte = self.read_exact(1, DEADLINE)?[0];
            length |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Some(Packet { first, body: self.read_exact(length, DEADLINE)? })
    }

    pub fn packet(&mut self) -> Packet {
        self.try_packet(DEADLINE).expect("a packet in time")
    }

    /// The next packet, which has to be of this type.
    pub fn expect(&mut self, kind: u8) -> Packet {
        let packet = self.packet();
        assert_eq!(packet.first >> 4, kind, "{packet:?}");
        packet
    }

    /// The next PUBLISH, without answering it.
    pub fn publish_in(&mut self) -> Publish {
        let packet = self.expect(3);
        self.parse(&packet)
    }

    pub fn parse(&self, packet: &Packet) -> Publish {
        let body = &packet.body;
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..2 + length].to_vec()).unwrap();
        let mut at = 2 + length;
        let qos = packet.first >> 1 & 3;
        let mut id = 0;
        if qos > 0 {
            id = u16::from_be_bytes([body[at], body[at + 1]]);
            at += 2;
        }
        let mut properties = Vec::new();
        if self.v5 {
            let (mut length, mut shift) = (0_usize, 0);
            loop {
                let byte = body[at];
                at += 1;
                length |= usize::from(byte & 0x7F) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            properties = body[at..at + length].to_vec();
            at += length;
        }
        Publish { topic, qos, dup: packet.first & 8 != 0, id, properties, payload: body[at..].to_vec() }
    }

    /// The next PUBLISH, answered.
    pub fn push(&mut self) -> Publish {
        let publish = self.publish_in();
        if publish.qos == 1 {
            self.puback(publish.id);
        }
        publish
    }

    pub fn puback(&mut self, id: u16) {
        self.send(&packet(0x40, &id.to_be_bytes()));
    }

    /// An MQTT 5 PUBACK with a reason.
    pub fn puback_reason(&mut self, id: u16, reason: u8) {
        self.send(&packet(0x40, &[&id.to_be_bytes()[..], &[reason]].concat()));
    }

    fn id(&mut self) -> u16 {
        self.next_id += 1;
        self.next_id
    }

    /// Sends a PUBLISH; answers its packet id.
    pub fn publish(&mut self, topic: &str, qos: u8, payload: &[u8]) -> u16 {
        let id = self.id();
        let mut body = text(topic);
        if qos > 0 {
            body.extend(id.to_be_bytes());
        }
        if self.v5 {
            body.push(0);
        }
        body.extend_from_slice(payload);
        self.send(&packet(0x30 | qos << 1, &body));
        id
    }

    /// Sends an MQTT 5 PUBLISH at QoS 0 with a Response Topic and Correlation Data.
    pub fn ask(&mut self, topic: &str, response_topic: &str, correlation: &[u8], payload: &str) {
        let length = u16::try_from(correlation.len()).unwrap().to_be_bytes();
        let properties = [&[0x08][..], &text(response_topic), &[0x09], &length, correlation].concat();
        // Their length is a variable byte integer, like that of a packet.
        let counted = &packet(0, &properties)[1..];
        self.send(&packet(0x30, &[&text(topic), counted, payload.as_bytes()].concat()));
    }

    /// Sends SUBSCRIBE; answers the codes of the SUBACK.
    pub fn subscribe(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        let id = self.id();
        let mut body = id.to_be_bytes().to_vec();
        if self.v5 {
            body.push(0);
        }
        for (filter, qos) in filters {
            body.extend(text(filter));
            body.push(*qos);
        }
        self.send(&packet(0x82, &body));
        let answer = self.expect(9);
        assert_eq!(answer.body[..2], id.to_be_bytes());
        answer.body[if self.v5 { 3 } else { 2 }..].to_vec()
    }

    /// Sends UNSUBSCRIBE; answers the codes of the UNSUBACK (none in 3.1.1).
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let id = self.id();
        let mut body = id.to_be_bytes().to_vec();
        if self.v5 {
            body.push(0);
        }
        for filter in filters {
            body.extend(text(filter));
        }
        self.send(&packet(0xA2, &body));
        let answer = self.expect(11);
        assert_eq!(answer.body[..2], id.to_be_bytes());
        answer.body[if self.v5 { 3 } else { 2 }..].to_vec()
    }

    /// Asks to join over the short topic; answers the gateway's answer.
    pub fn request(&mut self, topic: &str, payload: &str) -> serde_json::Value {
        self.publish(topic, 0, payload.as_bytes());
        let answer = self.publish_in();
        assert_eq!(answer.topic, "$push/response");
        answer.json()
    }

    pub fn join(&mut self, group: &str) {
        let answer = self.request(&format!("$push/join/{group}"), "");
        assert_eq!(answer["status"], "accepted", "{answer}");
    }

    pub fn ping(&mut self) {
        self.send(&[0xC0, 0]);
        assert_eq!(self.packet(), Packet { first: 0xD0, body: vec![] });
    }

    /// Everything that was sent before has been dealt with, and nothing came of it. On a machine that is slow to answer
    /// a ping this takes longer.
    pub fn assert_silent(&mut self) {
        self.ping();
        if let Some(packet) = self.try_packet(SILENCE) {
            panic!("unexpected: {packet:?}");
        }
        self.ping();
    }

    /// Nothing of this group or user is on its way: the next that comes is a push made now. There is an order in each of
    /// them, so this takes no time to be sure.
    pub fn assert_nothing_before_a_push(&mut self, http: super::http::Client, address: &str) {
        static PROBES: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let probe = format!("probe-{}", PROBES.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        http.push(&probe, address, &probe);
        assert_eq!(self.push().text(), probe);
    }

    pub fn disconnect(mut self) {
        self.send(&[0xE0, 0]);
        self.wait_closed();
    }

    /// Reads until the other side closes; answers the reason of an MQTT 5 DISCONNECT, if one came.
    pub fn wait_closed(&mut self) -> Option<u8> {
        let begin = Instant::now();
        let mut reason = None;
        while begin.elapsed() < DEADLINE {
            match self.try_packet(DEADLINE) {
                Some(packet) if packet.first == 0xE0 => reason = Some(packet.body.first().copied().unwrap_or(0)),
                Some(_) => {}
                None => return reason,
            }
        }
        panic!("the connection was not closed");
    }
}
