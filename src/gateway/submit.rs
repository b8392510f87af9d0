//! Taking a push, whether it came as PAP or as JSON.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;

use super::refusal::{self, Refused};
use super::{Gateway, notify};
use crate::address_resolution;
use crate::caller::Caller;
use crate::clock::{self, Millis};
use crate::config::ForbiddenUrl;
use crate::ids::{Duplicates, GroupId, Target};
use crate::rate_limit::Rate;
use crate::store::{
    Address, Asked, DeliveryMethod, Digest, Limit, Meaning, Notify, Priority, PushLimits, Submission, Submitted,
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
    pub caller: Caller,
    pub push_id: String,
    pub addresses: Vec<String>,
    pub content: Content,
    pub delivery: DeliveryMethod,
    pub priority: Priority,
    pub deliver_after: Option<Millis>,
    pub deliver_before: Option<Millis>,
    pub source: Option<String>,
    /// The name of the request that it came with.
    pub request_id: Option<String>,
    /// Where to say what became of it.
    pub notify: Option<Notify>,
    /// `push_all` means the group named by `source` (BlackBerry).
    pub push_all: bool,
    /// Addresses mean what they say and nothing else.
    pub literal: bool,
    /// Addresses that name nothing known are rejected one by one, and the others served.
    pub skip_unknown: bool,
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
    /// The addresses that were skipped because they name nothing known, in words.
    pub skipped: Option<String>,
}

/// Until the next day of UTC begins.
fn until_midnight(now: Millis) -> Duration {
    const DAY: Millis = 86_400_000;
    Duration::from_millis((DAY - now.rem_euclid(DAY)).unsigned_abs())
}

impl Gateway {
    /// Takes a push. When this returns [`Accepted`] it is on disk.
    pub async fn submit(&self, mut request: PushRequest) -> Result<Accepted, Refused> {
        let now = clock::now();
        self.check_rate(&request.caller)?;
        self.check_size(&request)?;
        let (deliver_before, addresses) = match self.check(&mut request, now) {
            Ok(checked) => checked,
            Err(_) if self.is_repeat(&request).await? => {
                return Ok(Accepted { push_id: request.push_id, skipped: None });
            }
            Err(refused) => return Err(refused),
        };
        let push_id = request.push_id.clone();
        // What `push_all` stands for, should it be unknown.
        let source = request.source.clone();
        let source = request.push_all.then_some(source.as_deref());
        let submission = Submission {
            initiator: request.caller.initiator(),
            push_id: request.push_id,
            digest: request.digest,
            duplicates: self.rules().duplicates,
            now,
            deliver_after: request.deliver_after.unwrap_or(0),
            deliver_before,
            delivery: request.delivery,
            priority: request.priority,
            source: request.source,
            request: request.request_id,
            notify: request.notify,
            content_type: request.content.content_type,
            headers: request.content.headers,
            body: request.content.body,
            addresses,
            skip_unknown: request.skip_unknown,
            replace: None,
            limits: self.push_limits(&request.caller),
        };
        let submitted = match &request.replace {
            Some(replace) => self.replace(submission, replace).await,
            None => self.store.submit(submission).await,
        };
        match submitted.map_err(|error| Refused::from(&error))? {
            Submitted::Accepted { unknown, .. } => {
                let skipped = (!unknown.is_empty()).then(|| refusal::unknown(&unknown, source));
                Ok(Accepted { push_id, skipped })
            }
            Submitted::Repeated => Ok(Accepted { push_id, skipped: None }),
            Submitted::Duplicate(earlier) => {
                let replaces = request.replace.as_ref().map(|replace| replace.push_id.as_str());
                Err(Refused::Duplicate(refusal::duplicate(&push_id, earlier, self.rules().duplicates, replaces)))
            }
            Submitted::Unknown(addresses) => Err(Refused::Unknown(refusal::unknown(&addresses, source))),
            Submitted::UnknownOld(old) => Err(Refused::UnknownOld(old)),
            Submitted::LongChain(old) => Err(Refused::LongChain(old)),
            Submitted::NothingPending(old) => Err(Refused::NothingPending(old)),
            // It is dispatched again and again while it is replaced: whoever asks once more finds it at rest.
            Submitted::LimitReached(limit) => Err(self.too_much(limit, &request.caller, now)),
            Submitted::NotHeldBack => Err(Refused::Unavailable),
        }
    }

    pub(super) fn check_rate(&self, caller: &Caller) -> Result<(), Refused> {
        let Some(most) = self.policy().quota(caller).per_minute else { return Ok(()) };
        let rate = Rate { most, window: Duration::from_secs(60) };
        self.pushes.pass(rate, caller.initiator()).map_err(|wait| {
            self.over_limit("initiators.pushes_per_minute", caller.initiator());
            let text =
                format!("{most} pushes in a minute are what this initiator may submit (initiators.pushes_per_minute)");
            Refused::TooMany { text, wait }
        })
    }

    fn push_limits(&self, caller: &Caller) -> PushLimits {
        let rules = self.rules();
        let per_day = self.policy().quota(caller).per_day;
        PushLimits { pending: rules.max_pending, per_day, users: rules.limits.users, size: rules.limits.size }
    }

