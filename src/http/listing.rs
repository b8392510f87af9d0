//! What lists have in common: pages, and whose pushes are meant.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use utoipa::IntoParams;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::problem::Problem;
use crate::caller::Caller;
use crate::policy::{self, Action};

/// `limit=` and `after=` of every list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    #[serde(default, deserialize_with = "whole_number")]
    #[param(schema_with = whole)]
    pub(super) limit: Option<usize>,
    /// Begins where a page before ended: its `next`.
    #[serde(default)]
    pub(super) after: Option<String>,
}

/// `search=` of lists by name.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// Only names that have this in them. Capital and small letters of ASCII are the same.
    #[serde(default)]
    pub(super) search: String,
}

impl Page {
    /// 100 where nothing is said, 1,000 at most.
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(100).clamp(1, 1_000)
    }

    /// `after=` of a list that goes by a number of ours.
    pub(super) fn key(&self) -> Result<i64, Problem> {
        let Some(after) = &self.after else { return Ok(0) };
        after.parse().map_err(|_| Problem::bad_request(format!("after: {after:?} is not the \"next\" of a page")))
    }
}

/// A whole number; one that is too small or too large for anything counts as the nearest that is not.
fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.strip_prefix('-').unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let shown: String = text.chars().take(64).collect();
        return Err(D::Error::custom(format!("expected a whole number, found {shown:?}")));
    }
    Ok(Some(if text.starts_with('-') { 0 } else { digits.parse().unwrap_or(usize::MAX) }))
}

fn whole() -> Object {
    let text = "How many entries: from 1 to 1,000. A smaller number counts as 1, a larger one as 1,000.";
    ObjectBuilder::new().schema_type(Type::Integer).description(Some(text)).default(Some(100.into())).build()
}

/// How a parameter is described that takes one of these words.
pub(super) fn one_of<const N: usize>(text: &str, words: [&str; N]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).description(Some(text)).enum_values(Some(words)).build()
}

/// Where the next page begins: after the last entry of a full one.
pub(super) fn next<T>(page: &[T], limit: usize, key: impl Fn(&T) -> String) -> Option<String> {
    page.last().filter(|_| page.len() >= limit).map(key)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Whose {
    /// Whose pushes are meant, where it is not the caller.
    #[serde(default)]
    initiator: Option<String>,
}

/// What no initiator is called: there is nothing of it.
const NO_INITIATOR: &str = "";

/// In a list: the pushes of all initiators.
const EVERYBODY: &str = "*";

impl Whose {
    /// Whether the pushes of all are meant, and may be seen.
    pub(super) fn is_everybody(&self, caller: &Caller) -> bool {
        self.initiator.as_deref() == Some(EVERYBODY) && policy::may(caller, Action::SeeAllPushes)
    }

    /// Whose pushes are meant: the caller's own, or those of another one, where the caller may. What he may not see looks like
    /// what there is not.
    pub(super) fn of(self, caller: &Caller, of_others: Action) -> String {
        let own = caller.initiator();
        match self.initiator {
            None => own,
            // Who sees nobody else's sees his own of all.
            Some(named) if named == EVERYBODY => own,
            Some(named) if named == own || policy::may(caller, of_others) => named,
            Some(_) => NO_INITIATOR.to_owned(),
        }
    }
}
