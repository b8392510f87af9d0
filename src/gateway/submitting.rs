//! Taking a push, whether it came as PAP or as JSON.

use std::collections::HashSet;

use bytes::Bytes;

use super::{Gateway, notify};
use crate::addressee;
use crate::clock::{self, Millis};
use crate::config::ForbiddenUrl;
use crate::ids::{Duplicates, GroupId, Target};
use crate::store::{
    self, Address, DeliveryMethod, Digest, Error, MAX_REPLACED, Meaning, Notify, Priority, Submission, Submitted,
};

/// Longest push-id in bytes. The specification has no limit; 255 is what initiators need at most (pap.md D2).
const PUSH_ID_MAX: usize = 255;

/// What the terminals get.
#[derive(Debug, Clone)]
pub struct Content {
    pub content_type: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// A push as an initiator asks for it.
#[derive(Debug, Clone)]
pub struct PushRequest {
    pub initiator: String,
    pub push_id: String,
    pub addresses: Vec<String>,
    pub content: Content,
    pub delivery: DeliveryMethod,
    pub priority: Priority,
    pub deliver_after: Option<Millis>,
    pub deliver_before: Option<Millis>,
    pub source: Option<String>,
    /// Where to say what became of it.
    pub notify: Option<Notify>,
    /// `push_all` means the group named by `source` (BlackBerry).
    pub push_all: bool,
    /// Addresses mean what they say and nothing else.
    pub literal: bool,
    /// Hash of the submission as it came in.
    pub digest: Digest,
    pub replace: Option<Replace>,
}

/// The wish to replace an earlier push of the same initiator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace {
    pub push_id: String,
    /// Only those who have not got the old push get this one.
    pub pending_only: bool,
}

/// A push that was taken: PAP 1001.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub push_id: String,
}

/// Why a push was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    BadRequest(String),
    #[error("the push has expired: its deliver-before is {before}, the time here is {now}")]
    Expired { before: String, now: String },
    #[error("result notifications cannot go there: {0}")]
    Notify(String),
    /// The addresses as they were written.
    #[error("{}", unknown_text(.0))]
    Unknown(Vec<String>),
    #[error("the push-id {0:?} belongs to another push of this initiator")]
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
    #[error("the gateway cannot store pushes now; try again later")]
    Unavailable,
}

fn unknown_text(addresses: &[String]) -> String {
    let shown: Vec<&str> = addresses.iter().take(3).map(String::as_str).collect();
    let more = if addresses.len() > shown.len() {
        format!(" and {} more", addresses.len() - shown.len())
    } else {
        String::new()
    };
    format!("not a known group or user: {}{more}; nothing was submitted", shown.join(", "))
}

impl Gateway {
    /// Takes a push. When this returns [`Accepted`] it is on disk.
    pub async fn submit(&self, mut request: PushRequest) -> Result<Accepted, Refused> {
        let now = clock::now();
        self.check_size(&request)?;
        let (deliver_before, addresses) = match self.check(&mut request, now) {
            Ok(checked) => checked,
            Err(_) if self.is_repeat(&request).await? => return Ok(Accepted { push_id: request.push_id }),
            Err(refused) => return Err(refused),
        };
        let push_id = request.push_id.clone();
        let submission = Submission {
            initiator: request.initiator,
            push_id: request.push_id,
            digest: request.digest,
            duplicates: self.rules.duplicates,
            now,
            deliver_after: request.deliver_after.unwrap_or(0),
            deliver_before,
            delivery: request.delivery,
            priority: request.priority,
            source: request.source,
            notify: request.notify,
            content_type: request.content.content_type,
            headers: request.content.headers,
            body: request.content.body,
            addresses,
            replace: None,
        };
        let submitted = match &request.replace {
            Some(replace) => self.replace(submission, replace).await,
            None => self.store.submit(submission).await,
        };
        match submitted.map_err(|error| refused(&error))? {
            Submitted::Accepted { .. } | Submitted::Repeated => Ok(Accepted { push_id }),
            Submitted::Duplicate => Err(Refused::Duplicate(push_id)),
            Submitted::Unknown(addresses) => Err(Refused::Unknown(addresses)),
            Submitted::UnknownOld(old) => Err(Refused::UnknownOld(old)),
            Submitted::LongChain(old) => Err(Refused::LongChain(old)),
            Submitted::NothingPending(old) => Err(Refused::NothingPending(old)),
            // It is dispatched again and again while it is replaced: whoever asks once more finds it at rest.
            Submitted::NotHeldBack => Err(Refused::Unavailable),
        }
    }

    /// What may be wrong with a push although the same one was accepted before: time has passed, or the configuration is
    /// another.
    fn check(&self, request: &mut PushRequest, now: Millis) -> Result<(Millis, Vec<Address>), Refused> {
        self.check_notify(request)?;
        Ok((self.deadline(request, now)?, self.resolve(request)?))
    }

    /// Whether this very submission was accepted before: its sender, who may not have got that answer, gets it again.
    async fn is_repeat(&self, request: &PushRequest) -> Result<bool, Refused> {
        if self.rules.duplicates == Duplicates::Accept {
            return Ok(false);
        }
        let known = self.store.has_accepted(request.initiator.clone(), request.push_id.clone(), request.digest).await;
        known.map_err(|error| refused(&error))
    }

