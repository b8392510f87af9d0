//! The HTTP side: PAP endpoints, the JSON API, health. The only user of axum.
//!
//! | file | job |
//! | --- | --- |
//! | [`server`], [`stream`], [`remote`] | connections over TCP and TLS, timeouts, graceful stop |
//! | [`connection_socket`], [`folded_headers`] | one connection: folded headers put right, closed so that the last answer arrives |
//! | [`connection_slots`] | places for connections, and who goes when there are too few |
//! | [`request_id`] | the name of each request, for logs and events |
//! | [`request_body`] | how large and how slow a request body may be, and who comes too late |
//! | [`access`] | who sends a request, and whether he may |
//! | [`live`] | what is served now, after the configuration was read again |
//! | [`console`], [`origin`] | the operator's pages and his sessions; pages of others |
//! | [`health`], [`metrics`] | `/healthz`, `/readyz` and `/metrics` |
//! | [`pap`] | PAP over POST |
//! | [`pushes`], [`shown_push`], [`push_details`], [`recipients`], [`groups`], [`waiting_joins`], [`bulk`], [`operations`], [`users`], [`devices`], [`history`], [`events`], [`overview`] | `/api/v1/…` |
//! | [`openapi`] | `/openapi.json` and `/api`: what `/api/v1/…` is, made from its handlers |
//! | [`websocket`] | `/mqtt`: connections that go on to the MQTT side |
//! | [`query_parameters`], [`listing`], [`csv`] | the query parameters that each of them knows; pages; lists as CSV |
//! | [`traced`] | a span for each request, where traces are built in |
//! | [`repeat_digest`] | what tells a repeated submission from another one |
//! | [`problem`] | errors as RFC 9457 documents: the one place that turns them into answers |

mod access;
mod bulk;
mod connection_slots;
mod connection_socket;
mod console;
mod csv;
mod devices;
mod events;
mod folded_headers;
mod groups;
mod health;
mod history;
mod listing;
mod live;
mod metrics;
mod openapi;
mod operations;
mod origin;
mod overview;
mod pap;
mod problem;
mod push_details;
mod pushes;
mod query_parameters;
mod recipients;
mod remote;
mod repeat_digest;
mod request_body;
mod request_id;
mod server;
mod shown_push;
mod stream;
mod traced;
mod users;
mod waiting_joins;
mod websocket;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, get, post, put};

pub use health::Readiness;
pub use live::Live;
pub use server::{Stop, serve};

use crate::budget::Budget;
use crate::config::{AuthMode, Config, Setting};
use crate::gateway::{Accepted, Gateway, PushRequest, Refused};
use crate::listeners::Upgrades;
use crate::rate_limit::RateLimits;
use crate::signals::Signals;
use crate::trace::{self, Span};

/// What is not known to come from anybody.
const NOBODY: &str = "anonymous";

/// What every handler gets.
#[derive(Debug)]
struct Api {
    gateway: Arc<Gateway>,
    readiness: Readiness,
    limits: crate::pap::Limits,
    observer: pap::Observer,
    sessions: Arc<console::Sessions>,
    /// Places for those who follow events.
    event_streams: Budget,
    settings: Arc<[Setting]>,
    store_path: PathBuf,
}

/// What every router is made with.
#[derive(Debug, Clone)]
pub struct Site {
    gateway: Arc<Gateway>,
    readiness: Readiness,
    observer: pap::Observer,
    upgrades: Upgrades,
    sessions: Arc<console::Sessions>,
    /// How often who has asked, and the bytes of bodies that are under way: a new router goes on with them.
    rates: Arc<RateLimits<access::Asker>>,
    under_way: Budget,
    /// Places for those who follow events.
    event_streams: Budget,
}

impl Site {
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, readiness: Readiness, signals: Arc<Signals>, upgrades: Upgrades) -> Self {
        Self {
            gateway,
            readiness,
            observer: pap::Observer::new(signals),
            upgrades,
            sessions: Arc::default(),
            rates: Arc::default(),
            under_way: Budget::new(0),
            event_streams: Budget::new(0),
        }
    }
}

/// The JSON API.
fn api_routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/pushes", get(pushes::list).post(pushes::submit))
        .route("/api/v1/pushes/{push_id}", get(pushes::show).delete(pushes::cancel))
        .route("/api/v1/pushes/{push_id}/recipients", get(recipients::list))
        .route("/api/v1/pushes/{push_id}/progress", get(push_details::progress))
        .route("/api/v1/pushes/{push_id}/document", get(push_details::document))
        .route("/api/v1/groups", get(groups::list))
        .route("/api/v1/groups/{group}", get(groups::show).put(groups::put).delete(groups::delete))
        .route("/api/v1/groups/{group}/members", get(groups::members).post(bulk::members))
        .route("/api/v1/groups/{group}/history", get(history::of_group))
        .route("/api/v1/groups/{group}/members/{user}", put(groups::bind).delete(groups::unbind))
        .route("/api/v1/groups/{group}/requests", get(groups::requests).post(bulk::decide))
        .route("/api/v1/groups/{group}/requests/{user}", post(groups::decide))
        .route("/api/v1/users/{user}", get(users::show).delete(users::erase))
        .route("/api/v1/users/{user}/trace", post(users::trace).delete(users::end_trace))
        .route("/api/v1/users/{user}/connections", delete(users::disconnect))
        .route("/api/v1/users/{user}/connections/{client_id}", delete(users::disconnect_one))
        .route("/api/v1/group-requests", get(waiting_joins::list).post(users::group_request))
        .route("/api/v1/status", get(overview::show))
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/devices", get(devices::list))
        .route("/api/v1/devices/forget", post(devices::forget))
        .route("/api/v1/audit", get(history::audit))
        .route("/api/v1/alarms", get(operations::alarms))
        .route("/api/v1/configuration", get(operations::configuration))
        .route("/api/v1/notifications", get(operations::notifications))
        .route("/api/v1/repairs", get(operations::repairs))
}

