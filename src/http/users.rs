//! `/api/v1/users` and `/api/v1/group-requests`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::groups::user_id;
use super::problem::{Body, Path, Problem, RETRY_AFTER};
use super::{Api, to_the_end};
use crate::caller::Caller;
use crate::clock;
use crate::gateway::{Connection, GroupRequest, Reason};

#[derive(Debug, Serialize)]
pub(super) struct ShownUser {
    user: String,
    groups: Vec<ShownGroup>,
    connections: Vec<Connection>,
}

#[derive(Debug, Serialize)]
struct ShownGroup {
    group: String,
    topic: String,
    joined_at: String,
    source: String,
}

pub(super) async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Json<ShownUser>, Problem> {
    let user = user_id(&id)?;
    let bindings = api.gateway.store().bindings(user.clone()).await?;
    let connections = api.gateway.connections(&user);
    if bindings.is_empty() && connections.is_empty() {
        return Err(Problem::not_found(format!("there is no user {id:?}")));
    }
    let groups = bindings.into_iter().map(|binding| ShownGroup {
        topic: binding.group.topic(),
        group: binding.group.to_string(),
        joined_at: clock::format_utc(binding.joined_at),
        source: binding.source,
    });
    Ok(Json(ShownUser { user: user.to_string(), groups: groups.collect(), connections }))
}

/// How many connections were ended.
#[derive(Debug, Serialize)]
pub(super) struct Disconnected {
    disconnected: usize,
}

/// Ends all connections of a user; they may come back at once.
pub(super) async fn disconnect(
    State(api): State<Arc<Api>>,
    Path(user): Path<String>,
) -> Result<Json<Disconnected>, Problem> {
    let user = user_id(&user)?;
    Ok(Json(Disconnected { disconnected: api.gateway.disconnect(user, None).await }))
}

/// Ends one of them.
pub(super) async fn disconnect_one(
    State(api): State<Arc<Api>>,
    Path((user, client)): Path<(String, String)>,
) -> Result<Json<Disconnected>, Problem> {
    let user = user_id(&user)?;
    match api.gateway.disconnect(user, Some(client)).await {
        0 => Err(Problem::not_found("the user has no connection with this client id")),
        disconnected => Ok(Json(Disconnected { disconnected })),
    }
}

/// The group request of a terminal without MQTT. It is answered with what an MQTT terminal would get; the HTTP code says
/// the same to those who only look at that.
pub(super) async fn group_request(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Body(request): Body<GroupRequest>,
) -> Result<Response, Problem> {
    let (answer, _) =
        to_the_end(async move { api.gateway.group_request(request, &caller, caller.user()).await }).await?;
    let status = match answer.reason {
        None => StatusCode::OK,
        Some(Reason::BadRequest) => StatusCode::BAD_REQUEST,
        Some(Reason::NotAuthorized | Reason::GroupClosed) => StatusCode::FORBIDDEN,
        Some(Reason::GroupUnknown | Reason::NoGroupAssigned) => StatusCode::NOT_FOUND,
        Some(Reason::LimitReached) => StatusCode::CONFLICT,
        Some(Reason::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = (status, Json(answer)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    Ok(response)
}
