//! Who is who: one answer for every door.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Gateway;
use crate::caller::{self, Caller, Kind, Login, Role};
use crate::config::AuthMode;
use crate::credentials;
use crate::ids::UserId;
use crate::jwt;
use crate::log_limit::LogLimit;
use crate::store::SignedIn;
use crate::token::Hash;

/// Failed sign-ins: a few lines a minute, the rest is counted.
static FAILED: LogLimit = LogLimit::new(10);

/// Why a token does not sign in.
const UNKNOWN: &str = "the token is none";
const OTHERS: &str = "the token belongs to another name";
const NO_USER_ID: &str = "the name that the token is for is no user ID";

/// What somebody shows to say who he is.
#[derive(Clone, Copy)]
pub enum Offer<'a> {
    Nothing,
    /// HTTP Basic, or the like.
    Name {
        name: &'a str,
        token: &'a str,
    },
    /// A token alone.
    Bearer(&'a str),
    /// A certificate that was verified, and the name in it.
    Certificate(&'a str),
    /// A session of the console, by the token that it was begun with.
    Session(Hash),
}

/// Why somebody is not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Nobody has this token, or another one has.
    Wrong,
    /// The store cannot answer.
    Unavailable,
}

/// Without what is secret.
impl std::fmt::Debug for Offer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Name { .. } => "Name(…)",
            Self::Bearer(_) => "Bearer(…)",
            Self::Certificate(_) => "Certificate(…)",
            Self::Session(_) => "Session(…)",
        })
    }
}

impl Gateway {
    /// Whether everybody has to say who he is.
    #[must_use]
    pub fn requires_sign_in(&self) -> bool {
        self.auth == AuthMode::Required
    }

    /// Who sends an HTTP request.
    pub async fn caller(&self, offer: Offer<'_>, from: Option<IpAddr>) -> Result<Caller, Denied> {
        self.sign_in_with(offer, from).await.map(|(caller, _)| caller)
    }

    /// The same, with the hash of the token that it was, where it was one.
    pub async fn sign_in_with(&self, offer: Offer<'_>, from: Option<IpAddr>) -> Result<(Caller, Option<Hash>), Denied> {
        if !self.requires_sign_in() {
            return Ok((Caller::Anybody { initiator: self.claimed_initiator(offer).await }, None));
        }
        let (name, found) = match offer {
            Offer::Nothing => return Ok((Caller::Stranger, None)),
            Offer::Name { name, token } => (Some(name), self.find(token.as_bytes()).await?),
            Offer::Bearer(token) => (None, self.find(token.as_bytes()).await?),
            // What it was begun with may have been taken away: then it is nobody's.
            Offer::Session(hash) => match self.known(self.credentials.find_hash(hash).await)? {
                Some(found) => (None, Ok(found)),
                None => return Ok((Caller::Stranger, None)),
            },
            Offer::Certificate(name) => {
                // A certificate stands for the token of somebody who was added, and for nobody else.
                return match self.credentials.has(Kind::Initiator, name).await {
                    Ok(true) => Ok((Caller::Initiator(name.to_owned()), None)),
                    Ok(false) => Err(self.fail(name, "the name in the certificate was not added", from).await),
                    Err(_) => Err(Denied::Unavailable),
                };
            }
        };
        let fits_name = |found: &SignedIn| name.is_none_or(|name| fits(found, name));
        let found = found.and_then(|found| if fits_name(&found) { Ok(found) } else { Err(OTHERS) });
        let hash = found.as_ref().ok().map(|found| found.hash);
        match found.and_then(|found| caller_of(found).ok_or(NO_USER_ID)) {
            Ok(caller) => Ok((caller, hash)),
            Err(why) => Err(self.fail(name.unwrap_or_default(), why, from).await),
        }
    }

    /// In mode `open` an initiator may say its name, and is believed: push-ids are unique for each.
    async fn claimed_initiator(&self, offer: Offer<'_>) -> Option<String> {
        match offer {
            Offer::Nothing | Offer::Session(_) => None,
            Offer::Name { name, .. } | Offer::Certificate(name) => {
                caller::check_name(name).is_ok().then(|| name.to_owned())
            }
            Offer::Bearer(token) => {
                let found = self.credentials.find(token.as_bytes()).await.ok().flatten()?;
                (found.kind == Kind::Initiator).then_some(found.name)
            }
        }
    }

    /// Whether everybody has to say who he is, and somebody can say that he is this device.
    pub async fn is_device(&self, name: &str) -> Result<bool, crate::store::Error> {
        Ok(self.requires_sign_in() && self.credentials.has(Kind::Device, name).await?)
    }

    /// How often a credential was taken away. Who signs in compares it before and after he is known to be signed in: it may
    /// have been his.
    #[must_use]
    pub fn removals(&self) -> u64 {
        self.removals.load(Ordering::SeqCst)
    }

    /// Whose token an MQTT client shows.
    pub async fn sign_in(&self, name: &str, token: &[u8], from: Option<IpAddr>) -> Result<SignedIn, Denied> {
        let operator = name.strip_prefix(caller::OPERATOR_PREFIX);
        let wanted = |found: &SignedIn| match operator {
            Some(name) => found.kind == Kind::Operator && found.name == name,
            None => found.kind == Kind::Device && fits(found, name),
        };
        match self.find(token).await?.and_then(|found| if wanted(&found) { Ok(found) } else { Err(OTHERS) }) {
            Ok(found) => Ok(found),
            Err(why) => Err(self.fail(name, why, from).await),
        }
    }

    /// Whether this is a token that somebody else has signed, where such are taken.
    #[must_use]
    pub fn takes_jwt(&self, token: &[u8]) -> bool {
        jwt::is_one(token) && self.jwt().is_some()
    }

