//! `/api/v1/groups`: groups, members and pending joins from the operator's side.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::csv::{Format, List};
use super::listing::{Page, Search, next};
use super::problem::{Body, Path, Problem, Query, object};
use super::{Api, to_the_end};
use crate::caller::Caller;
use crate::clock;
use crate::gateway::Device;
use crate::ids::{GroupId, JoinPolicy, UserId};
use crate::store::{Bound, Decided, GroupView, Limit, MemberView, Unbound};

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
pub(super) struct ShownGroup {
    id: String,
    /// The MQTT topic of its pushes.
    topic: String,
    policy: JoinPolicy,
    members: u64,
    /// What a new member gets; missing where that is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    welcome: Option<Welcome>,
}

/// What a new member of a group gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Welcome {
    None,
    Last,
}

impl From<GroupView> for ShownGroup {
    fn from(view: GroupView) -> Self {
        let welcome = view.welcome.then_some(Welcome::Last);
        Self { topic: view.id.topic(), id: view.id.to_string(), policy: view.policy, members: view.members, welcome }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Groups {
    groups: Vec<ShownGroup>,
    #[schema(required)]
    next: Option<String>,
}

pub(super) fn group_id(text: &str) -> Result<GroupId, Problem> {
    GroupId::parse(text).map_err(|error| Problem::bad_request(error.to_string()))
}

pub(super) fn user_id(text: &str) -> Result<UserId, Problem> {
    UserId::parse(text).map_err(|error| Problem::bad_request(error.to_string()))
}

fn unknown_group(id: &str) -> Problem {
    Problem::not_found(format!("there is no group {id:?}"))
}

fn too_many(api: &Api, limit: Limit) -> Problem {
    api.gateway.over_limit(limit.key(), "an operator");
    Problem::new(StatusCode::CONFLICT, api.gateway.limit_text(limit))
}

/// Lists groups, by their IDs.
#[utoipa::path(get, path = "/api/v1/groups", params(Page, Search), responses((status = 200, body = Groups)))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(page): Query<Page>,
    Query(search): Query<Search>,
) -> Result<Json<Groups>, Problem> {
    let limit = page.limit();
    let views = api.gateway.store().groups(search.search, page.after, limit).await?;
    let next = next(&views, limit, |view| view.id.to_string());
    Ok(Json(Groups { groups: views.into_iter().map(Into::into).collect(), next }))
}

/// Shows a group.
#[utoipa::path(
    get,
    path = "/api/v1/groups/{group}",
    responses((status = 200, body = ShownGroup), (status = 404, description = "There is no such group."))
)]
pub(super) async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>) -> Result<Json<ShownGroup>, Problem> {
    let view = api.gateway.store().group(group_id(&id)?).await?;
    view.map(|view| Json(view.into())).ok_or_else(|| unknown_group(&id))
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    /// `groups.default_policy` if it is missing and the group is new.
    #[serde(default)]
    policy: Option<JoinPolicy>,
    /// What a new member gets: nothing, or the group's last push that is not over.
    #[serde(default)]
    welcome: Option<Welcome>,
}

/// Makes a group, or changes one that is there.
///
/// The body may be missing.
#[utoipa::path(
    put,
    path = "/api/v1/groups/{group}",
    request_body = Option<NewGroup>,
    responses(
        (status = 201, description = "It was made.", body = ShownGroup),
        (status = 200, description = "It was there.", body = ShownGroup),
        (status = 409, description = "There are `groups.max` groups."),
    )
)]
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<ShownGroup>), Problem> {
    let new: NewGroup = if body.trim_ascii().is_empty() {
        NewGroup::default()
    } else {
        object(&body).map_err(|error| Problem::bad_request(format!("the body is no group: {error}")))?
    };
    let put = api
        .gateway
        .put_group(&caller, group_id(&id)?, new.policy, new.welcome.map(|welcome| welcome == Welcome::Last))
        .await?;
    let (view, made) = put.ok_or_else(|| too_many(&api, Limit::Groups))?;
    Ok((if made { StatusCode::CREATED } else { StatusCode::OK }, Json(view.into())))
}

