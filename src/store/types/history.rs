//! What is kept of what happened: memberships that began and ended, and what operators changed.

use crate::clock::Millis;

/// A user came into a group or left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    pub id: i64,
    pub at: Millis,
    pub group: String,
    pub user: String,
    /// Came, or else left.
    pub joined: bool,
    /// By whose hand.
    pub hand: String,
}

/// An operator changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub id: i64,
    pub at: Millis,
    pub hand: String,
    pub act: String,
    pub object: String,
    pub detail: String,
}
