//! The HTTP side: PAP endpoints, the JSON API, health. The only user of axum.
//!
//! | file | job |
//! | --- | --- |
//! | [`server`] | sockets, timeouts, graceful stop |
//! | [`body`] | how large and how slow a request body may be |
//! | [`pap`] | PAP over POST |
//! | [`pushes`], [`recipients`], [`groups`], [`users`] | `/api/v1/…` |
//! | [`digest`] | what tells a repeated submission from another one |
//! | [`problem`] | errors as RFC 9457 documents: the one place that turns them into answers |

mod body;
mod digest;
mod groups;
mod pap;
mod problem;
mod pushes;
mod recipients;
mod server;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};

pub use server::{Stop, serve};

use crate::config::Config;
use crate::gateway::{Accepted, Gateway, PushRequest, Refused};

/// Who submits where nobody has to say who he is.
const ANYBODY: &str = "anonymous";

/// Whether new work is welcome: true from the ready line until the stop.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What every handler gets.
#[derive(Debug, Clone)]
struct Api {
    gateway: Arc<Gateway>,
    readiness: Readiness,
    limits: crate::pap::Limits,
    observer: pap::Observer,
}

/// All paths.
pub fn router(gateway: Arc<Gateway>, readiness: Readiness, config: &Config) -> Router {
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
    let api = Api { gateway, readiness, limits, observer: pap::Observer::default() };
    let mut router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/pushes", get(pushes::list).post(pushes::submit))
        .route("/api/v1/pushes/{push_id}", get(pushes::show).delete(pushes::cancel))
        .route("/api/v1/pushes/{push_id}/recipients", get(recipients::list))
        .route("/api/v1/groups", get(groups::list))
        .route("/api/v1/groups/{group}", get(groups::show).put(groups::put).delete(groups::delete))
        .route("/api/v1/groups/{group}/members", get(groups::members))
        .route("/api/v1/groups/{group}/members/{user}", put(groups::bind).delete(groups::unbind))
        .route("/api/v1/groups/{group}/requests", get(groups::requests))
        .route("/api/v1/groups/{group}/requests/{user}", post(groups::decide))
        .route("/api/v1/users/{user}", get(users::show))
        .route("/api/v1/group-requests", post(users::group_request));
    for (path, endpoint) in &config.pap.endpoints {
        let endpoint = pap::Endpoint::from(endpoint);
        router = router.route(path, post(move |api, request| pap::handle(api, endpoint, request)));
    }
    router
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(axum::middleware::from_fn_with_state(body::Bounds::new(&config.http), body::collect))
        // The layer above has the limit already.
        .layer(DefaultBodyLimit::disable())
        .layer(axum::middleware::from_fn_with_state(api.readiness.clone(), while_ready))
        .with_state(api)
}

/// No new work once the stop has begun; who only looks is still answered.
async fn while_ready(State(readiness): State<Readiness>, request: Request, next: Next) -> Response {
    if readiness.get() || matches!(request.uri().path(), "/healthz" | "/readyz" | "/metrics") {
        return next.run(request).await;
    }
    problem::Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping; try again later").into_response()
}

/// Finishes work that must not stop half-way, even if the client that asked for it goes away.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, problem::Problem> {
    let unfinished =
        |_| problem::Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed; the log says more");
    tokio::spawn(work).await.map_err(unfinished)
}

/// Submits a push. A replacement holds pushes back for a moment and must come to its end; anything else is one
/// transaction, with or without somebody to wait for it.
async fn submit(gateway: Arc<Gateway>, request: PushRequest) -> Result<Result<Accepted, Refused>, problem::Problem> {
    if request.replace.is_none() {
        return Ok(gateway.submit(request).await);
    }
    to_the_end(async move { gateway.submit(request).await }).await
}

async fn metrics(State(api): State<Api>) -> impl axum::response::IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(axum::http::header::CONTENT_TYPE, kind)], api.observer.metrics.render())
}

async fn ready(State(api): State<Api>) -> (StatusCode, &'static str) {
    if api.readiness.get() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}