/// What a deletion has done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Removal)]
struct ShownRemoval {
    group: String,
    /// Members that it had.
    unbound: u64,
    /// Pushes that were not over for everybody.
    pushes_ended: u64,
}

/// Whether somebody wants to know what a request has done (RFC 7240).
pub(super) fn wants_representation(headers: &HeaderMap) -> bool {
    headers.get("prefer").is_some_and(|value| value.as_bytes() == b"return=representation")
}

/// Deletes a group, and unbinds everybody.
///
/// With `Prefer: return=representation` (RFC 7240) the answer says what it has done. A large group takes its time.
#[utoipa::path(
    delete,
    path = "/api/v1/groups/{group}",
    params(("prefer" = Option<String>, Header, description = "`return=representation`")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 200, description = "With `Prefer`: what went with it.", body = ShownRemoval),
        (status = 404, description = "There is no such group."),
    )
)]
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let group = group_id(&id)?;
    let delete = async move { api.gateway.delete_group(&caller, &group).await };
    let removed = to_the_end(delete).await??.ok_or_else(|| unknown_group(&id))?;
    if !wants_representation(&headers) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let shown = ShownRemoval { group: id, unbound: removed.unbound, pushes_ended: removed.pushes_ended };
    Ok(([("preference-applied", "return=representation")], Json(shown)).into_response())
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Members {
    members: Vec<ShownMember>,
    #[schema(required)]
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Member)]
struct ShownMember {
    user: String,
    joined_at: String,
    /// How the user came to the group.
    source: String,
    connected: bool,
    /// With `details`: when a terminal of the user was here last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<String>,
    /// With `details`: pushes that the user owes an answer, to this group and others; 1,000 are counted at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    owed: Option<u64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Details {
    /// With what is known of each member's devices.
    #[serde(default)]
    details: bool,
}

/// Lists the members of a group, those first who have been known longest.
#[utoipa::path(
    get,
    path = "/api/v1/groups/{group}/members",
    params(Page, Details, Format),
    responses(
        (status = 200, content((Members = "application/json"), (String = "text/csv"))),
        (status = 404, description = "There is no such group."),
    )
)]
pub(super) async fn members(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Query(page): Query<Page>,
    Query(Details { details }): Query<Details>,
    Query(format): Query<Format>,
) -> Result<Response, Problem> {
    let limit = page.limit();
    let views = api.gateway.store().members(group_id(&id)?, page.key()?, limit).await?;
    let views = views.ok_or_else(|| unknown_group(&id))?;
    let next = next(&views, limit, |view| view.key.to_string());
    let mut members = Vec::with_capacity(views.len());
    for view in views {
        members.push(member(&api, view, details).await?);
    }
    format.answer(Members { members, next })
}

async fn member(api: &Api, view: MemberView, details: bool) -> Result<ShownMember, Problem> {
    let user = UserId::parse(&view.user).ok();
    let device = match &user {
        Some(user) if details => api.gateway.device(user).await?,
        _ => None,
    };
    Ok(ShownMember {
        connected: user.is_some_and(|user| api.gateway.is_here(&user)),
        user: view.user,
        joined_at: clock::format_utc(view.joined_at),
        source: view.source,
        last_seen: device.as_ref().and_then(Device::last_seen).map(clock::format_utc),
        owed: device.map(|device| device.view.owed),
    })
}

impl List for Members {
    const HEAD: &'static [&'static str] = &["user", "joined_at", "source", "connected", "last_seen", "owed"];

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |one: &ShownMember| {
            vec![
                one.user.clone(),
                one.joined_at.clone(),
                one.source.clone(),
                one.connected.to_string(),
                one.last_seen.clone().unwrap_or_default(),
                one.owed.map(|owed| owed.to_string()).unwrap_or_default(),
            ]
        };
        self.members.iter().map(row).collect()
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Binding)]
pub(super) struct ShownBinding {
    user: String,
    group: String,
    topic: String,
}

