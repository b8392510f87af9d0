//! Request bodies are read here, whole: one place for how large and how slow they may be. One layer for this and for who
//! comes too late: each costs every request some microseconds.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

use super::connection_slots::Slot;
use super::health::Readiness;
use super::problem::Problem;
use super::remote::Remote;
use crate::budget::{Budget, Held};
use crate::config;
use crate::signals::Signals;

#[derive(Debug)]
pub(super) struct Intake {
    readiness: Readiness,
    size: usize,
    time: Duration,
    /// Bytes of all bodies that are being read or served.
    under_way: Budget,
    signals: Arc<Signals>,
}

impl Intake {
    pub(super) fn new(config: &config::Http, readiness: Readiness, signals: Arc<Signals>, under_way: Budget) -> Self {
        under_way.set_most(config.max_under_way);
        Self { readiness, size: config.max_body, time: config.body_timeout, under_way, signals }
    }

    /// No new work once the stop has begun; who only looks is still answered.
    fn is_too_late(&self, path: &str) -> bool {
        !self.readiness.is_taking_work() && !matches!(path, "/healthz" | "/readyz" | "/metrics")
    }

    fn too_large(&self, from: Option<Remote>) -> Problem {
        self.over_limit("http.max_body", from);
        let text = format!("a request body has {} bytes at most (http.max_body)", self.size);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    }

    fn over_limit(&self, limit: &'static str, from: Option<Remote>) {
        self.signals.metrics.over_limit(limit, from.map_or_else(String::new, |from| from.address.to_string()));
    }
}

/// The request stands in for one that could not be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unreadable(pub(super) &'static str);

pub(super) async fn collect(State(intake): State<Arc<Intake>>, request: Request, next: Next) -> Response {
    if let Some(Unreadable(why)) = request.extensions().get() {
        return Problem::bad_request(format!("{why}: write each header on one line")).into_response();
    }
    // Nothing is read of what is too large by its own word: the answer to an `Expect: 100-continue` is no.
    let said = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if said.is_some_and(|length: u64| length > intake.size as u64) {
        return last(intake.too_large(Remote::of(request.extensions())));
    }
    let too_late = intake.is_too_late(request.uri().path());
    let (parts, body) = request.into_parts();
    let mut held = intake.under_way.hold();
    match tokio::time::timeout(intake.time, read(body, intake.size, &mut held)).await {
        Ok(Ok(body)) => {
            if let Some(slot) = parts.extensions.get::<Arc<Slot>>() {
                slot.serves();
            }
            if too_late { stopping(&body) } else { next.run(Request::from_parts(parts, Body::from(body))).await }
        }
        Ok(Err(Fault::TooLarge)) => last(intake.too_large(Remote::of(&parts.extensions))),
        Ok(Err(Fault::TooMany)) => {
            intake.over_limit("http.max_under_way", Remote::of(&parts.extensions));
            let text = "too many request bodies are under way (http.max_under_way); try again later";
            last(Problem::new(StatusCode::SERVICE_UNAVAILABLE, text))
        }
        Ok(Err(Fault::Broken(error))) => {
            last(Problem::bad_request(format!("the request body could not be read: {error}")))
        }
        Err(_) => {
            intake.over_limit("http.body_timeout", Remote::of(&parts.extensions));
            let text = "the request body did not come in time (http.body_timeout)";
            last(Problem::new(StatusCode::REQUEST_TIMEOUT, text))
        }
    }
}

/// Turns a late request away, now that its body has been read: an initiator is told so in its own version of PAP.
fn stopping(body: &[u8]) -> Response {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping; try again later");
    let mut response = problem.into_response();
    response.extensions_mut().insert(crate::pap::doctype::guess(body).for_answer());
    response
}

/// Why a body was not read to its end.
enum Fault {
    TooLarge,
    /// Together with those of others.
    TooMany,
    Broken(axum::Error),
}

async fn read(mut body: Body, most: usize, held: &mut Held) -> Result<Bytes, Fault> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Fault::Broken)?.into_data() else { continue };
        let length = whole.len() + data.len();
        if length > most {
            return Err(Fault::TooLarge);
        }
        if !held.resize(length) {
            return Err(Fault::TooMany);
        }
        // Most bodies come in one piece.
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// The last answer of a connection: the rest of the request is not wanted.
fn last(problem: Problem) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
