//! Which query parameters each endpoint of `/api/v1` knows. Others are refused: a filter that is not known would answer with
//! everything, as if it had been filtered. Those are known that [`openapi`] documents: the fields of what the handlers read.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::openapi;
use super::problem::Problem;

pub(super) async fn check(request: Request, next: Next) -> Response {
    match unknown(&request) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

fn unknown(request: &Request) -> Option<Problem> {
    let path = request.extensions().get::<MatchedPath>()?.as_str();
    if !path.starts_with("/api/") {
        return None;
    }
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let known = openapi::query_parameters(method, path);
    let query = request.uri().query().unwrap_or_default();
    let names = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or_default());
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if !known.iter().any(|known| known == name) {
            let knows = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let name: String = name.chars().take(64).collect();
            return Some(Problem::bad_request(format!("there is no query parameter {name:?} here; known: {knows}")));
        }
        if seen.contains(&name) {
            return Some(Problem::bad_request(format!("the query parameter {name} is there twice")));
        }
        seen.push(name);
    }
    None
}
