//! `/api/v1/pushes/{push_id}/progress` and `…/document`: how a push came to its members, and how it came to the gateway.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::listing::Whose;
use super::problem::{Path, Problem, Query};
use crate::caller::Caller;
use crate::clock;
use crate::policy::Action;

/// Points of one curve.
const POINTS: usize = 200;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Progress {
    /// In order of time, 200 at most. What one flush of acknowledgements brought has one time (`store.flush_interval`).
    points: Vec<Point>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Point {
    at: String,
    /// How many had it by then.
    delivered: u64,
}

/// Says how many members had a push by when.
#[utoipa::path(
    get,
    path = "/api/v1/pushes/{push_id}/progress",
    params(Whose),
    responses((status = 200, body = Progress), (status = 404, description = "There is no such push."))
)]
pub(super) async fn progress(
    State(api): State<Arc<Api>>,
    Path(push_id): Path<String>,
    Query(whose): Query<Whose>,
    caller: Caller,
) -> Result<Json<Progress>, Problem> {
    let initiator = whose.of(&caller, Action::SeeAllPushes);
    let points = api.gateway.store().progress(initiator, push_id.clone(), POINTS).await?;
    let points = points.ok_or_else(|| Problem::not_found(format!("there is no push {push_id:?}")))?;
    let shown = points.into_iter().map(|point| Point { at: clock::format_utc(point.at), delivered: point.delivered });
    Ok(Json(Progress { points: shown.collect() }))
}

/// A PAP document as it came.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PapDocument {
    /// The path that it was posted to.
    endpoint: String,
    content_type: String,
    /// Bytes of the whole document.
    size: usize,
    /// Whether all of it is here.
    complete: bool,
    /// As text, 16 KiB at most, without passwords in addresses.
    document: String,
    /// What was not as the specification has it.
    repairs: Vec<ShownRepair>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Repair)]
struct ShownRepair {
    /// Of the table in docs/pap.md.
    row: &'static str,
    /// In words.
    repair: String,
}

/// Shows the PAP document that a push came as.
///
/// The newest ones are kept in memory (`history.pap_documents`): not those of before the gateway started, and none of a push that
/// came as JSON.
#[utoipa::path(
    get,
    path = "/api/v1/pushes/{push_id}/document",
    params(Whose),
    responses((status = 200, body = PapDocument), (status = 404, description = "There is none."))
)]
pub(super) async fn document(
    State(api): State<Arc<Api>>,
    Path(push_id): Path<String>,
    Query(whose): Query<Whose>,
    caller: Caller,
) -> Result<Json<PapDocument>, Problem> {
    let initiator = whose.of(&caller, Action::SeeAllPushes);
    let kept = api.observer.documents.find(&initiator, &push_id);
    let kept = kept.ok_or_else(|| Problem::not_found(format!("no PAP document of the push {push_id:?} is kept")))?;
    Ok(Json(PapDocument {
        complete: kept.is_whole(),
        document: kept.text(),
        repairs: kept
            .repairs
            .iter()
            .map(|repair| ShownRepair { row: repair.row(), repair: repair.to_string() })
            .collect(),
        endpoint: kept.endpoint,
        content_type: kept.content_type,
        size: kept.size,
    }))
}
