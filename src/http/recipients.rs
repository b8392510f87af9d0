//! `/api/v1/pushes/{push_id}/recipients`: who has it, who has not, why.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::Api;
use super::problem::{Path, Problem, Query};
use super::pushes::{Page, Whose};
use crate::caller::Caller;
use crate::clock;
use crate::pap::code::Code;
use crate::policy::Action;
use crate::store::{self, Recipient};

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    state: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Recipients {
    recipients: Vec<Shown>,
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Shown {
    user: String,
    address: String,
    state: &'static str,
    code: u16,
    desc: Cow<'static, str>,
    at: Option<String>,
}

impl From<Recipient> for Shown {
    fn from(recipient: Recipient) -> Self {
        Self {
            user: recipient.user,
            address: recipient.address,
            state: recipient.state.name(),
            code: recipient.code,
            desc: if recipient.reason.is_empty() { Code(recipient.code).meaning().into() } else { recipient.reason },
            at: recipient.at.map(clock::format_utc),
        }
    }
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Path(push_id): Path<String>,
    Query(filter): Query<Filter>,
    Query(page): Query<Page>,
    Query(whose): Query<Whose>,
    caller: Caller,
) -> Result<Json<Recipients>, Problem> {
    let state = match filter.state.as_deref() {
        None => None,
        Some(name) => Some(state(name).ok_or_else(|| {
            let name: String = name.chars().take(64).collect();
            Problem::bad_request(format!("state: {name:?} is no state of a push; known: {}", STATES.join(", ")))
        })?),
    };
    let after = match page.after.as_deref() {
        None => (0, 0),
        Some(text) => {
            place(text).ok_or_else(|| Problem::bad_request("after= takes what an earlier answer named as next"))?
        }
    };
    let found = api
        .gateway
        .store()
        .recipients(whose.of(&caller, Action::SeeAllPushes), push_id.clone(), state, after, page.limit())
        .await?;
    let found = found.ok_or_else(|| Problem::not_found(format!("there is no push {push_id:?}")))?;
    let next = found.next.map(|(position, binding)| format!("{position}.{binding}"));
    Ok(Json(Recipients { recipients: found.recipients.into_iter().map(Into::into).collect(), next }))
}

/// PAP's `timeout` does not occur (docs/ledger.md).
const STATES: [&str; 7] = ["pending", "delivered", "undeliverable", "expired", "aborted", "cancelled", "rejected"];

fn state(name: &str) -> Option<store::State> {
    store::State::parse(name).filter(|_| STATES.contains(&name))
}

/// `position.binding`
fn place(text: &str) -> Option<(i64, i64)> {
    let (position, binding) = text.split_once('.')?;
    Some((position.parse().ok()?, binding.parse().ok()?))
}
