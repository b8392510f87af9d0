//! The JSON API describes itself: `GET /openapi.json` is an OpenAPI 3.1 document, and `GET /api` shows it to people. It is made
//! from the handlers, their types and what is said of them there; what holds for all of them is added in [`common`]. Which
//! query parameters are known, and what is in docs/openapi.json, comes from it too.

mod common;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::{Method, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::OpenApi;

use super::{
    bulk, console, devices, events, groups, health, history, metrics, operations, overview, push_details, pushes,
    recipients, users, waiting_joins,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "papcast"),
    paths(
        health::alive,
        health::ready,
        metrics::show,
        pushes::list,
        pushes::submit,
        pushes::show,
        pushes::cancel,
        push_details::progress,
        push_details::document,
        recipients::list,
        groups::list,
        groups::show,
        groups::put,
        groups::delete,
        groups::members,
        groups::bind,
        groups::unbind,
        groups::requests,
        groups::decide,
        bulk::members,
        bulk::decide,
        history::of_group,
        history::audit,
        users::show,
        users::erase,
        users::trace,
        users::end_trace,
        users::disconnect,
        users::disconnect_one,
        users::group_request,
        waiting_joins::list,
        overview::show,
        operations::alarms,
        operations::configuration,
        operations::notifications,
        operations::repairs,
        events::stream,
        devices::list,
        devices::forget,
    ),
    components(schemas(super::problem::Problem))
)]
struct Handlers;

/// What is made of the handlers, once.
struct Document {
    text: String,
    /// The query parameters of each path and method.
    query: HashMap<String, Vec<(Method, Vec<String>)>>,
}

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
    let mut document = Handlers::openapi();
    common::complete(&mut document);
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    let query = document.paths.paths.iter_mut().map(|(path, item)| {
        let of_methods = common::operations(item).map(|(method, operation)| (method, common::query_names(operation)));
        (path.clone(), of_methods.collect())
    });
    Document { query: query.collect(), text }
});

/// The query parameters that an endpoint knows.
pub(super) fn query_parameters(method: &Method, path: &str) -> &'static [String] {
    let of_path = DOCUMENT.query.get(path).map_or(&[][..], Vec::as_slice);
    of_path.iter().find(|(of, _)| of == method).map_or(&[], |(_, names)| names)
}

pub(super) async fn document() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, DOCUMENT.text.as_str()).into_response()
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
