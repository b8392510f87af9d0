//! A span for each request. Without the feature `otel` there is none, and nothing is in the way of a request.

use axum::Router;
#[cfg(feature = "otel")]
use axum::extract::{MatchedPath, Request};
#[cfg(feature = "otel")]
use axum::middleware::{Next, from_fn};
#[cfg(feature = "otel")]
use axum::response::Response;

#[cfg(feature = "otel")]
use crate::trace::Span;

/// The same paths. What is called last here comes first.
pub(super) fn traced(router: Router) -> Router {
    #[cfg(feature = "otel")]
    let router = router.layer(from_fn(answer));
    router
}

#[cfg(feature = "otel")]
async fn answer(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let span = Span::request(request.method(), route, request.headers());
    let response = span.around(next.run(request)).await;
    span.status(response.status().as_u16());
    response
}
