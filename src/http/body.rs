//! Request bodies are read here, whole: one place for how large and how slow they may be.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
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
}

pub(super) async fn collect(State(bounds): State<Bounds>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let whole = tokio::time::timeout(bounds.time, Limited::new(body, bounds.size).collect());
    let problem = match whole.await {
        Ok(Ok(body)) => return next.run(Request::from_parts(parts, Body::from(body.to_bytes()))).await,
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text = format!("a request body has {} bytes at most (http.max_body)", bounds.size);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text)
        }
        Ok(Err(error)) => Problem::bad_request(format!("the request body could not be read: {error}")),
        Err(_) => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "the request body did not come in time (http.body_timeout)")
        }
    };
    problem.into_response()
}