    fn check_size(&self, request: &PushRequest) -> Result<(), Refused> {
        let bad = |text: String| Err(Refused::BadRequest(text));
        if request.push_id.is_empty() || request.push_id.len() > PUSH_ID_MAX {
            return bad(format!("a push-id has 1 to {PUSH_ID_MAX} bytes"));
        }
        if request.push_id.chars().any(char::is_control) {
            return bad("a push-id has no control characters".into());
        }
        if request.addresses.is_empty() {
            return bad("a push needs an address".into());
        }
        if request.addresses.len() > self.rules.max_addresses {
            return bad(format!("a push has {} addresses at most (push.max_addresses)", self.rules.max_addresses));
        }
        let size = request.content.body.len();
        if size > self.rules.max_content {
            return bad(format!(
                "the content has {size} bytes, more than {} (push.max_content)",
                self.rules.max_content
            ));
        }
        let kind = &request.content.content_type;
        if kind.is_empty() || kind.chars().any(char::is_control) {
            return bad("a content type is not empty and has no control characters".into());
        }
        let too_long = |text: &str| text.len() > usize::from(u16::MAX) / 4;
        let headers = &request.content.headers;
        if too_long(&request.content.content_type)
            || headers.len() > self.rules.max_headers
            || headers.iter().any(|(name, value)| too_long(name) || too_long(value))
            || request.addresses.iter().any(|address| too_long(address))
        {
            return bad(format!(
                "an address or a header of the content is too long, or there are more than {} headers (pap.max_header_lines)",
                self.rules.max_headers
            ));
        }
        Ok(())
    }

    /// Where nobody may be notified, the push is refused or nobody is (`notify.forbidden_url`).
    fn check_notify(&self, request: &mut PushRequest) -> Result<(), Refused> {
        let Some(wanted) = &mut request.notify else { return Ok(()) };
        let error = match notify::check_url(&wanted.url, self.notify.allow_private) {
            Ok(uri) => {
                wanted.receiver = notify::receiver(&uri);
                return Ok(());
            }
            Err(error) => error,
        };
        if self.notify.forbidden == ForbiddenUrl::Reject {
            return Err(Refused::Notify(error.to_string()));
        }
        tracing::info!(push_id = request.push_id, %error, "no result notifications are sent for a push that asked for them");
        request.notify = None;
        Ok(())
    }

    fn deadline(&self, request: &PushRequest, now: Millis) -> Result<Millis, Refused> {
        let span = |ttl: std::time::Duration| Millis::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 4);
        let start = request.deliver_after.unwrap_or(now).max(now);
        if start > now.saturating_add(span(self.rules.max_ttl)) {
            return Err(Refused::BadRequest("deliver-after is further away than push.max_ttl".into()));
        }
        let latest = start.saturating_add(span(self.rules.max_ttl)).min(clock::END_OF_TIME);
        let before = match request.deliver_before.map(|before| before.saturating_add(span(self.rules.clock_skew))) {
            Some(before) if before <= now => {
                return Err(Refused::Expired { before: clock::format_utc(before), now: clock::format_utc(now) });
            }
            Some(before) if before <= start => {
                return Err(Refused::BadRequest("deliver-before is not later than deliver-after".into()));
            }
            Some(before) => before,
            None => start.saturating_add(span(self.rules.default_ttl)),
        };
        Ok(before.min(latest))
    }

    fn resolve(&self, request: &PushRequest) -> Result<Vec<Address>, Refused> {
        let mut unknown = Vec::new();
        let mut addresses = Vec::with_capacity(request.addresses.len());
        let mut seen = HashSet::with_capacity(request.addresses.len());
        for raw in &request.addresses {
            if !seen.insert(raw.as_str()) {
                continue; // The same address written twice is one recipient.
            }
            let meaning = |target| {
                let connected = matches!(&target, Target::User(user) if self.is_here(user));
                Meaning { target, connected }
            };
            let meanings: Vec<Meaning> = self.targets(raw, request).into_iter().map(meaning).collect();
            if meanings.is_empty() {
                unknown.push(raw.clone());
            } else {
                addresses.push(Address { raw: raw.clone(), meanings });
            }
        }
        if unknown.is_empty() { Ok(addresses) } else { Err(Refused::Unknown(unknown)) }
    }

    /// Whom an address string may name, the first one that is known; empty where nobody can be meant by it.
    fn targets(&self, raw: &str, request: &PushRequest) -> Vec<Target> {
        let is_alias = self.rules.aliases.iter().any(|(alias, _)| alias == raw);
        if request.push_all && raw == "push_all" && !is_alias {
            let group = request.source.as_deref().and_then(|source| GroupId::parse(source).ok());
            return group.map(Target::Group).into_iter().collect();
        }
        let mut targets = self.named_targets(raw);
        if request.literal {
            targets.truncate(1);
        }
        targets
    }

    /// Whom an address string may name by itself.
    pub(super) fn named_targets(&self, raw: &str) -> Vec<Target> {
        match self.rules.aliases.iter().find(|(alias, _)| alias == raw) {
            Some((_, target)) => vec![target.clone()],
            None => addressee::meanings(raw),
        }
    }
}

fn refused(error: &Error) -> Refused {
    match error {
        store::Error::Full => tracing::error!("the disk is full: pushes are refused until there is space"),
        // There may be thousands of them in a second, and /metrics counts their 4001.
        store::Error::Busy => tracing::debug!(%error, "a push was refused"),
        other => tracing::error!(error = %other, "a push could not be stored"),
    }
    Refused::Unavailable
}
