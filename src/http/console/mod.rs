//! `/console`: what an operator looks at. Pages are made here, of nothing but the answers of the JSON API, asked for with the
//! rights of whoever looks: what a page shows, a script can ask for, and each page says how. What changes something is asked of the
//! JSON API by the page's script. Nothing is built beforehand, and nothing comes from elsewhere.
//!
//! | file | job |
//! | --- | --- |
//! | [`mod@sign_in`], [`sessions`] | signing in with a token, and out |
//! | [`ask`], [`answers`] | asking the JSON API, and what is read of its answers |
//! | [`visitor`] | who looks, and what he may |
//! | [`frame`], [`parts`], [`charts`] | what pages have in common: head and foot, times, links, tables, bars and curves |
//! | [`home`], [`push_list`], [`push_page`], [`send`], [`group_list`], [`group_page`], [`device_list`], [`device_page`], [`live`], [`operations`] | the pages |

mod answers;
mod ask;
mod charts;
mod device_list;
mod device_page;
mod frame;
mod group_list;
mod group_page;
mod home;
mod live;
mod operations;
mod parts;
mod push_list;
mod push_page;
mod send;
mod sessions;
mod sign_in;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

pub(super) use sessions::{Session, Sessions};
pub(super) use sign_in::{CSRF, named_in, sign_in, sign_out, whoami};

use ask::Ask;

/// Nothing from elsewhere, and nothing inside another page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Its pages. `api`: the JSON API, without what comes before it on the way in.
pub(super) fn routes<S: Clone + Send + Sync + 'static>(api: Router) -> Router<S> {
    Router::new()
        .route("/console", get(home::page))
        .route("/console/attention", get(home::attention))
        .route("/console/pushes", get(push_list::page))
        .route("/console/pushes/{push_id}", get(push_page::page))
        .route("/console/pushes/{push_id}/bar", get(push_page::bar))
        .route("/console/send", get(send::page))
        .route("/console/groups", get(group_list::page))
        .route("/console/groups/{group}", get(group_page::page))
        .route("/console/devices", get(device_list::page))
        .route("/console/devices/{user}", get(device_page::page))
        .route("/console/live", get(live::page))
        .route("/console/operations", get(operations::page))
        .route("/console/sign-in", get(frame::sign_in_page))
        .route("/console/console.js", get(script))
        .route("/console/console.css", get(style))
        .route("/console/icon.svg", get(icon))
        .with_state(Arc::new(Ask::new(api)))
}

/// Whether this is asked for by somebody who looks at pages: he is sent to where he can sign in.
pub(super) fn is_page(method: &Method, path: &str) -> bool {
    method.is_safe() && path != "/console/session" && (path == "/console" || path.starts_with("/console/"))
}

/// To where one can sign in, and from there to what was asked for.
pub(super) fn to_sign_in(asked: &str) -> Response {
    Redirect::to(&format!("/console/sign-in?next={}", parts::encoded(asked))).into_response()
}

/// A file that is compiled in, or a page.
pub(super) fn file(kind: &'static str, text: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("console.js"))
}

async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("console.css"))
}

async fn icon() -> Response {
    file("image/svg+xml", include_str!("icon.svg"))
}
