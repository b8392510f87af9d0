//! Traces from outside: the built binary, and a collector that takes them, hangs or is not there.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::http::Pap;
use common::initiator::Initiator;
use common::{Gateway, wait_for};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Requests as they came, head and body.
#[derive(Debug, Clone)]
struct Collector {
    endpoint: String,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    fn start(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let collector = Self { endpoint, received: Arc::default() };
        let received = Arc::clone(&collector.received);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                received.lock().unwrap().push(read(&mut stream));
                if answers {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                } else {
                    held.push(stream);
                }
            }
        });
        collector
    }

    /// Until one request has all of this.
    fn wait(&self, needles: &[&[u8]]) -> Vec<u8> {
        wait_for("a request with everything in it", || {
            let received = self.received.lock().unwrap();
            received.iter().find(|request| needles.iter().all(|needle| has(request, needle))).cloned()
        })
    }
}

fn read(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).unwrap_or(0);
        request.extend_from_slice(&piece[..count]);
        let head = request.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let whole = head.map(|head| {
            let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).expect("a length");
            head + length.trim().parse::<usize>().unwrap()
        });
        if count == 0 || whole.is_some_and(|whole| request.len() >= whole) {
            return request;
        }
    }
}

fn has(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// The bytes of a number in hexadecimal digits.
fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn start(endpoint: &str, more: &[(&str, &str)]) -> Gateway {
    let mut env = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    env.extend_from_slice(more);
    Gateway::start_with("[notify]\nallow_private = true\n", &env)
}

/// One push, as a part of [`TRACE`].
fn push(gateway: &Gateway, push: &Pap) {
    let body = push.body();
    let head = format!(
        "POST /pap HTTP/1.1\r\nHost: x\r\nConnection: close\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\n\
         Content-Type: multipart/related; boundary=xyz\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let reply = gateway.http().raw(format!("{head}{body}").as_bytes());
    assert_eq!((reply.status, reply.pap_code()), (202, 1001), "{reply:?}");
}

#[test]
fn a_push_is_a_part_of_the_trace_that_its_initiator_began() {
    let collector = Collector::start(true);
    // Whatever is logged, traces are whole.
    let gateway = start(&collector.endpoint, &[("PAPCAST_LOG__LEVEL", "warn")]);
    gateway.http().bind("news", "alice");
    push(&gateway, &Pap::new("p-traced").to("group:news"));
    let (trace, parent) = (bytes(TRACE), bytes(PARENT));
    let needles: [&[u8]; 9] = [
        b"POST /v1/traces HTTP/1.1\r\n",
        b"papcast",
        b"POST /pap",
        b"http.response.status_code",
        b"submission",
        b"p-traced",
        b"store commit",
        &trace,
        &parent,
    ];
    let request = collector.wait(&needles);
    assert!(has(&request, b"application/x-protobuf"));
    assert!(!has(&request, b"unknown_service"));
}

#[test]
fn a_result_notification_has_a_span() {
    let collector = Collector::start(true);
    let gateway = start(&collector.endpoint, &[("OTEL_SERVICE_NAME", "gateway-7")]);
    gateway.http().json("PUT", "/api/v1/groups/empty", serde_json::Value::Null);
    let initiator = Initiator::start();
    push(&gateway, &Pap::new("p-told").to("group:empty").attribute("ppg-notify-requested-to", &initiator.url));
    initiator.next();
    collector.wait(&[b"result notification", b"p-told", b"received", b"gateway-7"]);
    let log = gateway.log();
    assert!(!log.contains("submission") && !log.contains("otel."), "the log is what it was:\n{log}");
}

#[test]
fn a_collector_that_never_answers_delays_neither_pushes_nor_the_end() {
    let collector = Collector::start(false);
    let mut gateway = start(&collector.endpoint, &[("OTEL_BSP_MAX_QUEUE_SIZE", "8")]);
    gateway.http().bind("news", "alice");
    push(&gateway, &Pap::new("first").to("group:news"));
    collector.wait(&[b"POST /v1/traces"]);
    for number in 0..50 {
        let begin = Instant::now();
        push(&gateway, &Pap::new(&format!("p-{number}")).to("group:news"));
        assert!(begin.elapsed() < Duration::from_secs(5), "nobody waits for the collector, which has 10 s to answer");
    }
    let begin = Instant::now();
    assert_eq!(gateway.terminate().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
}

#[test]
fn a_collector_that_is_away_is_said_once_and_what_is_left_at_the_end_is_sent() {
    // Nobody listens on this port, nor is it ever given to somebody who asks for a free one.
    let gateway = start("http://127.0.0.1:1", &[]);
    let lost = "traces could not be exported";
    wait_for("a line in the log", || {
        assert_eq!(gateway.http().get("/healthz").status, 200);
        gateway.log().contains(lost).then_some(())
    });
    assert_eq!(gateway.log().matches(lost).count(), 1);
    drop(gateway);
    let collector = Collector::start(true);
    let mut gateway = start(&collector.endpoint, &[("OTEL_BSP_SCHEDULE_DELAY", "600000")]);
    gateway.http().get("/api/v1/groups");
    assert_eq!(gateway.terminate().code(), Some(0));
    collector.wait(&[b"GET /api/v1/groups"]);
}

#[test]
fn without_an_endpoint_nothing_is_exported() {
    let collector = Collector::start(true);
    let off = [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "")];
    for more in off {
        let mut gateway = start(&collector.endpoint, &[more]);
        gateway.http().get("/healthz");
        assert_eq!(gateway.terminate().code(), Some(0));
        assert!(collector.received.lock().unwrap().is_empty(), "{more:?}");
    }
}
