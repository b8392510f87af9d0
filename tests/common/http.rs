//! HTTP and PAP in bytes: nothing of papcast's own encoders.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::DEADLINE;

#[derive(Debug, Clone, Copy)]
pub struct Client {
    at: SocketAddr,
    /// An Authorization header.
    authorization: Option<&'static str>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
        Some(line.split_once(':')?.1.trim())
    }

    /// The PAP code: the four digits after the first `code="`, as simple initiators read it.
    pub fn pap_code(&self) -> u16 {
        let at = self.body.find("code=\"").unwrap_or_else(|| panic!("no code in {}", self.body)) + 6;
        self.body[at..at + 4].parse().unwrap()
    }
}

impl Client {
    pub fn new(at: SocketAddr) -> Self {
        Self { at, authorization: None }
    }

    /// Signs in with each request.
    pub fn bearer(self, token: &str) -> Self {
        self.authorization(format!("Bearer {token}"))
    }

    pub fn basic(self, name: &str, token: &str) -> Self {
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{token}"));
        self.authorization(format!("Basic {pair}"))
    }

    fn authorization(self, value: String) -> Self {
        Self { authorization: Some(Box::leak(value.into_boxed_str())), ..self }
    }

    pub fn raw(&self, request: &[u8]) -> Reply {
        let mut stream = TcpStream::connect(self.at).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Submits to a gateway that may not be there; answers the PAP code if an answer came.
    pub fn try_pap(&self, pap: &Pap) -> Option<u16> {
        let mut stream = TcpStream::connect(self.at).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        let body = pap.body();
        let head = format!(
            "POST /pap HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: multipart/related; boundary=xyz\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let at = answer.find("code=\"")? + 6;
        answer.get(at..at + 4)?.parse().ok()
    }

    /// Sends a request without a body to a gateway that may not be there; answers the status if an answer came.
    pub fn try_send(&self, method: &str, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(self.at).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    /// Asks a gateway that may be about to end; answers status and body if an answer came.
    pub fn try_get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.at).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).ok()?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    pub fn send(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Reply {
        let authorization = self.authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{authorization}Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            self.at,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.raw(&request)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "text/plain", b"")
    }

    pub fn json(&self, method: &str, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, "application/json", body.as_bytes())
    }

    /// Binds from the operator's side.
    pub fn bind(&self, group: &str, user: &str) {
        let reply =
            self.json("PUT", &format!("/api/v1/groups/{}/members/{}", escape(group), escape(user)), Value::Null);
        assert!(matches!(reply.status, 200 | 201), "{reply:?}");
    }

    /// Submits a text to one address and expects 1001.
    pub fn push(&self, push_id: &str, address: &str, text: &str) {
        let reply = self.pap(&Pap::new(push_id).to(address).text(text));
        assert_eq!((reply.status, reply.pap_code()), (202, 1001), "{reply:?}");
    }

    /// The same at another path.
    pub fn push_to(&self, path: &str, push_id: &str, address: &str, text: &str) {
        let reply = self.pap_to(path, &Pap::new(push_id).to(address).text(text));
        assert_eq!(reply.pap_code(), 1001, "{reply:?}");
    }

    pub fn pap(&self, pap: &Pap) -> Reply {
        self.pap_to("/pap", pap)
    }

    pub fn pap_to(&self, path: &str, pap: &Pap) -> Reply {
        self.send("POST", path, "multipart/related; boundary=\"xyz\"; type=\"application/xml\"", pap.body().as_bytes())
    }

    /// The first address of a push.
    pub fn outcome(&self, push_id: &str) -> Value {
        let reply = self.get(&format!("/api/v1/pushes/{}", escape(push_id)));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["addresses"][0].clone()
    }

    /// Waits until the first address of a push has this state and description.
    pub fn wait_outcome(&self, push_id: &str, state: &str, desc: &str) -> Value {
        let mut last = Value::Null;
        let begin = std::time::Instant::now();
        while begin.elapsed() < DEADLINE {
            last = self.outcome(push_id);
            if last["state"] == state && last["desc"] == desc {
                return last;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("{push_id} is not {state} ({desc}) but {last}");
    }
}

pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// A push submission, written by hand.
#[derive(Debug, Clone)]
pub struct Pap {
    attributes: String,
    addresses: Vec<String>,
    quality: String,
    content_type: String,
    headers: String,
    text: String,
}

impl Pap {
    pub fn new(push_id: &str) -> Self {
        Self {
            attributes: format!("push-id=\"{push_id}\""),
            addresses: Vec::new(),
            quality: String::new(),
            content_type: "text/plain".into(),
            headers: String::new(),
            text: "hello".into(),
        }
    }

    pub fn to(mut self, address: &str) -> Self {
        self.addresses.push(address.into());
        self
    }

    pub fn text(mut self, text: &str) -> Self {
        self.text = text.into();
        self
    }

    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push_str(&format!(" {name}=\"{value}\""));
        self
    }

    pub fn delivery(mut self, method: &str) -> Self {
        self.quality = format!("<quality-of-service delivery-method=\"{method}\"/>");
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn control(&self) -> String {
        let addresses: String =
            self.addresses.iter().map(|address| format!("<address address-value=\"{address}\"/>")).collect();
        format!(
            "<?xml version=\"1.0\"?>\r\n<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\">\r\n<pap><push-message {}>{addresses}{}</push-message></pap>",
            self.attributes, self.quality
        )
    }

    pub fn body(&self) -> String {
        format!(
            "--xyz\r\nContent-Type: application/xml\r\n\r\n{}\r\n--xyz\r\nContent-Type: {}\r\n{}\r\n{}\r\n--xyz--\r\n",
            self.control(),
            self.content_type,
            self.headers,
            self.text
        )
    }
}
