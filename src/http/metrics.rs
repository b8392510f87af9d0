//! `/metrics`: in OpenMetrics where that is asked for, else in the older Prometheus text format.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};

use super::Api;
use crate::signals::Signals;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Numbers for Prometheus; in OpenMetrics where that is asked for.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, content((String = "text/plain"), (String = "application/openmetrics-text"))))
)]
pub(super) async fn show(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    answer(api.gateway.signals(), &headers)
}

pub(super) fn answer(signals: &Signals, headers: &HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let is_open = accepted.into_iter().any(|value| value.contains("application/openmetrics-text"));
    let (kind, text) = if is_open {
        (OPEN_METRICS, signals.metrics.open_metrics())
    } else {
        (PROMETHEUS, signals.metrics.prometheus_text())
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
