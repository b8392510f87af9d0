//! What is known of a user's terminals, for initiators that ask before they push (WAP-247 §5.5).

use std::collections::HashSet;

use super::Gateway;
use crate::caller::Caller;
use crate::clock;
use crate::ids::{GroupId, Target, UserId};
use crate::policy::{Action, may};
use crate::store::{Error, TerminalSeen};

/// Terminals that one answer tells of.
const TERMINALS: usize = 100;

/// A user's terminals and groups.
#[derive(Debug, Clone)]
pub struct Capabilities {
    pub terminals: Vec<Terminal>,
    pub groups: Vec<GroupId>,
}

#[derive(Debug, Clone)]
pub struct Terminal {
    pub known: TerminalSeen,
    pub connected: bool,
}

/// Why nothing can be said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCapabilities {
    #[error("the address names no user")]
    NotAUser,
    #[error("no terminal of this user has been seen, and it is in no group")]
    NothingKnown,
    #[error("the store cannot be read now; try again later")]
    Unavailable,
}

impl From<Error> for NoCapabilities {
    fn from(error: Error) -> Self {
        tracing::error!(%error, "a capabilities query failed");
        Self::Unavailable
    }
}

impl Gateway {
    /// What is known of the terminals behind an address.
    pub async fn capabilities(&self, caller: &Caller, address: &str) -> Result<Capabilities, NoCapabilities> {
        let policy = self.policy();
        let reached = |target: &Target| policy.may_reach(caller, target);
        let users = self.named_targets(address, false).into_iter().filter(reached).filter_map(|target| match target {
            Target::User(user) => Some(user),
            Target::Group(_) => None,
        });
        let mut none = NoCapabilities::NotAUser;
        for user in users {
            let terminals = self.known_terminals(&user).await?;
            let bindings = self.store().bindings(user).await?;
            if !terminals.is_empty() || !bindings.is_empty() {
                let sees = may(caller, Action::SeeGroups);
                let groups = bindings.into_iter().map(|binding| binding.group).filter(|_| sees).collect();
                return Ok(Capabilities { terminals, groups });
            }
            none = NoCapabilities::NothingKnown;
        }
        Err(none)
    }

    /// Those that are connected, and then those that were.
    async fn known_terminals(&self, user: &UserId) -> Result<Vec<Terminal>, Error> {
        let now = clock::now();
        let mut terminals: Vec<Terminal> = self
            .connections(user)
            .into_iter()
            .take(TERMINALS)
            .map(|connection| {
                let known = TerminalSeen {
                    client: connection.client_id,
                    user: user.clone(),
                    protocol: connection.protocol.to_owned(),
                    receive_maximum: connection.receive_maximum,
                    maximum_packet: connection.maximum_packet_size,
                    seen_at: now,
                    sent: 0,
                    largest_acked: 0,
                    gone: None,
                };
                Terminal { known, connected: true }
            })
            .collect();
        let connected: HashSet<String> = terminals.iter().map(|terminal| terminal.known.client.clone()).collect();
        let away = self.store().terminals(user.clone(), TERMINALS).await?;
        let away = away.into_iter().filter(|known| !connected.contains(&known.client));
        terminals.extend(away.map(|known| Terminal { known, connected: false }));
        terminals.truncate(TERMINALS);
        Ok(terminals)
    }
}
