//! `/api/v1/groups/{group}/history` and `/api/v1/audit`: who came and went, who was there, and who changed what.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::csv::{Format, List};
use super::groups::group_id;
use super::listing::{Page, next};
use super::problem::{Path, Problem, Query};
use crate::clock;
use crate::store::{AuditEntry, HistoryEntry};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Moment {
    /// RFC 3339: who was a member then.
    #[serde(default)]
    #[param(format = DateTime)]
    at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct History {
    history: Vec<ShownEntry>,
    #[schema(required)]
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HistoryEntry)]
pub(super) struct ShownEntry {
    at: String,
    user: String,
    group: String,
    /// `join` or `leave`.
    event: &'static str,
    /// By whose hand.
    by: String,
}

impl From<HistoryEntry> for ShownEntry {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            at: clock::format_utc(entry.at),
            user: entry.user,
            group: entry.group,
            event: if entry.joined { "join" } else { "leave" },
            by: entry.hand,
        }
    }
}

impl List for History {
    const HEAD: &'static [&'static str] = &["at", "user", "group", "event", "by"];

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |one: &ShownEntry| {
            vec![one.at.clone(), one.user.clone(), one.group.clone(), one.event.to_owned(), one.by.clone()]
        };
        self.history.iter().map(row).collect()
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// Who was a member at a moment.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MembersThen {
    at: String,
    members: Vec<String>,
    #[schema(required)]
    next: Option<String>,
}

impl List for MembersThen {
    const HEAD: &'static [&'static str] = &["user"];

    fn rows(&self) -> Vec<Vec<String>> {
        self.members.iter().map(|user| vec![user.clone()]).collect()
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// What it answers, without and with `at`.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is only described")]
enum HistoryOrMembers {
    History(History),
    Members(MembersThen),
}

/// Lists who came to a group and went, newest first; with `at`, who was there then.
///
/// A group that is gone has a history all the same.
#[utoipa::path(
    get,
    path = "/api/v1/groups/{group}/history",
    params(Moment, Page, Format),
    responses(
        (status = 200, content((HistoryOrMembers = "application/json"), (String = "text/csv"))),
        (status = 410, description = "The history does not reach back so far."),
    )
)]
pub(super) async fn of_group(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Query(moment): Query<Moment>,
    Query(page): Query<Page>,
    Query(format): Query<Format>,
) -> Result<Response, Problem> {
    let (group, limit) = (group_id(&id)?, page.limit());
    if let Some(text) = moment.at {
        let at = clock::parse_rfc3339(&text)
            .ok_or_else(|| Problem::bad_request(format!("at: {text:?} is not an RFC 3339 timestamp")))?;
        let begins = api.gateway.store().history_begins().await?;
        if let Some(begins) = begins.filter(|begins| at < *begins) {
            let text = format!(
                "the history reaches back to {} only (history.keep, history.max_rows)",
                clock::format_utc(begins)
            );
            return Err(Problem::new(StatusCode::GONE, text));
        }
        let members = api.gateway.store().members_at(group, at, page.after.unwrap_or_default(), limit).await?;
        let next = next(&members, limit, String::clone);
        return format.answer(MembersThen { at: clock::format_utc(at), members, next });
    }
    let before = if page.after.is_some() { page.key()? } else { i64::MAX };
    let entries = api.gateway.store().group_history(group, before, limit).await?;
    let next = next(&entries, limit, |entry| entry.id.to_string());
    format.answer(History { history: entries.into_iter().map(Into::into).collect(), next })
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Audit {
    audit: Vec<ShownAct>,
    #[schema(required)]
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Act)]
pub(super) struct ShownAct {
    at: String,
    by: String,
    /// What was done.
    act: String,
    /// To what.
    object: String,
    detail: String,
}

impl From<AuditEntry> for ShownAct {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { at, hand, act, object, detail, .. } = entry;
        Self { at: clock::format_utc(at), by: hand, act, object, detail }
    }
}

impl List for Audit {
    const HEAD: &'static [&'static str] = &["at", "by", "act", "object", "detail"];

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |one: &ShownAct| {
            let ShownAct { at, by, act, object, detail } = one;
            [at, by, act, object, detail].map(String::clone).into()
        };
        self.audit.iter().map(row).collect()
    }

    fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// Lists what was changed, and by whom, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    params(Page, Format),
    responses((status = 200, content((Audit = "application/json"), (String = "text/csv"))))
)]
pub(super) async fn audit(
    State(api): State<Arc<Api>>,
    Query(page): Query<Page>,
    Query(format): Query<Format>,
) -> Result<Response, Problem> {
    let limit = page.limit();
    let before = if page.after.is_some() { Some(page.key()?) } else { None };
    let entries = api.gateway.audit(before, limit).await?;
    let next = next(&entries, limit, |entry| entry.id.to_string());
    format.answer(Audit { audit: entries.into_iter().map(Into::into).collect(), next })
}
