//! Credentials: made, listed, changed, removed and looked up, the same with and without a running gateway.

use std::time::Duration;

use serde::Serialize;

use crate::caller::{self, Kind, Role};
use crate::clock;
use crate::ids::UserId;
use crate::store::{self, NewCredential, SignedIn, Store};
use crate::token::{Hasher, NoRandom, Token};

/// Longest token that is looked at, in bytes; ours have 36.
const TOKEN_MAX: usize = 1_024;
/// Names that one order may add: it is one transaction.
const BATCH: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    BadName(String),
    #[error("the {} {name:?} has a token already: `papcast {} rotate` gives it another one", .kind.name(), .kind.name())]
    Exists { kind: Kind, name: String },
    #[error("there is no {} {name:?}", .kind.name())]
    Unknown { kind: Kind, name: String },
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A credential that was made, with its token, which nobody can show again.
#[derive(Debug, Clone, Serialize)]
pub struct Made {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    pub token: String,
}

/// A credential as it is listed.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    pub created_at: String,
    /// An earlier token works until then as well.
    pub old_token_until: Option<String>,
}

/// The credentials of a store.
#[derive(Debug)]
pub struct Credentials {
    store: Store,
    hasher: Hasher,
}

impl Credentials {
    pub async fn open(store: &Store) -> Result<Self, Error> {
        let key = store.token_key(Hasher::new_key()?).await?;
        Ok(Self { store: store.clone(), hasher: Hasher::new(&key) })
    }

    /// Makes a token for each name: for all of them or for none.
    pub async fn add(&self, kind: Kind, names: &[String], role: Option<Role>) -> Result<Vec<Made>, Error> {
        let mut made = Vec::with_capacity(names.len());
        for name in names {
            made.push(Made { name: checked(kind, name)?, role, token: Token::new(kind)?.reveal() });
        }
        for portion in made.chunks(BATCH) {
            let new = portion.iter().map(|one| NewCredential {
                name: one.name.clone(),
                role,
                hash: self.hasher.hash(one.token.as_bytes()),
            });
            let added = self.store.add_credentials(kind, new.collect(), clock::now()).await?;
            added.map_err(|name| Error::Exists { kind, name })?;
        }
        Ok(made)
    }

    /// Gives one a new token. The old one works as long as `keep_old` says.
    /// With it come the tokens that work no more.
    pub async fn rotate(
        &self,
        kind: Kind,
        name: &str,
        keep_old: Option<Duration>,
    ) -> Result<(Made, Vec<SignedIn>), Error> {
        let name = checked(kind, name)?;
        let token = Token::new(kind)?.reveal();
        let now = clock::now();
        let until = keep_old.map(|keep| now.saturating_add(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX)));
        let hash = self.hasher.hash(token.as_bytes());
        let rotated = self.store.rotate_credential(kind, name.clone(), hash, until, now).await?;
        let (role, ended) = rotated.ok_or_else(|| Error::Unknown { kind, name: name.clone() })?;
        Ok((Made { name, role, token }, ended))
    }

    pub async fn remove(&self, kind: Kind, name: &str) -> Result<(), Error> {
        let name = checked(kind, name)?;
        let removed = self.store.remove_credential(kind, name.clone()).await?;
        if removed { Ok(()) } else { Err(Error::Unknown { kind, name }) }
    }

    /// A page in order of names, after this one.
    pub async fn list(&self, kind: Kind, after: &str, limit: usize) -> Result<Vec<Listed>, Error> {
        let views = self.store.credentials(kind, after.to_owned(), limit).await?;
        let listed = views.into_iter().map(|view| Listed {
            name: view.name,
            role: view.role,
            created_at: clock::format_utc(view.created_at),
            old_token_until: view.old_until.map(clock::format_utc),
        });
        Ok(listed.collect())
    }

    /// Whether somebody of this name has a token.
    pub async fn has(&self, kind: Kind, name: &str) -> Result<bool, store::Error> {
        self.store.has_credential(kind, name.to_owned()).await
    }

    /// Old tokens whose time is up: forgotten, and answered.
    pub async fn forget_old(&self) -> Result<Vec<SignedIn>, store::Error> {
        self.store.forget_old_tokens(clock::now()).await
    }

    /// Whose token this is.
    pub async fn find(&self, token: &[u8]) -> Result<Option<SignedIn>, store::Error> {
        if token.is_empty() || token.len() > TOKEN_MAX {
            return Ok(None);
        }
        self.store.find_credential(self.hasher.hash(token), clock::now()).await
    }
}

/// The name as it is stored.
fn checked(kind: Kind, name: &str) -> Result<String, Error> {
    match kind {
        Kind::Device => match UserId::parse(name) {
            Ok(user) if name.starts_with(caller::OPERATOR_PREFIX) => {
                Err(Error::BadName(format!("{user}: what begins with {:?} is an operator", caller::OPERATOR_PREFIX)))
            }
            Ok(user) => Ok(user.to_string()),
            Err(error) => Err(Error::BadName(error.to_string())),
        },
        Kind::Initiator | Kind::Operator => caller::check_name(name).map(|()| name.to_owned()).map_err(Error::BadName),
    }
}
