//! Errors as `application/problem+json` (RFC 9457).

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::gateway::Refused;
use crate::store;

/// An error as the client sees it.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    #[serde(skip)]
    kind: StatusCode,
    title: &'static str,
    status: u16,
    detail: String,
    /// The PAP code that says the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

impl Problem {
    pub(super) fn new(kind: StatusCode, detail: impl Into<String>) -> Self {
        let title = kind.canonical_reason().unwrap_or("Error");
        Self { kind, title, status: kind.as_u16(), detail: detail.into(), code: None }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    fn with_code(mut self, code: u16) -> Self {
        self.code = Some(code);
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = self.kind;
        (kind, [(header::CONTENT_TYPE, "application/problem+json")], Json(self)).into_response()
    }
}

// The Json wrapper sets its own type first and the one above replaces it: the order of the tuple matters.

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Full | store::Error::Closed => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway cannot store anything now; try again later")
            }
            store::Error::Open(_) | store::Error::Sqlite(_) | store::Error::Unreadable(_) => {
                tracing::error!(%error, "a request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the store failed; the log says more")
            }
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let (kind, code) = match &refused {
            Refused::BadRequest(_) => (StatusCode::BAD_REQUEST, 2000),
            Refused::Expired { .. } => (StatusCode::BAD_REQUEST, 2001),
            Refused::Unknown(_) => (StatusCode::NOT_FOUND, 2002),
            Refused::Duplicate(_) => (StatusCode::CONFLICT, 2007),
            Refused::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 4001),
        };
        Self::new(kind, refused.to_string()).with_code(code)
    }
}

macro_rules! rejected {
    ($($rejection:ty),*) => {$(
        impl From<$rejection> for Problem {
            fn from(rejection: $rejection) -> Self {
                Self::new(rejection.status(), rejection.body_text())
            }
        }
    )*};
}
rejected!(JsonRejection, PathRejection, QueryRejection, BytesRejection);

/// axum's extractors, with problems for errors.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub(super) struct Body<T>(pub(super) T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(super) struct Path<T>(pub(super) T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(super) struct Query<T>(pub(super) T);

pub(super) async fn no_such_path() -> Problem {
    Problem::not_found("there is nothing at this path")
}

pub(super) async fn no_such_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not have this method")
}
