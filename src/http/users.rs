//! `/api/v1/users` and `/api/v1/group-requests`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::devices::ShownDevice;
use super::groups::{user_id, wants_representation};
use super::problem::{Body, Path, Problem, RETRY_AFTER, object};
use super::{Api, to_the_end};
use crate::caller::Caller;
use crate::clock;
use crate::gateway::{Answer, Connection, GroupRequest, Reason};
use crate::ids::UserId;
use crate::pap::code::Code;
use crate::signals::Signals;
use crate::store::Erased;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(super) struct ShownUser {
    user: String,
    groups: Vec<ShownGroup>,
    connections: Vec<Connection>,
    /// What is known of its devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<ShownDevice>,
    /// Pushes that it has not answered, the oldest 20.
    owed: Vec<ShownOwed>,
    /// Pushes that it has not got and will not get, the newest 20: its terminals refused them, or cannot take their size.
    refused: Vec<ShownRefused>,
    /// What happened to it last, newest first.
    #[schema(value_type = Vec<Object>)]
    events: Vec<serde_json::Value>,
    /// Until when its packets are told.
    #[schema(required)]
    traced_until: Option<String>,
}

/// A push that a user has not answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OwedPush)]
struct ShownOwed {
    push_id: String,
    initiator: String,
    address: String,
    created_at: String,
    deliver_before: String,
}

/// A push that a user refused, or could not take.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RefusedPush)]
struct ShownRefused {
    push_id: String,
    initiator: String,
    address: String,
    /// The PAP code.
    code: u16,
    /// What it means.
    desc: &'static str,
    at: String,
}

/// Owed pushes that are shown, and refused ones.
const OWED: usize = 20;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserGroup)]
struct ShownGroup {
    group: String,
    topic: String,
    joined_at: String,
    source: String,
}

/// Shows a user: groups, connections, and how the devices are.
#[utoipa::path(
    get,
    path = "/api/v1/users/{user}",
    responses((status = 200, body = ShownUser), (status = 404, description = "There is no such user."))
)]
pub(super) async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Json<ShownUser>, Problem> {
    let user = user_id(&id)?;
    let bindings = api.gateway.store().bindings(user.clone()).await?;
    let connections = api.gateway.connections(&user);
    if bindings.is_empty() && connections.is_empty() && !api.gateway.is_device(user.as_str()).await? {
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
    let refused = api.gateway.refused_pushes(&user, OWED).await?.into_iter().map(|push| ShownRefused {
        push_id: push.push_id,
        initiator: push.initiator,
        address: push.address,
        code: push.code,
        desc: Code(push.code).meaning(),
        at: clock::format_utc(push.at),
    });
    Ok(Json(ShownUser {
        groups: groups.collect(),
        connections,
        device: api.gateway.device(&user).await?.map(Into::into),
        owed: owed.collect(),
        refused: refused.collect(),
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
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Erasure)]
struct ShownErasure {
    user: String,
    memberships: u64,
    sessions: u64,
    credentials: u64,
    pushes: u64,
}

/// Erases a user: bindings, sessions, credentials, and pushes that were not over.
///
/// History keeps a pseudonym. With `Prefer: return=representation` (RFC 7240) the answer says what it took away.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{user}",
    params(("prefer" = Option<String>, Header, description = "`return=representation`")),
    responses(
        (status = 204, description = "The user is gone."),
        (status = 200, description = "With `Prefer`: what went with the user.", body = ShownErasure),
        (status = 404, description = "There is no such user."),
    )
)]
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
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTrace {
    /// From 1 to 86,400.
    #[serde(default = "quarter_of_an_hour")]
    #[schema(minimum = 1, maximum = 86_400, default = quarter_of_an_hour)]
    seconds: u32,
}

fn quarter_of_an_hour() -> u32 {
    900
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trace)]
pub(super) struct ShownTrace {
    user: String,
    until: String,
}

/// Longest trace.
const DAY: u32 = 86_400;

/// Tells every packet of a user's terminals among the events, for a while.
#[utoipa::path(
    post,
    path = "/api/v1/users/{user}/trace",
    request_body = Option<NewTrace>,
    responses((status = 200, body = ShownTrace), (status = 409, description = "Too many users are traced already."))
)]
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

/// Ends a trace.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{user}/trace",
    responses((status = 204, description = "It has ended."), (status = 404, description = "The user is not traced."))
)]
pub(super) async fn end_trace(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let user = user_id(&id)?;
    match api.gateway.end_trace(&caller, &user).await {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(format!("{id:?} is not traced"))),
    }
}

/// How many connections were ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Disconnected {
    disconnected: usize,
}

/// Ends all connections of a user; they may come back at once.
#[utoipa::path(delete, path = "/api/v1/users/{user}/connections", responses((status = 200, body = Disconnected)))]
pub(super) async fn disconnect(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(user): Path<String>,
) -> Result<Json<Disconnected>, Problem> {
    let user = user_id(&user)?;
    Ok(Json(Disconnected { disconnected: api.gateway.disconnect(&caller, user, None).await }))
}

/// Ends one connection of a user.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{user}/connections/{client_id}",
    responses(
        (status = 200, body = Disconnected),
        (status = 404, description = "The user has no connection with this client id."),
    )
)]
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

/// The group request of a terminal without MQTT.
///
/// It is answered with what an MQTT terminal would get; the HTTP code says the same to those who only look at that.
#[utoipa::path(
    post,
    path = "/api/v1/group-requests",
    request_body = GroupRequest,
    responses(
        (status = 200, description = "It is done, or waits for a decision.", body = Answer),
        (status = 400, description = "It is no group request.", body = Answer),
        (status = 403, description = "It is not allowed, or the group is closed.", body = Answer),
        (status = 404, description = "There is no such group.", body = Answer),
        (status = 409, description = "A limit is reached.", body = Answer),
        (status = 503, description = "The gateway cannot do it now.", body = Answer),
    )
)]
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
