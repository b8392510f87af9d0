//! The handlers of the JSON API, and the document that is made from them.

use utoipa::OpenApi;

use super::super::{
    bulk, devices, events, groups, health, history, metrics, operations, overview, push_details, pushes, recipients,
    users, waiting_joins,
};
use super::common;

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
    components(schemas(super::super::problem::Problem))
)]
struct Handlers;

/// The document as it is in docs/openapi.json.
pub(super) fn text() -> String {
    let mut document = Handlers::openapi();
    common::complete(&mut document);
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
