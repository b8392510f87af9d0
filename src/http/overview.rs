//! `/api/v1/status`: how the gateway stands, in one answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::problem::Problem;
use crate::clock;
use crate::store;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(super) struct Overview {
    version: &'static str,
    started_at: String,
    /// `open` or `required`.
    mode: &'static str,
    /// Whether pushes are taken.
    taking_pushes: bool,
    /// Sessions that are connected now.
    connections: usize,
    users: i64,
    groups: i64,
    /// Users in groups, each counted once for each group.
    memberships: i64,
    /// Addresses of pushes that are not over.
    pending: i64,
    /// Those among them that are not due yet.
    scheduled: i64,
    /// Deliveries that are still owed.
    backlog: i64,
    /// Since when the oldest of them may be delivered.
    #[schema(required)]
    oldest: Option<String>,
    /// Joins that wait for a decision.
    pending_joins: i64,
    notifications_waiting: i64,
    /// Bytes of the store's file.
    store_bytes: i64,
    /// When `papcast backup` copied the store last; null where that is not known.
    #[schema(required)]
    last_backup: Option<String>,
    /// Since the start.
    deliveries: u64,
}

/// Says how the gateway stands.
#[utoipa::path(get, path = "/api/v1/status", responses((status = 200, body = Overview)))]
pub(super) async fn show(State(api): State<Arc<Api>>) -> Result<Json<Overview>, Problem> {
    let path = api.store_path.clone();
    let last_backup = tokio::task::spawn_blocking(move || store::last_backup(&path)).await.unwrap_or_default();
    let totals = api.gateway.store().totals().await?;
    let metrics = &api.gateway.signals().metrics;
    Ok(Json(Overview {
        version: env!("CARGO_PKG_VERSION"),
        started_at: clock::format_utc(metrics.started_at()),
        mode: if api.gateway.requires_sign_in() { "required" } else { "open" },
        taking_pushes: api.readiness.is_taking_work(),
        connections: api.gateway.connection_count(),
        users: totals.users,
        groups: totals.groups,
        memberships: totals.memberships,
        pending: totals.pending,
        scheduled: totals.scheduled,
        backlog: totals.backlog,
        oldest: totals.oldest.map(clock::format_utc),
        pending_joins: totals.pending_joins,
        notifications_waiting: totals.notifications_waiting,
        store_bytes: totals.bytes,
        last_backup: last_backup.map(clock::format_utc),
        deliveries: metrics.deliveries.get(),
    }))
}
