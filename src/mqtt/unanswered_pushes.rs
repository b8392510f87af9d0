//! Clients whose last connection ended with pushes unanswered, and on which push. Their next connection begins with one
//! push at a time, and the log names a push that ends one connection after the other.

use std::sync::{Mutex, PoisonError};

use indexmap::IndexMap;

use super::inflight_window::Sent;

/// Clients that are remembered; beyond that one is forgotten and simply begins as usual.
const REMEMBERED: usize = 10_000;
/// So many connections in a row that ended on one push are worth a word.
const IN_A_ROW: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Unanswered {
    by_client: Mutex<IndexMap<String, Ended>>,
}

/// How the last connections of a client ended.
#[derive(Debug, Clone, Copy)]
struct Ended {
    on: Sent,
    /// Connections in a row.
    times: u32,
}

impl Unanswered {
    /// A connection of a client has ended by itself, with this push unanswered as the first one, or with none. Answers how
    /// many in a row ended on it, where that is worth a word.
    pub(super) fn note(&self, client: &str, first: Option<Sent>) -> Option<u32> {
        let mut by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        let before = by_client.swap_remove(client);
        let on = first?;
        let times = before.filter(|before| (before.on.binding, before.on.id) == (on.binding, on.id));
        let times = times.map_or(1, |before| before.times.saturating_add(1));
        if by_client.len() >= REMEMBERED {
            by_client.swap_remove_index(0);
        }
        by_client.insert(client.to_owned(), Ended { on, times });
        (times >= IN_A_ROW && (times == IN_A_ROW || times.is_power_of_two())).then_some(times)
    }

    /// Whether the last connection of a client ended with pushes unanswered.
    pub(super) fn has(&self, client: &str) -> bool {
        self.by_client.lock().unwrap_or_else(PoisonError::into_inner).contains_key(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parcel::{DispatchId, Seq};

    fn push(seq: i64) -> Option<Sent> {
        let id = DispatchId { flow: 1, seq: Seq(seq) };
        Some(Sent { binding: 1, id, push: seq, shared: false, size: 12_000 })
    }

    #[test]
    fn a_push_that_ends_one_connection_after_the_other_was_never_named() {
        let unanswered = Unanswered::default();
        let said: Vec<_> = (0..9).map(|_| unanswered.note("c", push(5))).collect();
        assert_eq!(said, [None, None, Some(3), Some(4), None, None, None, Some(8), None]);
        assert!(unanswered.has("c"));
        assert_eq!(unanswered.note("c", push(6)), None, "another push");
        assert_eq!(unanswered.note("c", None), None);
        assert!(!unanswered.has("c"), "everything was answered");
    }

    #[test]
    fn those_who_are_remembered_are_bounded() {
        let unanswered = Unanswered::default();
        for client in 0..REMEMBERED + 5 {
            unanswered.note(&client.to_string(), push(1));
        }
        assert_eq!(unanswered.by_client.lock().unwrap().len(), REMEMBERED);
    }
}