/// Binds a user to a group, whether or not a terminal of his is connected or ever was.
///
/// The group is made if `groups.auto_create` allows.
#[utoipa::path(
    put,
    path = "/api/v1/groups/{group}/members/{user}",
    responses(
        (status = 201, description = "The user is bound now.", body = ShownBinding),
        (status = 200, description = "The user was bound.", body = ShownBinding),
        (status = 404, description = "There is no such group."),
        (status = 409, description = "That would be one too many."),
    )
)]
pub(super) async fn bind(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, user)): Path<(String, String)>,
) -> Result<(StatusCode, Json<ShownBinding>), Problem> {
    let (group, user) = (group_id(&id)?, user_id(&user)?);
    let shown = ShownBinding { user: user.to_string(), group: group.to_string(), topic: group.topic() };
    let gateway = Arc::clone(&api.gateway);
    let bind = async move { gateway.add_member(&caller, user, group).await };
    match to_the_end(bind).await?? {
        Bound::Member { fresh, .. } => Ok((if fresh { StatusCode::CREATED } else { StatusCode::OK }, Json(shown))),
        Bound::Unknown => Err(unknown_group(&id)),
        Bound::LimitReached(limit) => Err(too_many(&api, limit)),
        Bound::Pending | Bound::Closed => Err(Problem::new(StatusCode::CONFLICT, "the group takes no members")),
    }
}

/// Unbinds a user from a group.
#[utoipa::path(
    delete,
    path = "/api/v1/groups/{group}/members/{user}",
    responses(
        (status = 204, description = "The user is not bound any more."),
        (status = 404, description = "The user is not bound to the group."),
    )
)]
pub(super) async fn unbind(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, user)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let (group, member) = (group_id(&id)?, user_id(&user)?);
    let unbind = async move { api.gateway.remove_member(&caller, &member, group).await };
    match to_the_end(unbind).await?? {
        Unbound::Left | Unbound::StillSubscribed => Ok(StatusCode::NO_CONTENT),
        Unbound::NotBound => Err(Problem::not_found(format!("{user:?} is not bound to {id:?}"))),
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PendingJoins)]
pub(super) struct Requests {
    requests: Vec<ShownRequest>,
    #[schema(required)]
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PendingJoin)]
struct ShownRequest {
    user: String,
    requested_at: String,
}

/// Lists the joins that wait for a decision.
#[utoipa::path(
    get,
    path = "/api/v1/groups/{group}/requests",
    params(Page),
    responses((status = 200, body = Requests), (status = 404, description = "There is no such group."))
)]
pub(super) async fn requests(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Requests>, Problem> {
    let limit = page.limit();
    let views = api.gateway.store().requests(group_id(&id)?, page.key()?, limit).await?;
    let views = views.ok_or_else(|| unknown_group(&id))?;
    let next = next(&views, limit, |view| view.key.to_string());
    let requests = views
        .into_iter()
        .map(|view| ShownRequest { user: view.user, requested_at: clock::format_utc(view.requested_at) });
    Ok(Json(Requests { requests: requests.collect(), next }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    decision: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Approve,
    Reject,
}

/// Decides on a join that waits.
#[utoipa::path(
    post,
    path = "/api/v1/groups/{group}/requests/{user}",
    request_body = Decision,
    responses(
        (status = 204, description = "It is decided."),
        (status = 404, description = "The user has no pending join to the group."),
        (status = 409, description = "The user has `mqtt.max_groups_per_user` groups already; the join waits on."),
    )
)]
pub(super) async fn decide(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, user)): Path<(String, String)>,
    Body(decision): Body<Decision>,
) -> Result<StatusCode, Problem> {
    let approve = decision.decision == Verdict::Approve;
    let (group, member) = (group_id(&id)?, user_id(&user)?);
    let gateway = Arc::clone(&api.gateway);
    let decide = async move { gateway.decide(&caller, group, &member, approve).await };
    match to_the_end(decide).await?? {
        Decided::Approved(_) | Decided::Rejected => Ok(StatusCode::NO_CONTENT),
        Decided::LimitReached => Err(too_many(&api, Limit::GroupsOfUser)),
        Decided::NotPending => Err(Problem::not_found(format!("{user:?} has no pending join to {id:?}"))),
    }
}