    /// Whether the user of a session, which is not here, can sign in again. `by_jwt`: it signed in with a token that somebody
    /// else has signed.
    pub async fn may_come_back(&self, user: &str, by_jwt: bool) -> Result<bool, crate::store::Error> {
        Ok((by_jwt && self.requires_sign_in() && self.jwt().is_some()) || self.is_device(user).await?)
    }

    /// Keys that verify nothing any more end the connections that they let in.
    pub(super) fn end_jwt_keys(self: &Arc<Self>, gone: Vec<Hash>) {
        if gone.is_empty() {
            return;
        }
        let gateway = Arc::clone(self);
        let ended = gone.into_iter().map(|key| Login { kind: Kind::Device, name: None, hash: Some(key) });
        let ended: Vec<Login> = ended.collect();
        tokio::spawn(async move { gateway.sign_out_all(ended).await });
    }

    /// Reads the keys of JSON Web Tokens again where their files have changed.
    pub fn follow_jwt_files(self: &Arc<Self>) {
        let Some(jwt) = self.jwt().filter(|jwt| jwt.has_changed()) else { return };
        match jwt.reload() {
            Ok(gone) => {
                tracing::info!("the keys of JSON Web Tokens were read again");
                self.end_jwt_keys(gone);
            }
            Err(error) => tracing::error!(%error, "the keys of JSON Web Tokens stay as they are"),
        }
    }

    /// Whose token this is, or why it is nobody's.
    async fn find(&self, token: &[u8]) -> Result<Result<SignedIn, &'static str>, Denied> {
        if let Some(jwt) = self.jwt().filter(|_| jwt::is_one(token)) {
            return Ok(jwt.verify(token).and_then(|verified| {
                // As names of devices are stored.
                let name = UserId::parse(&verified.user).map_err(|_| NO_USER_ID)?.to_string();
                if name.starts_with(caller::OPERATOR_PREFIX) {
                    return Err(NO_USER_ID);
                }
                let until = Some(verified.until.saturating_mul(1_000));
                Ok(SignedIn { kind: Kind::Device, name, role: None, hash: verified.key, until })
            }));
        }
        self.find_own(token).await.map(|found| found.ok_or(UNKNOWN))
    }

    async fn find_own(&self, token: &[u8]) -> Result<Option<SignedIn>, Denied> {
        self.known(self.credentials.find(token).await)
    }

    /// What the store answers; that it cannot is told.
    fn known(&self, found: Result<Option<SignedIn>, crate::store::Error>) -> Result<Option<SignedIn>, Denied> {
        found.map_err(|error| {
            static BROKEN: LogLimit = LogLimit::new(1);
            if let Some(left_out) = BROKEN.pass() {
                tracing::error!(%error, left_out, "credentials cannot be looked up: nobody is let in");
            }
            Denied::Unavailable
        })
    }

    /// Tells and counts it, and lets whoever tries too often wait.
    async fn fail(&self, name: &str, why: &str, from: Option<IpAddr>) -> Denied {
        self.signals.metrics.failed_sign_ins.inc();
        if let Some(left_out) = FAILED.pass() {
            let name = shown(name);
            tracing::info!(name, remote = from.map(tracing::field::display), left_out, "a sign-in failed: {why}");
        }
        if let Some(from) = from {
            self.failures.wait(from).await;
        }
        Denied::Wrong
    }

    /// Makes, changes, removes or lists credentials. Connections that signed in with what works no more end.
    pub async fn look_after_credentials(
        &self,
        order: credentials::Order,
    ) -> Result<serde_json::Value, credentials::Error> {
        let (done, ended) = self.credentials.carry_out(order).await?;
        self.sign_out_all(ended).await;
        Ok(done)
    }

    /// Old tokens whose time is up let nobody in any more, and end the connections that they let in.
    pub(super) async fn end_old_tokens(&self) -> Result<(), crate::store::Error> {
        let ended = self.credentials.forget_old().await?;
        self.sign_out_all(ended).await;
        Ok(())
    }

    async fn sign_out_all(&self, logins: Vec<Login>) {
        for login in logins {
            self.sign_out(login).await;
        }
    }

    pub(super) async fn sign_out(&self, login: Login) {
        let (kind, name) = (login.kind.name(), login.name.as_deref());
        tracing::info!(kind, name, "a token works no more; the connections that it let in end");
        self.removals.fetch_add(1, Ordering::SeqCst);
        self.terminals().sign_out(login).await;
    }
}

/// Devices are named by their user ID, which has several spellings.
fn fits(found: &SignedIn, name: &str) -> bool {
    match found.kind {
        Kind::Device => UserId::parse(name).is_ok_and(|user| user.as_str() == found.name),
        Kind::Operator => name.strip_prefix(caller::OPERATOR_PREFIX).unwrap_or(name) == found.name,
        Kind::Initiator => name == found.name,
    }
}

fn caller_of(found: SignedIn) -> Option<Caller> {
    Some(match found.kind {
        Kind::Device => Caller::Device(UserId::parse(&found.name).ok()?),
        Kind::Initiator => Caller::Initiator(found.name),
        Kind::Operator => Caller::Operator { name: found.name, role: found.role.unwrap_or(Role::Viewer) },
    })
}

/// A name as it may be logged. Some write their token where the name belongs.
fn shown(name: &str) -> String {
    let looks_like_token = name.len() > 30 && !name.contains(['@', ':', ' ']);
    if looks_like_token { "(not shown: it may be a token)".into() } else { name.chars().take(100).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_the_place_of_the_name_is_not_logged() {
        let token = crate::token::Token::new(Kind::Device).unwrap().reveal();
        assert!(!shown(&token).contains(&token));
        assert_eq!(shown("sip:alice@example.com"), "sip:alice@example.com");
    }
}
