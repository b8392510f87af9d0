//! Request bodies are read here, whole: one place for how large and how slow they may be.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::problem::Problem;
use crate::config;

#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    size: usize,
    time: Duration,
}

impl Bounds {
    pub(super) fn new(config: &config::Http) -> Self {
        Self { size: config.max_body, time: config.body_timeout }
    }

    fn too_large(self) -> Problem {
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
    let whole = tokio::time::timeout(bounds.time, Limited::new(body, bounds.size).collect());
    match whole.await {
        Ok(Ok(body)) => next.run(Request::from_parts(parts, Body::from(body.to_bytes()))).await,
        Ok(Err(error)) if error.is::<LengthLimitError>() => last(bounds.too_large()),
        Ok(Err(error)) => last(Problem::bad_request(format!("the request body could not be read: {error}"))),
        Err(_) => {
            let text = "the request body did not come in time (http.body_timeout)";
            last(Problem::new(StatusCode::REQUEST_TIMEOUT, text))
        }
    }
}

/// The last answer of a connection: the rest of the request is not wanted.
fn last(problem: Problem) -> Response {
    let mut response = problem.into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
