//! The JSON API describes itself: `GET /openapi.json` is an OpenAPI 3.1 document, and `GET /api` shows it to people. It is
//! docs/openapi.json, which a test makes from the handlers, their types and what is said of them there (`handlers.rs`), and from what
//! holds for all of them (`common.rs`). The program has the document and not what makes it, which is much larger. Which query
//! parameters are known comes from the document, too.

#[cfg(test)]
mod common;
#[cfg(test)]
mod handlers;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::{Method, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::console;

const TEXT: &str = include_str!("../../../docs/openapi.json");

/// What is read of the document.
#[derive(Default, Deserialize)]
struct Document {
    /// By path and method.
    paths: HashMap<String, HashMap<String, Operation>>,
}

#[derive(Deserialize)]
struct Operation {
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    #[serde(rename = "in")]
    place: String,
}

/// The names of the query parameters of each method of a path.
type OfMethods = Vec<(Method, Vec<String>)>;

static QUERY: LazyLock<HashMap<String, OfMethods>> = LazyLock::new(|| {
    // A test reads it, too.
    let document: Document = serde_json::from_str(TEXT).unwrap_or_default();
    let in_query = |operation: Operation| {
        let parameters = operation.parameters.into_iter().filter(|parameter| parameter.place == "query");
        parameters.map(|parameter| parameter.name).collect()
    };
    let of_method =
        |(name, operation): (String, Operation)| Some((name.to_uppercase().parse().ok()?, in_query(operation)));
    let paths = document.paths.into_iter();
    paths.map(|(path, methods)| (path, methods.into_iter().filter_map(of_method).collect())).collect()
});

/// The query parameters that an endpoint knows.
pub(super) fn query_parameters(method: &Method, path: &str) -> &'static [String] {
    let of_path = QUERY.get(path).map_or(&[][..], Vec::as_slice);
    of_path.iter().find(|(of, _)| of == method).map_or(&[], |(_, names)| names)
}

pub(super) async fn document() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, TEXT).into_response()
}

pub(super) async fn page() -> Response {
    console::file("text/html; charset=utf-8", include_str!("page.html"))
}

pub(super) async fn script() -> Response {
    console::file("text/javascript; charset=utf-8", include_str!("api.js"))
}

pub(super) async fn style() -> Response {
    console::file("text/css; charset=utf-8", include_str!("api.css"))
}
