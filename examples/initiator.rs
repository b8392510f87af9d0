//! A push initiator in Rust, with nothing but the standard library: posts one PAP push and prints the answer.
//!
//! Run it against a fresh gateway (`papcast serve`) to whose group "news" somebody is bound:
//!
//! ```text
//! cargo run --release --example initiator -- http://127.0.0.1:8080/pap group:news "Hello, group"
//! ```

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

const USAGE: &str = "usage: initiator URL ADDRESS TEXT";

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(address), Some(text)) = (args.next(), args.next(), args.next()) else {
        return Err(USAGE.into());
    };
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or(USAGE)?;
    // The initiator chooses the push-id and answers for its being unique.
    let push_id = format!("{}@initiator.example", SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos());
    let body = submission(&push_id, &address, &text);
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "POST /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: multipart/related; boundary=part; type=\"application/xml\"\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, xml) = answer.split_once("\r\n\r\n").ok_or("no HTTP answer")?;
    println!("{}\n{}", head.lines().next().unwrap_or_default(), xml.lines().last().unwrap_or_default());
    // 1001: accepted for processing, and on disk.
    if xml.contains("code=\"1001\"") { Ok(()) } else { Err("the push was not accepted".into()) }
}

/// The control entity first, the content second (WAP-247 §7).
fn submission(push_id: &str, address: &str, text: &str) -> String {
    format!(
        "--part\r\nContent-Type: application/xml\r\n\r\n\
         <?xml version=\"1.0\"?>\r\n\
         <!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\">\r\n\
         <pap><push-message push-id=\"{}\"><address address-value=\"{}\"/>\
         <quality-of-service delivery-method=\"confirmed\"/></push-message></pap>\r\n\
         --part\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--part--\r\n",
        escape(push_id),
        escape(address)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
