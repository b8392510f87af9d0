//! Errors as `application/problem+json` (RFC 9457).

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::gateway::Refused;
use crate::store;

/// Seconds after which a request that was answered with 503 may have better luck.
pub(super) const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// An error as the client sees it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    #[serde(skip)]
    kind: StatusCode,
    /// The answer says which protocol is spoken here (RFC 9110 §15.5.22).
    #[serde(skip)]
    pub(super) upgrade: bool,
    /// Seconds.
    #[serde(skip)]
    retry_after: Option<u64>,
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong, in a sentence.
    detail: String,
    /// The PAP code that says the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

impl Problem {
    pub(super) fn new(kind: StatusCode, detail: impl Into<String>) -> Self {
        let title = kind.canonical_reason().unwrap_or("Error");
        Self {
            kind,
            upgrade: false,
            retry_after: None,
            title,
            status: kind.as_u16(),
            detail: detail.into(),
            code: None,
        }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn kind(&self) -> StatusCode {
        self.kind
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.kind == StatusCode::NOT_FOUND
    }

    pub(super) fn told(&self) -> Told {
        Told { detail: self.detail.clone(), code: self.code }
    }

    /// The answer says when there is room again (RFC 6585 §4).
    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.as_secs().max(1));
        self
    }

    pub(super) fn with_code(mut self, code: u16) -> Self {
        self.code = Some(code);
        self
    }
}

/// What a problem says, for those who say it in another form: an extension of its response.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) detail: String,
    pub(super) code: Option<u16>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (kind, told, upgrade, retry_after) = (self.kind, self.told(), self.upgrade, self.retry_after);
        let mut response = (kind, [(header::CONTENT_TYPE, "application/problem+json")], Json(self)).into_response();
        response.extensions_mut().insert(told);
        if upgrade {
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if kind == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

// The Json wrapper sets its own type first and the one above replaces it: the order of the tuple matters.

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Full | store::Error::Busy | store::Error::Closed => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway cannot store anything now; try again later")
            }
            store::Error::Open(_)
            | store::Error::Damaged(_)
            | store::Error::Sqlite(_)
            | store::Error::Unreadable(_) => {
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
            Refused::Expired { .. } | Refused::Notify(_) => (StatusCode::BAD_REQUEST, 2001),
            Refused::NotAllowed(_) => (StatusCode::FORBIDDEN, 2001),
            Refused::Unknown(_) => (StatusCode::NOT_FOUND, 2002),
            Refused::Duplicate(_) => (StatusCode::CONFLICT, 2007),
            Refused::UnknownOld(_) => (StatusCode::NOT_FOUND, 2004),
            Refused::NothingPending(_) | Refused::LongChain(_) => (StatusCode::CONFLICT, 2008),
            Refused::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, 4001),
            Refused::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, 4001),
        };
        let problem = Self::new(kind, refused.to_string()).with_code(code);
        match refused {
            Refused::TooMany { wait, .. } => problem.retry_after(wait),
            _ => problem,
        }
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
rejected!(PathRejection, BytesRejection);

impl From<QueryRejection> for Problem {
    /// The cause names the parameter and what was expected; axum's own words are about deserializing.
    fn from(rejection: QueryRejection) -> Self {
        let cause = std::error::Error::source(&rejection).map(ToString::to_string);
        Self::new(rejection.status(), cause.unwrap_or_else(|| rejection.body_text()))
    }
}

/// A JSON object as request body, whatever Content-Type it comes with: `curl -d` sends another one.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await?;
        object(&bytes)
            .map(Self)
            .map_err(|error| Problem::bad_request(format!("the body is not as expected: {error}")).with_code(2000))
    }
}

/// Reads a JSON object. An array would pass for one otherwise: its elements count as the fields in their order.
pub(super) fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes)?;
    serde_json::from_value(fields.into())
}

/// axum's other extractors, with problems for errors.

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
