//! `/api/v1/pushes/{push_id}/recipients`: who has it, who has not, why.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::openapi::Object;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::csv::{Format, List};
use super::listing::{Page, Whose, one_of};
use super::problem::{Path, Problem, Query};
use crate::caller::Caller;
use crate::clock;
use crate::gateway::{Asked, Explained, MissingReason};
use crate::pap::code::Code;
use crate::policy::Action;
use crate::store::{self, Wanted};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    #[serde(default)]
    #[param(schema_with = states)]
    state: Option<String>,
    #[serde(default)]
    #[param(schema_with = reasons)]
    reason: Option<String>,
    /// Those who have not got it, whatever the reason.
    #[serde(default)]
    missing: bool,
    /// How many there are of each reason, beside the list.
    #[serde(default)]
    counts: bool,
}

impl Filter {
    fn asked(&self) -> Result<Asked, Problem> {
        let unknown = |of: &str, name: &str, known: &[&str]| {
            let name: String = name.chars().take(64).collect();
            Problem::bad_request(format!("{of}: {name:?} is none; known: {}", known.join(", ")))
        };
        let wanted = match self.state.as_deref() {
            Some(name) => Wanted::In(state(name).ok_or_else(|| unknown("state", name, &STATES))?),
            None if self.missing => Wanted::Missing,
            None => Wanted::All,
        };
        let reason = self.reason.as_deref().map(|name| {
            MissingReason::parse(name)
                .ok_or_else(|| unknown("reason", name, &MissingReason::ALL.map(MissingReason::name)))
        });
        Ok(Asked { wanted, reason: reason.transpose()? })
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Recipients {
    #[serde(skip_serializing_if = "Option::is_none")]
    /// With `counts`: how many there are of each reason, and how many have it.
    #[schema(value_type = Option<BTreeMap<String, u64>>)]
    counts: Option<BTreeMap<&'static str, u64>>,
    recipients: Vec<Shown>,
    #[schema(required)]
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recipient)]
struct Shown {
    user: String,
    address: String,
    /// As `state` of the query.
    state: &'static str,
    /// The PAP code.
    code: u16,
    /// The reason in words, with times and sizes.
    desc: Cow<'static, str>,
    /// When the record was made; null for ordinary deliveries.
    #[schema(required)]
    at: Option<String>,
    /// Why it is not there yet, as `reason` of the query; null for who has it.
    #[schema(required)]
    reason: Option<&'static str>,
    connected: bool,
    #[schema(required)]
    last_seen: Option<String>,
}

impl From<Explained> for Shown {
    fn from(one: Explained) -> Self {
        Self {
            user: one.user,
            address: one.address,
            state: one.state.name(),
            code: one.code,
            desc: if one.desc.is_empty() { Code(one.code).meaning().into() } else { one.desc.into() },
            at: one.at.map(clock::format_utc),
            reason: one.reason.map(MissingReason::name),
            connected: one.connected,
            last_seen: one.last_seen.map(clock::format_utc),
        }
    }
}

/// Lists the recipients of a push: who has it, who has not, and why.
#[utoipa::path(
    get,
    path = "/api/v1/pushes/{push_id}/recipients",
    params(Filter, Page, Whose, Format),
    responses(
        (status = 200, content((Recipients = "application/json"), (String = "text/csv"))),
        (status = 404, description = "There is no such push."),
    )
)]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Path(push_id): Path<String>,
    Query(filter): Query<Filter>,
    Query(page): Query<Page>,
    Query(whose): Query<Whose>,
    Query(format): Query<Format>,
    caller: Caller,
) -> Result<Response, Problem> {
    let asked = filter.asked()?;
    let after = match page.after.as_deref() {
        None => (0, 0),
        Some(text) => {
            place(text).ok_or_else(|| Problem::bad_request("after= takes what an earlier answer named as next"))?
        }
    };
    let initiator = whose.of(&caller, Action::SeeAllPushes);
    let unknown = || Problem::not_found(format!("there is no push {push_id:?}"));
    let found = api.gateway.recipients(&initiator, &push_id, asked, after, page.limit()).await?;
    let found = found.ok_or_else(unknown)?;
    if filter.counts && format.is_csv()? {
        return Err(Problem::bad_request("counts=true goes with format=json"));
    }
    let counts = match filter.counts {
        true => Some(api.gateway.count_recipients(&initiator, &push_id).await?.ok_or_else(unknown)?),
        false => None,
    };
    let next = found.next.map(|(position, binding)| format!("{position}.{binding}"));
    format.answer(Recipients { counts, recipients: found.recipients.into_iter().map(Into::into).collect(), next })
}

impl List for Recipients {
    const HEAD: &'static [&'static str] =
        &["user", "address", "state", "code", "reason", "desc", "at", "connected", "last_seen"];

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |one: &Shown| {
            vec![
                one.user.clone(),
                one.address.clone(),
                one.state.to_owned(),
                one.code.to_string(),
                one.reason.unwrap_or_default().to_owned(),
                one.desc.to_string(),
                one.at.clone().unwrap_or_default(),
                one.connected.to_string(),
                one.last_seen.clone().unwrap_or_default(),
            ]
        };
        self.recipients.iter().map(row).collect()
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// PAP's `timeout` does not occur (docs/ledger.md).
const STATES: [&str; 7] = ["pending", "delivered", "undeliverable", "expired", "aborted", "cancelled", "rejected"];

fn states() -> Object {
    one_of("Only those in this state.", STATES)
}

fn reasons() -> Object {
    one_of("Only those who have not got it for this reason.", MissingReason::ALL.map(MissingReason::name))
}

fn state(name: &str) -> Option<store::State> {
    store::State::parse(name).filter(|_| STATES.contains(&name))
}

/// `position.binding`
fn place(text: &str) -> Option<(i64, i64)> {
    let (position, binding) = text.split_once('.')?;
    Some((position.parse().ok()?, binding.parse().ok()?))
}