/// The JSON API for the console, which has found out before who asks.
fn api_in_process(api: &Arc<Api>) -> Router {
    api_routes()
        .fallback(problem::no_such_path)
        .route_layer(axum::middleware::from_fn(query_parameters::check))
        .route_layer(axum::middleware::from_fn(access::allowed))
        .with_state(Arc::clone(api))
}

/// All paths.
pub fn router(site: &Site, config: &Config) -> Router {
    let Site { gateway, readiness, observer, upgrades, sessions, rates, under_way, event_streams } = site.clone();
    let limits = crate::pap::Limits {
        addresses: config.push.max_addresses,
        depth: config.pap.max_depth,
        attributes: config.pap.max_attributes,
        parts: config.pap.max_parts,
        value: config.pap.max_value,
        header_lines: config.pap.max_header_lines,
        header_line: config.pap.max_header_line,
        strict: false,
    };
    let intake = request_body::Intake::new(&config.http, readiness.clone(), Arc::clone(&observer.signals), under_way);
    let access = access::Access::new(Arc::clone(&gateway), Arc::clone(&sessions), rates, config);
    event_streams.set_most(config.http.max_event_streams);
    observer.documents.set_most(config.history.pap_documents);
    let settings = config.settings.as_slice().into();
    let store_path = config.store.path.clone();
    let api = Arc::new(Api { gateway, readiness, limits, observer, sessions, event_streams, settings, store_path });
    let mut endpoints = HashMap::new();
    let mut router = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show))
        .route("/console/session", get(console::whoami).post(console::sign_in).delete(console::sign_out))
        .route("/openapi.json", get(openapi::document))
        .route("/api", get(openapi::page))
        .route("/api/api.js", get(openapi::script))
        .route("/api/api.css", get(openapi::style))
        .route("/mqtt", websocket::route(upgrades, config.auth.mode == AuthMode::Open))
        .merge(api_routes())
        .route_layer(axum::middleware::from_fn(query_parameters::check))
        .merge(console::routes(api_in_process(&api)));
    #[cfg(debug_assertions)]
    {
        router = router.route("/debug/faults/{name}", post(health::inject));
    }
    for (path, endpoint) in &config.pap.endpoints {
        let endpoint = pap::Endpoint::from(endpoint);
        endpoints.insert(path.clone(), endpoint);
        router = router.route(path, post(move |api, request| pap::handle(api, endpoint, request)));
    }
    let endpoints = pap::Endpoints::new(endpoints, api.observer.clone());
    let router = router
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(axum::middleware::from_fn_with_state(Arc::new(intake), request_body::collect))
        // The layer above has the limit already.
        .layer(DefaultBodyLimit::disable())
        .layer(axum::middleware::from_fn_with_state(Arc::new(access), access::check))
        .layer(axum::middleware::from_fn_with_state(Arc::new(endpoints), pap::in_pap))
        .layer(axum::middleware::from_fn(request_id::name))
        .with_state(api);
    traced::traced(router)
}

/// What a port answers that is for metrics alone.
pub fn metrics_router(signals: &Arc<Signals>) -> Router {
    let signals = Arc::clone(signals);
    let shown = move |headers: HeaderMap| async move { metrics::answer(&signals, &headers) };
    traced::traced(Router::new().route("/metrics", get(shown)).fallback(problem::no_such_path))
}

/// What a port answers that is for MQTT over WebSocket alone.
pub fn websocket_router(upgrades: Upgrades, mode: AuthMode) -> Router {
    let believes_all = mode == AuthMode::Open;
    let router = Router::new()
        .route("/mqtt", websocket::route(upgrades.clone(), believes_all))
        .route("/", websocket::route(upgrades, believes_all))
        .fallback(problem::no_such_path);
    traced::traced(router)
}

/// Finishes work that must not stop half-way, even if the client that asked for it goes away.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, problem::Problem> {
    let unfinished =
        |_| problem::Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed; the log says more");
    tokio::spawn(trace::inherit(work)).await.map_err(unfinished)
}

/// Submits a push. A replacement holds pushes back for a moment and must come to its end; anything else is one
/// transaction, with or without somebody to wait for it.
async fn submit(gateway: Arc<Gateway>, request: PushRequest) -> Result<Result<Accepted, Refused>, problem::Problem> {
    let span = Span::submission(&request.push_id, || request.caller.initiator());
    let submitted = if request.replace.is_none() {
        Ok(span.around(gateway.submit(request)).await)
    } else {
        span.around(to_the_end(async move { gateway.submit(request).await })).await
    };
    span.code(pap::code_of(&submitted).0);
    submitted
}
