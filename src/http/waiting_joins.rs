//! `GET /api/v1/group-requests`: the joins of all groups that wait for a decision.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::listing::{Page, next};
use super::problem::{Problem, Query};
use crate::clock;
use crate::store::{JoinPlace, WaitingJoin};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WaitingJoins {
    requests: Vec<Shown>,
    #[schema(required)]
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitingJoin)]
struct Shown {
    group: String,
    user: String,
    requested_at: String,
}

impl From<WaitingJoin> for Shown {
    fn from(join: WaitingJoin) -> Self {
        Self { requested_at: clock::format_utc(join.place.requested_at), group: join.group, user: join.user }
    }
}

/// Lists the joins that wait for a decision, of all groups, those first that have waited longest.
#[utoipa::path(get, path = "/api/v1/group-requests", params(Page), responses((status = 200, body = WaitingJoins)))]
pub(super) async fn list(State(api): State<Arc<Api>>, Query(page): Query<Page>) -> Result<Json<WaitingJoins>, Problem> {
    let unreadable = || Problem::bad_request("after= takes what an earlier answer named as next");
    let after = page.after.as_deref().map(|text| place(text).ok_or_else(unreadable)).transpose()?;
    let limit = page.limit();
    let joins = api.gateway.store().waiting_joins(after.unwrap_or_default(), limit).await?;
    let next = next(&joins, limit, |join| {
        let JoinPlace { requested_at, group, user } = join.place;
        format!("{requested_at}.{group}.{user}")
    });
    Ok(Json(WaitingJoins { requests: joins.into_iter().map(Into::into).collect(), next }))
}

fn place(text: &str) -> Option<JoinPlace> {
    let (requested_at, rest) = text.split_once('.')?;
    let (group, user) = rest.split_once('.')?;
    Some(JoinPlace { requested_at: requested_at.parse().ok()?, group: group.parse().ok()?, user: user.parse().ok()? })
}
