//! Many at once: members of a group, and decisions on joins. Each of them has an answer of its own.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::groups::{Verdict, group_id};
use super::problem::{Body, Path, Problem};
use super::{Api, to_the_end};
use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::ids::{GroupId, UserId};
use crate::store::{Bound, Decided, Error, Limit, Unbound};

/// Users of one request.
const MOST: usize = 10_000;

/// What is to be done with members of a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MemberChanges)]
pub(super) struct Members {
    /// Users to be added.
    #[serde(default)]
    add: Vec<String>,
    /// Users to be taken out.
    #[serde(default)]
    remove: Vec<String>,
}

/// What is to be done with joins that wait.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Decisions {
    decision: Verdict,
    /// Whose joins; none: all that wait, 1,000 at most.
    #[serde(default)]
    users: Option<Vec<String>>,
}

/// What became of it.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Outcome {
    /// Changed by this request.
    changed: u64,
    /// As it should be already.
    unchanged: u64,
    failed: Vec<Failure>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Failure {
    user: String,
    detail: String,
}

impl Outcome {
    fn note(&mut self, user: String, done: Result<bool, String>) {
        match done {
            Ok(true) => self.changed += 1,
            Ok(false) => self.unchanged += 1,
            Err(detail) => self.failed.push(Failure { user, detail }),
        }
    }
}

fn check_count(count: usize) -> Result<(), Problem> {
    if count <= MOST { Ok(()) } else { Err(Problem::bad_request(format!("at most {MOST} users in one request"))) }
}

/// Binds and unbinds many users at once, 10,000 at most.
///
/// What fails for one of them is in the answer, and does not hinder the others.
#[utoipa::path(
    post,
    path = "/api/v1/groups/{group}/members",
    request_body = Members,
    responses((status = 200, body = Outcome))
)]
pub(super) async fn members(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(asked): Body<Members>,
) -> Result<Json<Outcome>, Problem> {
    let group = group_id(&id)?;
    check_count(asked.add.len() + asked.remove.len())?;
    let gateway = Arc::clone(&api.gateway);
    let work = async move {
        let mut outcome = Outcome::default();
        for user in asked.add {
            let done = add(&gateway, &caller, &group, &user).await;
            outcome.note(user, done);
        }
        for user in asked.remove {
            let done = remove(&gateway, &caller, &group, &user).await;
            outcome.note(user, done);
        }
        outcome
    };
    Ok(Json(to_the_end(work).await?))
}

async fn add(gateway: &Gateway, caller: &Caller, group: &GroupId, user: &str) -> Result<bool, String> {
    let user = UserId::parse(user).map_err(|error| error.to_string())?;
    match gateway.add_member(caller, user, group.clone()).await.map_err(|error| error.to_string())? {
        Bound::Member { fresh, .. } => Ok(fresh),
        Bound::LimitReached(limit) => Err(gateway.limit_text(limit)),
        Bound::Unknown => Err(format!("there is no group {group}")),
        Bound::Pending | Bound::Closed => Err("the group takes no members".into()),
    }
}

async fn remove(gateway: &Gateway, caller: &Caller, group: &GroupId, user: &str) -> Result<bool, String> {
    let user = UserId::parse(user).map_err(|error| error.to_string())?;
    let removed = gateway.remove_member(caller, &user, group.clone()).await.map_err(|error| error.to_string())?;
    Ok(removed != Unbound::NotBound)
}

/// Decides on many joins at once, or on all that wait.
#[utoipa::path(
    post,
    path = "/api/v1/groups/{group}/requests",
    request_body = Decisions,
    responses((status = 200, body = Outcome), (status = 404, description = "There is no such group."))
)]
pub(super) async fn decide(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    Body(asked): Body<Decisions>,
) -> Result<Json<Outcome>, Problem> {
    let group = group_id(&id)?;
    let users = match asked.users {
        Some(users) => users,
        None => {
            let waiting = api.gateway.store().requests(group.clone(), 0, 1_000).await?;
            let waiting = waiting.ok_or_else(|| Problem::not_found(format!("there is no group {id:?}")))?;
            waiting.into_iter().map(|request| request.user).collect()
        }
    };
    check_count(users.len())?;
    let approve = asked.decision == Verdict::Approve;
    let gateway = Arc::clone(&api.gateway);
    let work = async move {
        let mut outcome = Outcome::default();
        for name in users {
            let done = decide_one(&gateway, &caller, &group, &name, approve).await;
            outcome.note(name, done);
        }
        outcome
    };
    Ok(Json(to_the_end(work).await?))
}

async fn decide_one(
    gateway: &Gateway,
    caller: &Caller,
    group: &GroupId,
    name: &str,
    approve: bool,
) -> Result<bool, String> {
    let user = UserId::parse(name).map_err(|error| error.to_string())?;
    let decided = gateway.decide(caller, group.clone(), &user, approve).await;
    match decided.map_err(|error: Error| error.to_string())? {
        Decided::Approved(_) | Decided::Rejected => Ok(true),
        Decided::NotPending => Err("has no pending join".into()),
        Decided::LimitReached => Err(gateway.limit_text(Limit::GroupsOfUser)),
    }
}
