//! Who looks at a page, and what he may.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::sessions::Session;
use super::sign_in::is_over_tls;
use crate::caller::{Caller, Role};
use crate::policy::{self, Action};

#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) caller: Caller,
    /// What comes with whatever changes something.
    pub(super) csrf: Option<String>,
    /// The gateway's address, as the browser knows it.
    pub(super) site: String,
}

impl Visitor {
    /// Whether he may change groups, members and devices.
    pub(super) fn may_change(&self) -> bool {
        policy::may(&self.caller, Action::ChangeGroups)
    }

    pub(super) fn may_push(&self) -> bool {
        policy::may(&self.caller, Action::Push)
    }

    pub(super) fn may_cancel(&self) -> bool {
        policy::may(&self.caller, Action::CancelAllPushes)
    }

    /// Whose pushes those are that he sends.
    pub(super) fn initiator(&self) -> String {
        self.caller.initiator()
    }

    /// Name and role; nothing where nobody has to sign in.
    pub(super) fn name(&self) -> Option<(&str, &'static str)> {
        match &self.caller {
            Caller::Operator { name, role: Role::Operator } => Some((name, "operator")),
            Caller::Operator { name, role: Role::Viewer } => Some((name, "viewer")),
            _ => None,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let scheme = if is_over_tls(&parts.extensions, &parts.headers) { "https" } else { "http" };
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1:8080");
        Ok(Self {
            caller: parts.extensions.get().cloned().unwrap_or(Caller::Stranger),
            csrf: parts.extensions.get().map(|session: &Session| session.csrf.clone()),
            site: format!("{scheme}://{host}"),
        })
    }
}
