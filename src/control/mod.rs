//! The control socket beside the store: how commands on the same machine reach a running gateway. One line of JSON asks, one
//! answers. Only the owner of the store may: the socket is his alone, and whoever connects is asked for his user.

mod client;
mod server;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use client::ask;
pub use server::{Error, Listener};

use crate::credentials;

/// Longest line, in bytes: thousands of names at a time.
const LINE: u64 = 16 << 20;

/// What is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Read the configuration again.
    Reload,
    Credentials(credentials::Order),
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