    /// What a limit says to the initiator that it stops.
    fn too_much(&self, limit: Limit, caller: &Caller, now: Millis) -> Refused {
        self.over_limit(limit.key(), caller.initiator());
        // A store that is too large takes something when something is forgotten.
        let soon = Duration::from_secs(60);
        let (text, wait) = match limit {
            Limit::PushesOfDay => {
                ("this initiator has submitted as many pushes as it may in a day of UTC", until_midnight(now))
            }
            Limit::PendingOfInitiator => ("too many addresses of this initiator's pushes are not over", soon),
            _ => ("the store is as large as it may be", soon),
        };
        Refused::TooMany { text: format!("{text} ({}); nothing was submitted", limit.key()), wait }
    }

    /// What may be wrong with a push although the same one was accepted before: time has passed, or the configuration is
    /// another.
    pub(super) fn check(&self, request: &mut PushRequest, now: Millis) -> Result<(Millis, Vec<Address>), Refused> {
        self.check_notify(request)?;
        Ok((self.deadline(request, now)?, self.resolve(request)?))
    }

    /// Whether this very submission was accepted before: its sender, who may not have got that answer, gets it again.
    async fn is_repeat(&self, request: &PushRequest) -> Result<bool, Refused> {
        if self.rules().duplicates == Duplicates::Accept {
            return Ok(false);
        }
        let known = self.store.has_accepted(request.caller.initiator(), request.push_id.clone(), request.digest).await;
        known.map_err(|error| Refused::from(&error))
    }

    pub(super) fn check_size(&self, request: &PushRequest) -> Result<(), Refused> {
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
        if request.addresses.len() > self.rules().max_addresses {
            self.over_limit("push.max_addresses", request.caller.initiator());
            return bad(format!("a push has {} addresses at most (push.max_addresses)", self.rules().max_addresses));
        }
        let size = request.content.body.len();
        if size > self.rules().max_content {
            self.over_limit("push.max_content", request.caller.initiator());
            return bad(format!(
                "the content has {size} bytes, more than {} (push.max_content)",
                self.rules().max_content
            ));
        }
        let kind = &request.content.content_type;
        if kind.is_empty() || kind.chars().any(char::is_control) {
            return bad("a content type is not empty and has no control characters".into());
        }
        let too_long = |text: &str| text.len() > usize::from(u16::MAX) / 4;
        let headers = &request.content.headers;
        if too_long(&request.content.content_type)
            || headers.len() > self.rules().max_headers
            || headers.iter().any(|(name, value)| too_long(name) || too_long(value))
            || request.addresses.iter().any(|address| too_long(address))
        {
            return bad(format!(
                "an address or a header of the content is too long, or there are more than {} headers (pap.max_header_lines)",
                self.rules().max_headers
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
        if start > now.saturating_add(span(self.rules().max_ttl)) {
            return Err(Refused::BadRequest("deliver-after is further away than push.max_ttl".into()));
        }
        let latest = start.saturating_add(span(self.rules().max_ttl)).min(clock::END_OF_TIME);
        let before = match request.deliver_before.map(|before| before.saturating_add(span(self.rules().clock_skew))) {
            Some(before) if before <= now => {
                return Err(Refused::Expired { before: clock::format_utc(before), now: clock::format_utc(now) });
            }
            Some(before) if before <= start => {
                return Err(Refused::BadRequest("deliver-before is not later than deliver-after".into()));
            }
            Some(before) => before,
            None => start.saturating_add(span(self.rules().default_ttl)),
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
            if meanings.is_empty() && !request.skip_unknown {
                unknown.push(raw.clone());
            } else {
                addresses.push(Address { raw: raw.clone(), meanings });
            }
        }
        if unknown.is_empty() {
            return self.check_reach(&request.caller, addresses);
        }
        let source = request.push_all.then_some(request.source.as_deref());
        Err(Refused::Unknown(refusal::unknown(&unknown, source)))
    }

    /// Of what an address may mean, what the caller may not reach counts for nothing. Where nothing is left, it is refused: in
    /// the same words whether or not there is such a group.
    fn check_reach(&self, caller: &Caller, mut addresses: Vec<Address>) -> Result<Vec<Address>, Refused> {
        let policy = self.policy();
        for address in &mut addresses {
            let could = !address.meanings.is_empty();
            address.meanings.retain(|meaning| policy.may_reach(caller, &meaning.target));
            if could && address.meanings.is_empty() {
                let shown: String = address.raw.chars().take(200).collect();
                return Err(Refused::NotAllowed(format!("the address {shown:?} is not for this initiator")));
            }
        }
        Ok(addresses)
    }

    /// Whom an address string may name, the first one that is known; empty where nobody can be meant by it.
    fn targets(&self, raw: &str, request: &PushRequest) -> Vec<Target> {
        let is_alias = self.rules().aliases.iter().any(|(alias, _)| alias == raw);
        if request.push_all && raw == "push_all" && !is_alias {
            let group = request.source.as_deref().and_then(|source| GroupId::parse(source).ok());
            return group.map(Target::Group).into_iter().collect();
        }
        self.named_targets(raw, request.literal)
    }

    /// Whom an address string may name by itself; `literal`: by what it says and nothing else.
    pub(super) fn named_targets(&self, raw: &str, literal: bool) -> Vec<Target> {
        match self.rules().aliases.iter().find(|(alias, _)| alias == raw) {
            Some((_, target)) => vec![target.clone()],
            None if literal => address_resolution::to_the_letter(raw).into_iter().collect(),
            None => address_resolution::meanings(raw),
        }
    }

    /// An address that somebody asks about, with whom it may name.
    #[must_use]
    pub fn asked(&self, raw: String, literal: bool) -> Asked {
        let meanings = self.named_targets(&raw, literal);
        Asked { raw, meanings }
    }
}
