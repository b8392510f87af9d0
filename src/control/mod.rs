//! The control socket beside the store: how commands on the same machine reach a running gateway. One line of JSON asks, one
//! answers. Only the owner of the store may: the socket is his alone, and whoever connects is asked for his user.

mod client;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use client::ask;
pub use server::{Error, Listener};

use crate::caller::Role;

/// Longest line, in bytes: thousands of names at a time.
const LINE: u64 = 16 << 20;

/// What a credential is for, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Device,
    Initiator,
    Operator,
}

impl From<Kind> for crate::caller::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Device => Self::Device,
            Kind::Initiator => Self::Initiator,
            Kind::Operator => Self::Operator,
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Read the configuration again.
    Reload,
    Credentials(CredentialOrder),
}

/// What is asked for about credentials.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CredentialOrder {
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
    List {
        kind: Kind,
        after: String,
        limit: usize,
    },
}

impl CredentialOrder {
    /// How long the old token works.
    #[must_use]
    pub fn keep(millis: Option<u64>) -> Option<Duration> {
        millis.map(Duration::from_millis)
    }
}

/// The answer: what was asked for, or why not.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    Done(serde_json::Value),
    Failed(String),
}

/// The socket of a store.
#[must_use]
pub fn path(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".sock");
    name.into()
}
