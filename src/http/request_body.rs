//! Request bodies are read here, whole: one place for how large and how slow they may be.

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
use super::problem::Problem;
use crate::budget::{Budget, Held};
use crate::config;

#[derive(Debug, Clone)]
pub(super) struct Bounds {
    size: usize,
    time: Duration,
    /// Bytes of all bodies that are being read or served.
    under_way: Budget,
}

impl Bounds {
    pub(super) fn new(config: &config::Http) -> Self {
        Self { size: config.max_body, time: config.body_timeout, under_way: Budget::new(config.max_under_way) }
    }

    fn too_large(&self) -> Problem {
        let text = format!("a request body has {} bytes at most (http.max_body)", self.size);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    }
}

/// The request stands in for one that could not be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unreadable(pub(super) &'static str);

pub(super) async fn collect(State(bounds): State<Bounds>, request: Request, next: Next) -> Response {
    if let Some(Unreadable(why)) = request.extensions().get() {
        return Problem::bad_request(format!("{why}: write each header on one line")).into_response();
    }
    // Nothing is read of what is too large by its own word: the answer to an `Expect: 100-continue` is no.
    let said = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if said.is_some_and(|length: u64| length > bounds.size as u64) {
        return last(bounds.too_large());
    }
    let (parts, body) = request.into_parts();
    let mut held = bounds.under_way.hold();
    match tokio::time::timeout(bounds.time, read(body, bounds.size, &mut held)).await {
        Ok(Ok(body)) => {
            if let Some(slot) = parts.extensions.get::<Arc<Slot>>() {
                slot.serves();
            }
            next.run(Request::from_parts(parts, Body::from(body))).await
        }
        Ok(Err(Fault::TooLarge)) => last(bounds.too_large()),
        Ok(Err(Fault::TooMany)) => {
            let text = "too many request bodies are under way (http.max_under_way); try again later";
            last(Problem::new(StatusCode::SERVICE_UNAVAILABLE, text))
        }
        Ok(Err(Fault::Broken(error))) => {
            last(Problem::bad_request(format!("the request body could not be read: {error}")))
        }
        Err(_) => {
            let text = "the request body did not come in time (http.body_timeout)";
            last(Problem::new(StatusCode::REQUEST_TIMEOUT, text))
        }
    }
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
