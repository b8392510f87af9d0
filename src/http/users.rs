//! `/api/v1/users` and `/api/v1/group-requests`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use super::devices::ShownDevice;
use super::groups::{user_id, wants_representation};
use super::problem::{Body, Path, Problem, RETRY_AFTER, object};
use super::{Api, to_the_end};
use crate::caller::Caller;
use crate::clock;
use crate::gateway::{Connection, GroupRequest, Reason};
use crate::ids::UserId;
use crate::signals::Signals;
use crate::store::Erased;

#[derive(Debug, Serialize)]
pub(super) struct ShownUser {
    user: String,
    groups: Vec<ShownGroup>,
    connections: Vec<Connection>,
    /// What is known of its devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<ShownDevice>,
    /// Pushes that it has not answered, the oldest 20.
    owed: Vec<ShownOwed>,
    /// What happened to it last, newest first.
    events: Vec<serde_json::Value>,
    /// Until when its packets are told.
    traced_until: Option<String>,
}

/// A push that a user has not answered.
#[derive(Debug, Serialize)]
struct ShownOwed {
    push_id: String,
    initiator: String,
    address: String,
    created_at: String,
    deliver_before: String,
}

/// Owed pushes that are shown.
const OWED: usize = 20;

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
    let owed = api.gateway.owed_pushes(&user, OWED).await?.into_iter().map(|push| ShownOwed {
        push_id: push.push_id,
        initiator: push.initiator,
        address: push.address,
        created_at: clock::format_utc(push.created_at),
        deliver_before: clock::format_utc(push.deadline),
    });
    Ok(Json(ShownUser {
        groups: groups.collect(),
        connections,
        device: api.gateway.device(&user).await?.map(Into::into),
        owed: owed.collect(),
        events: events(api.gateway.signals(), &user),
        traced_until: api.gateway.signals().traced.until(user.as_str()).map(clock::format_utc),
        user: user.to_string(),
    }))
}

fn events(signals: &Signals, user: &UserId) -> Vec<serde_json::Value> {
    let newest = signals.of_device(user.as_str()).into_iter().rev();
    let shown = newest.map(|happening| happening.to_json(&signals.cursor_of(&happening).to_string()));
    shown.filter_map(|text| serde_json::from_str(&text).ok()).collect()
}

/// What erasing a user took away.
#[derive(Debug, Serialize)]
struct ShownErasure {
    user: String,
    memberships: u64,
    sessions: u64,
    credentials: u64,
    pushes: u64,
}

/// Erases a user: 204, or what it took away to who asks for that with `Prefer: return=representation` (RFC 7240).
pub(super) async fn erase(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let user = user_id(&id)?;
    let gateway = Arc::clone(&api.gateway);
    let work = async move { gateway.erase_user(&caller, &user).await };
    let erased = to_the_end(work).await??.ok_or_else(|| Problem::not_found(format!("there is no user {id:?}")))?;
    if !wants_representation(&headers) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let Erased { memberships, sessions, credentials, pushes } = erased;
    let shown = ShownErasure { user: id, memberships, sessions, credentials, pushes };
    Ok(([("preference-applied", "return=representation")], Json(shown)).into_response())
}

/// For how long every packet of a user's terminals is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTrace {
    #[serde(default = "quarter_of_an_hour")]
    seconds: u32,
}

fn quarter_of_an_hour() -> u32 {
    900
}

#[derive(Debug, Serialize)]
pub(super) struct ShownTrace {
    user: String,
    until: String,
}

/// Longest trace.
const DAY: u32 = 86_400;

pub(super) async fn trace(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<ShownTrace>, Problem> {
    let user = user_id(&id)?;
    let NewTrace { seconds } = if body.trim_ascii().is_empty() {
        NewTrace { seconds: quarter_of_an_hour() }
    } else {
        object(&body).map_err(|error| Problem::bad_request(format!("the body is no trace: {error}")))?
    };
    if !(1..=DAY).contains(&seconds) {
        return Err(Problem::bad_request(format!("seconds: from 1 to {DAY}, found {seconds}")));
    }
    if !api.gateway.trace(&caller, &user, i64::from(seconds) * 1_000).await {
        return Err(Problem::new(StatusCode::CONFLICT, "too many users are traced already"));
    }
    let until = api.gateway.signals().traced.until(user.as_str()).unwrap_or_else(clock::now);
    Ok(Json(ShownTrace { user: id, until: clock::format_utc(until) }))
}

pub(super) async fn end_trace(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let user = user_id(&id)?;
    match api.gateway.signals().traced.end(user.as_str()) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(format!("{id:?} is not traced"))),
    }
}

/// How many connections were ended.
#[derive(Debug, Serialize)]
pub(super) struct Disconnected {
    disconnected: usize,
}

/// Ends all connections of a user; they may come back at once.
pub(super) async fn disconnect(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<Disconnected>, Problem> {
    let user = user_id(&user)?;
    Ok(Json(Disconnected { disconnected: api.gateway.disconnect(&caller, user, None).await }))
}

/// Ends one of them.
pub(super) async fn disconnect_one(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((user, client)): Path<(String, String)>,
) -> Result<Json<Disconnected>, Problem> {
    let user = user_id(&user)?;
    match api.gateway.disconnect(&caller, user, Some(client)).await {
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
