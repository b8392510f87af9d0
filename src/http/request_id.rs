//! `X-Request-Id`: one name for a request, from the one who sent it or made here. It is in the answer, in the log lines about a
//! push until its last acknowledgement, and in its events.

use axum::extract::Request;
use axum::http::{Extensions, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Bytes of one that is taken over.
const LONGEST: usize = 128;

/// The name of the request that is being answered.
#[derive(Debug, Clone)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    pub(super) fn of(extensions: &Extensions) -> Option<&str> {
        extensions.get::<Self>().and_then(|id| id.0.to_str().ok())
    }
}

/// Gives each request a name, and its answer the same.
pub(super) async fn name(mut request: Request, next: Next) -> Response {
    let said = request.headers().get(&HEADER).filter(|value| is_fit(value)).cloned();
    let id = said.or_else(|| HeaderValue::try_from(uuid::Uuid::now_v7().simple().to_string()).ok());
    let Some(id) = id else { return next.run(request).await };
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    response.headers_mut().insert(HEADER, id);
    response
}

/// It goes into logs and headers: visible ASCII, and not too much of it.
fn is_fit(value: &HeaderValue) -> bool {
    !value.is_empty() && value.len() <= LONGEST && value.as_bytes().iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_spoil_a_log_line_is_no_name() {
        assert!(is_fit(&HeaderValue::from_static("req-7/a")));
        for bad in ["", "two words", &"x".repeat(129), "h\u{e9}"] {
            assert!(!is_fit(&HeaderValue::from_bytes(bad.as_bytes()).unwrap()), "{bad}");
        }
    }
}
