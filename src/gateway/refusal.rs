//! Why a push was not taken, in words for whoever sent it.

use std::time::Duration;

use crate::address_resolution::{self, Unknown};
use crate::ids::Duplicates;
use crate::log_limit::LogLimit;
use crate::store::{self, Earlier, Error, MAX_REPLACED};

/// Why a push was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    BadRequest(String),
    #[error("the push has expired: its deliver-before is {before}, the time here is {now}")]
    Expired { before: String, now: String },
    #[error("result notifications cannot go there: {0}")]
    Notify(String),
    /// Addresses that this initiator may not reach, in words.
    #[error("{0}; nothing was submitted")]
    NotAllowed(String),
    /// Addresses that name nothing known, in words.
    #[error("{0}; nothing was submitted")]
    Unknown(String),
    /// The push-id is taken, in words.
    #[error("{0}")]
    Duplicate(String),
    #[error("there is no push {0:?} that could be replaced; nothing was submitted")]
    UnknownOld(String),
    #[error(
        "the push {0:?} has reached everybody it can reach: nothing of it can be taken back, and nothing was submitted"
    )]
    NothingPending(String),
    #[error(
        "the push {0:?} is the last of {MAX_REPLACED} that replaced each other with pending-only, and cannot be replaced in this way; nothing was submitted"
    )]
    LongChain(String),
    /// A limit is reached, in words.
    #[error("{text}")]
    TooMany { text: String, wait: Duration },
    #[error("the gateway cannot store pushes now; try again later")]
    Unavailable,
}

impl From<&Error> for Refused {
    fn from(error: &Error) -> Self {
        match error {
            // There may be thousands of them in a second. The store says that it is full, and when it is so no more; /metrics
            // counts the 4001.
            store::Error::Full | store::Error::Busy => tracing::debug!(%error, "a push was refused"),
            other => {
                static FAILED: LogLimit = LogLimit::new(1);
                if let Some(left_out) = FAILED.pass() {
                    tracing::error!(error = %other, left_out, "a push could not be stored");
                }
            }
        }
        Self::Unavailable
    }
}

/// Addresses that are shown.
const SHOWN: usize = 3;
/// Characters of one that are.
const LENGTH: usize = 200;

/// The addresses that name nothing known, and why. `source`: the push's source-reference, where `push_all` stands for it.
pub(super) fn unknown(addresses: &[String], source: Option<Option<&str>>) -> String {
    let mut shown = Vec::new();
    let (mut hint, mut served) = (None, false);
    for raw in addresses.iter().take(SHOWN) {
        let short: String = raw.chars().take(LENGTH).collect();
        let why = match (source.filter(|_| raw == "push_all"), address_resolution::why_unknown(raw)) {
            (Some(Some(source)), _) => format!(" (the group {source:?}, from the source-reference)"),
            (Some(None), _) => " (no source-reference says which group)".into(),
            (None, Unknown::Type(kind)) => format!(" (TYPE={kind} is not served: use USER, PLMN or GROUP)"),
            (None, Unknown::Unreadable(error)) => format!(" ({error})"),
            (None, Unknown::Word(word)) => {
                hint = hint.or(Some(word));
                String::new()
            }
            (None, Unknown::Nobody) => String::new(),
        };
        served |= why.is_empty() || raw == "push_all";
        shown.push(short + &why);
    }
    let more = addresses.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let hint = hint.map_or_else(String::new, |word| format!("; a group is written group:{word} or ${word}"));
    let what = if served { "not a known group or user" } else { "not an address that is served" };
    format!("{what}: {}{more}{hint}", shown.join(", "))
}

/// The push-id is that of an earlier push: how far that has come, and what to do.
pub(super) fn duplicate(push_id: &str, earlier: Earlier, policy: Duplicates, replaces: Option<&str>) -> String {
    if replaces == Some(push_id) {
        return format!(
            "the push {push_id:?} cannot replace itself: push-id and replace-push-id are the same; give the new push a push-id of its own"
        );
    }
    let Earlier { open, delivered, recipients } = earlier;
    let many =
        if recipients == 0 { "it is not due yet".into() } else { format!("{delivered} of {recipients} have it") };
    let kept = "use another push-id";
    match (open, policy) {
        (true, Duplicates::RejectPending | Duplicates::Accept) => format!(
            "the push-id {push_id:?} belongs to an earlier push of this initiator that is not over: {many}; {kept}, or cancel the earlier push first"
        ),
        (true, Duplicates::Reject) => format!(
            "the push-id {push_id:?} belongs to an earlier push of this initiator that is not over: {many}; {kept}"
        ),
        (false, _) => format!(
            "the push-id {push_id:?} belongs to an earlier push of this initiator, which is over and still kept (store.retention); {kept}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(addresses: &[&str], source: Option<Option<&str>>) -> String {
        unknown(&addresses.iter().map(|raw| (*raw).to_owned()).collect::<Vec<_>>(), source)
    }

    #[test]
    fn an_unknown_address_is_explained() {
        assert_eq!(said(&["group:news"], None), "not a known group or user: group:news");
        assert_eq!(
            said(&["kit", "a", "b", "c"], None),
            "not a known group or user: kit, a, b and 1 more; a group is written group:kit or $kit"
        );
        assert_eq!(
            said(&["WAPPUSH=12345678/TYPE=MAN@p"], None),
            "not an address that is served: WAPPUSH=12345678/TYPE=MAN@p (TYPE=MAN is not served: use USER, PLMN or GROUP)"
        );
        assert_eq!(
            said(&["push_all"], Some(Some("app-17"))),
            "not a known group or user: push_all (the group \"app-17\", from the source-reference)"
        );
        assert_eq!(
            said(&["push_all"], Some(None)),
            "not a known group or user: push_all (no source-reference says which group)"
        );
        assert!(said(&["x".repeat(4_000).as_str()], None).len() < 400);
    }

    #[test]
    fn a_push_id_that_is_taken_says_by_what_and_what_to_do() {
        let earlier = Earlier { open: true, delivered: 2, recipients: 3 };
        let said = duplicate("1", earlier, Duplicates::RejectPending, None);
        assert!(said.contains("not over: 2 of 3 have it; use another push-id, or cancel the earlier push"), "{said}");
        assert!(duplicate("1", earlier, Duplicates::RejectPending, Some("1")).contains("cannot replace itself"));
        let over = Earlier { open: false, ..earlier };
        assert!(duplicate("1", over, Duplicates::Reject, Some("0")).contains("over and still kept (store.retention)"));
        assert!(
            duplicate("1", Earlier { open: true, ..Earlier::default() }, Duplicates::Reject, None)
                .contains("not due yet")
        );
    }
}
