//! Credentials: made, listed, changed, removed and looked up, the same with and without a running gateway.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::caller::{self, Kind, Login, Role};
use crate::clock;
use crate::ids::UserId;
use crate::store::{self, NewCredential, SignedIn, Store};
use crate::token::{Hash, Hasher, NoRandom, Token};

/// Longest token that is looked at, in bytes; ours have 36.
const TOKEN_MAX: usize = 1_024;
/// Names that one order may add: it is one transaction.
pub const MOST: usize = 10_000;

/// What is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    Add {
        kind: Kind,
        names: Vec<String>,
        role: Option<Role>,
    },
    Rotate {
        kind: Kind,
        name: String,
        /// Milliseconds that the old token still works.
        keep_old: Option<u64>,
    },
    Remove {
        kind: Kind,
        name: String,
    },
    /// A page in order of names, after this one.
    List {
        kind: Kind,
        after: String,
        limit: usize,
    },
}

/// By whose hand credentials change: whoever may use the gateway's own files.
const HAND: &str = "command line";

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
#[derive(Debug, Serialize)]
struct Made {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    token: String,
}

/// A credential as it is listed.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    created_at: String,
    /// An earlier token works until then as well.
    old_token_until: Option<String>,
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

    /// Carries an order out. With what was made or found comes whose connections have to end for it.
    pub async fn carry_out(&self, order: Order) -> Result<(Value, Vec<Login>), Error> {
        Ok(match order {
            Order::Add { kind, names, role } => {
                let made = self.add(kind, &names, role).await?;
                self.note("add", kind, made.iter().map(|one| one.name.clone()).collect()).await;
                (json!(made), Vec::new())
            }
            Order::Rotate { kind, name, keep_old } => {
                let (made, ended) = self.rotate(kind, &name, keep_old).await?;
                self.note("rotate", kind, vec![name]).await;
                (json!(made), ended)
            }
            Order::Remove { kind, name } => {
                let ended = self.remove(kind, &name).await?;
                self.note("remove", kind, vec![name]).await;
                (json!({}), vec![ended])
            }
            Order::List { kind, after, limit } => (json!(self.list(kind, &after, limit).await?), Vec::new()),
        })
    }

    /// Writes down what was changed. It has been done: a store that is full just now undoes nothing.
    async fn note(&self, act: &'static str, kind: Kind, names: Vec<String>) {
        for name in names {
            let object = if kind == Kind::Device { format!("user {name}") } else { format!("{} {name}", kind.name()) };
            let detail = format!("{} token", kind.name());
            let noted = self.store.record_act(HAND.into(), act, object, detail, clock::now()).await;
            if let Err(error) = noted {
                tracing::warn!(%error, name, act, "what was changed could not be written down");
            }
        }
    }

    /// Makes a token for each name: for all of them or for none.
    async fn add(&self, kind: Kind, names: &[String], role: Option<Role>) -> Result<Vec<Made>, Error> {
        if names.len() > MOST {
            return Err(Error::BadName(format!("{} names are too many for one order: {MOST} at most", names.len())));
        }
        let mut made = Vec::with_capacity(names.len());
        let mut seen = HashSet::with_capacity(names.len());
        for name in names {
            let name = checked(kind, name)?;
            if !seen.insert(name.clone()) {
                return Err(Error::BadName(format!("{name:?} is named twice")));
            }
            made.push(Made { name, role, token: Token::new(kind)?.reveal() });
        }
        let hash = |one: &Made| self.hasher.hash(one.token.as_bytes());
        let new = made.iter().map(|one| NewCredential { name: one.name.clone(), role, hash: hash(one) });
        let added = self.store.add_credentials(kind, new.collect(), clock::now()).await?;
        added.map_err(|name| Error::Exists { kind, name })?;
        Ok(made)
    }

    /// Gives one a new token. The old one works for so many milliseconds. With it come the tokens that work no more.
    async fn rotate(&self, kind: Kind, name: &str, keep_old: Option<u64>) -> Result<(Made, Vec<Login>), Error> {
        let name = checked(kind, name)?;
        let token = Token::new(kind)?.reveal();
        let now = clock::now();
        let until = keep_old.map(|keep| now.saturating_add(i64::try_from(keep).unwrap_or(i64::MAX)));
        let hash = self.hasher.hash(token.as_bytes());
        let rotated = self.store.rotate_credential(kind, name.clone(), hash, until, now).await?;
        let (role, ended) = rotated.ok_or_else(|| Error::Unknown { kind, name: name.clone() })?;
        Ok((Made { name, role, token }, ended.into_iter().map(Into::into).collect()))
    }

    async fn remove(&self, kind: Kind, name: &str) -> Result<Login, Error> {
        let name = checked(kind, name)?;
        let removed = self.store.remove_credential(kind, name.clone()).await?;
        if removed { Ok(Login { kind, name: Some(name), hash: None }) } else { Err(Error::Unknown { kind, name }) }
    }

    async fn list(&self, kind: Kind, after: &str, limit: usize) -> Result<Vec<Listed>, Error> {
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

    /// Forgets old tokens whose time is up, and answers whose connections have to end for it.
    pub async fn forget_old(&self) -> Result<Vec<Login>, store::Error> {
        let ended = self.store.forget_old_tokens(clock::now()).await?;
        Ok(ended.into_iter().map(Into::into).collect())
    }

    /// Whose token has this hash.
    pub async fn find_hash(&self, hash: Hash) -> Result<Option<SignedIn>, store::Error> {
        self.store.find_credential(hash, clock::now()).await
    }

    /// Whose token this is.
    pub async fn find(&self, token: &[u8]) -> Result<Option<SignedIn>, store::Error> {
        if token.is_empty() || token.len() > TOKEN_MAX {
            return Ok(None);
        }
        self.find_hash(self.hasher.hash(token)).await
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
