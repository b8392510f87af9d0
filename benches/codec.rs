//! What the codec costs: reading a push submission of usual size and writing its answer, and what each further address
//! adds.
//!
//! ```text
//! cargo bench --bench codec
//! ```
//!
//! The counts of allocations are per submission. Those of 101 addresses less those of 1, divided by 100, are the price of
//! an address, and 1,101 less 101, divided by 1,000, shows that it does not rise. Targets: under 15 µs for a submission
//! and its answer, at most 3 allocations for an address.
//!
//! Without `--bench`, as `cargo test --benches` runs it, everything is done once.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::fmt::Write as _;

use divan::{AllocProfiler, Bencher};
use papcast::pap::code::Code;
use papcast::pap::document::PushResponse;
use papcast::pap::{self, Document, Limits, Request};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const TYPE: &str = "multipart/related; boundary=asdlfkjiurwghasf; type=\"application/xml\"";

fn main() {
    divan::main();
}

#[divan::bench(sample_count = 1_000, sample_size = 100)]
fn submission_and_answer(bencher: Bencher<'_, '_>) {
    let body = push(1);
    bencher.bench(|| answer(&read(&body)));
}

#[divan::bench(args = [1, 101, 1_101])]
fn addresses(bencher: Bencher<'_, '_>, count: usize) {
    let body = push(count);
    bencher.bench(|| read(&body));
}

fn read(body: &[u8]) -> Request {
    pap::parse(Some(TYPE), body, Limits::default()).unwrap()
}

/// What the gateway answers when it has taken a push.
fn answer(request: &Request) -> String {
    let Document::PushMessage(message) = &request.document else { panic!("no push-message") };
    let response = PushResponse {
        push_id: message.push_id.clone(),
        sender_address: Some("http://gateway.example/pap".into()),
        sender_name: Some("papcast".into()),
        reply_time: Some(1_164_189_600),
        progress_notes: Vec::new(),
        code: Code::ACCEPTED,
        desc: None,
    };
    pap::encode(&Document::PushResponse(response), &request.dialect)
}

/// A submission as the specification's examples have it; 1.4 KB with one address, half of it content.
fn push(addresses: usize) -> Vec<u8> {
    let mut listed = String::new();
    for n in 0..addresses {
        let _ = write!(
            listed,
            "<address address-value=\"WAPPUSH=sip%3Auser{n}%40example.com/TYPE=USER@gateway.example\"></address>\r\n"
        );
    }
    let content = "A push message of ordinary length. ".repeat(20);
    format!(
        "--asdlfkjiurwghasf\r\n\
         Content-Type: application/xml; charset=UTF-8\r\n\
         \r\n\
         <?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP 2.0//EN\" \"http://www.wapforum.org/DTD/pap_2.0.dtd\" \
         [<?wap-pap-ver supported-versions=\"2.0,1.*\"?>]>\r\n\
         <pap>\r\n\
         <push-message push-id=\"20061122-1@initiator.example\" source-reference=\"news\">\r\n\
         {listed}\
         <quality-of-service priority=\"high\" delivery-method=\"confirmed\"></quality-of-service>\r\n\
         </push-message>\r\n\
         </pap>\r\n\
         --asdlfkjiurwghasf\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         X-Wap-Application-Id: x-wap-application:wml.ua\r\n\
         \r\n\
         {content}\r\n\
         --asdlfkjiurwghasf--\r\n"
    )
    .into_bytes()
}
