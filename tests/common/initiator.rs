//! A push initiator's server: takes result notifications and answers as it is told.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::{DEADLINE, SILENCE};

pub struct Initiator {
    pub url: String,
    received: Receiver<Received>,
    answers: Sender<&'static str>,
}

#[derive(Debug)]
pub struct Received {
    pub head: String,
    pub body: String,
}

pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

impl Initiator {
    /// Answers `OK` unless told otherwise.
    pub fn start() -> Self {
        Self::start_with(Duration::ZERO)
    }

    /// Takes a moment for each, one after the other.
    pub fn start_slow() -> Self {
        Self::start_with(Duration::from_millis(400))
    }

    fn start_with(pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/notify?a=b", listener.local_addr().unwrap());
        let (sender, received) = channel();
        let (answers, told) = channel::<&'static str>();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&mut stream) else { continue };
                std::thread::sleep(pause);
                let _ = stream.write_all(told.try_recv().unwrap_or(OK).as_bytes());
                if sender.send(request).is_err() {
                    return;
                }
            }
        });
        Self { url, received, answers }
    }

    /// How the next notification is answered; empty: the connection is closed without a word.
    pub fn answer(&self, answer: &'static str) {
        self.answers.send(answer).unwrap();
    }

    pub fn next(&self) -> Received {
        self.received.recv_timeout(DEADLINE).expect("a notification in time")
    }

    pub fn assert_silent(&self) {
        if let Ok(received) = self.received.recv_timeout(SILENCE * 4) {
            panic!("unexpected: {received:?}");
        }
    }
}

fn read(stream: &mut impl Read) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length: usize = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())?;
            if body.len() >= length {
                return Some(Received { head: head.to_owned(), body: body.to_owned() });
            }
        }
        let count = stream.read(&mut buffer).ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
}
