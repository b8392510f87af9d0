//! A push proxy gateway of a few lines, which answers as a test says, or falls silent.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// What becomes of one request.
pub enum Act {
    Answer(String),
    /// The connection ends.
    Close,
    /// Nothing ever comes.
    Hang,
    /// The connection ends, and no further one is taken.
    Die,
}

pub struct Ppg {
    pub url: String,
}

impl Ppg {
    /// `act` is asked for every request, with its head and body.
    pub fn start(mut act: impl FnMut(&str) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/wappush", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                match act(&read(&mut stream)) {
                    Act::Answer(body) => write(&mut stream, &body),
                    Act::Close => {}
                    Act::Hang => hanging.push(stream),
                    Act::Die => return,
                }
            }
        });
        Self { url }
    }
}

fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 65_536];
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let length = text.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if head.is_some_and(|head| bytes.len() >= head + 4 + length.unwrap_or(0)) {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&bytes).into_owned(),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn write(stream: &mut TcpStream, body: &str) {
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 202 Accepted\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

/// Accepts the push of a request, with the blank that Kannel writes before an equals sign.
pub fn accept(request: &str) -> Act {
    let id = request.split_once("push-id=\"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
    Act::Answer(format!(
        "<?xml version=\"1.0\"?><!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 1.0//EN\" \
         \"http://www.wapforum.org/DTD/pap_1.0.dtd\"><pap><push-response push-id=\"{id}\" sender-name='a'>\
         <response-result code =\"1001\" desc=\"accepted\"></response-result></push-response></pap>"
    ))
}

pub fn bad_message(code: u16) -> Act {
    Act::Answer(format!("<?xml version=\"1.0\"?><pap><badmessage-response code =\"{code}\"/></pap>"))
}

/// Whether a request is a push, and not one of the operations that have no content.
pub fn is_push(request: &str) -> bool {
    request.contains("<push-message")
}
