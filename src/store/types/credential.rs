//! Credentials as they are stored.

use crate::caller::{Kind, Login, Role};
use crate::clock::Millis;

/// A token that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    pub kind: Kind,
    pub name: String,
    /// Operators have one.
    pub role: Option<Role>,
    /// Which of its tokens it was.
    pub hash: [u8; 32],
    /// When it ends by itself: a token that somebody else has signed does.
    pub until: Option<Millis>,
}

impl From<SignedIn> for Login {
    fn from(signed_in: SignedIn) -> Self {
        Self { kind: signed_in.kind, name: Some(signed_in.name), hash: Some(signed_in.hash) }
    }
}

/// A credential to be stored.
#[derive(Debug, Clone)]
pub struct NewCredential {
    pub name: String,
    pub role: Option<Role>,
    pub hash: [u8; 32],
}

/// A credential as it is listed: never with its token, which nobody knows any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialView {
    pub name: String,
    pub role: Option<Role>,
    pub created_at: Millis,
    /// An earlier token works until then as well.
    pub old_until: Option<Millis>,
}
