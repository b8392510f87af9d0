//! A reader of `/api/v1/events`.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::Lines;

pub struct Events {
    lines: Lines,
    /// The id of the newest event.
    pub last: Option<String>,
}

impl Events {
    /// Follows; `more` are further lines of the head.
    pub fn follow(at: SocketAddr, query: &str, more: &str) -> Self {
        let mut stream = TcpStream::connect(at).unwrap();
        write!(stream, "GET /api/v1/events?{query} HTTP/1.1\r\nHost: {at}\r\n{more}\r\n").unwrap();
        let events = Self { lines: Lines::of(stream), last: None };
        let status = events.lines.next();
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        // The comment at the beginning: from here on nothing is missed.
        while !events.lines.next().starts_with(": ") {}
        events
    }

    fn read(&mut self, line: &str) -> Option<Value> {
        if let Some(id) = line.strip_prefix("id: ") {
            self.last = Some(id.to_owned());
        }
        serde_json::from_str(line.strip_prefix("data: ")?).unwrap()
    }

    /// The next event.
    pub fn next(&mut self) -> Value {
        loop {
            let line = self.lines.next();
            assert!(!line.starts_with(": "), "nothing has happened for long");
            if let Some(event) = self.read(&line) {
                return event;
            }
        }
    }

    /// An event that is there already.
    pub fn try_next(&mut self) -> Option<Value> {
        while let Some(line) = self.lines.try_next() {
            if let Some(event) = self.read(&line) {
                return Some(event);
            }
        }
        None
    }

    /// Waits for the end of the stream; what comes before that is passed over.
    pub fn wait_end(self) {
        self.lines.wait_end();
    }
}
