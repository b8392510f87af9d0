//! Clients whose last connection ended with pushes unanswered, and on which push. Their next connection begins with one
//! push at a time, and a push that ends one connection after the other is known by that (docs/ledger.md, rule 20).

use std::sync::{Mutex, PoisonError};

use indexmap::{IndexMap, IndexSet};

use super::inflight_window::Sent;
use crate::ids::UserId;
use crate::parcel::{BindingId, DispatchId};

/// Clients, and bindings, that are remembered; beyond that one is forgotten and simply begins as usual.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Unanswered(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_client: IndexMap<String, Ended>,
    /// Ends on one push by clients that had not been known before: those of a user may have a new id each time.
    by_binding: IndexMap<BindingId, (DispatchId, u32)>,
    /// Users whose last client of that kind ended with something unanswered.
    by_user: IndexSet<UserId>,
}

/// How the last connections of a client ended.
#[derive(Debug, Clone, Copy)]
struct Ended {
    /// None where only messages between terminals were unanswered.
    on: Option<(BindingId, DispatchId)>,
    /// Connections in a row that this push alone has ended.
    times: u32,
}

/// Connections in a row that a push has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) of_client: u32,
    /// Of clients of this user that came for the first time.
    pub(super) of_new_clients: u32,
}

impl Unanswered {
    /// A connection of a client has ended by itself: with this push unanswered as the first one, which may be to blame, or with
    /// none. Answers how many it has ended in a row.
    pub(super) fn note(&self, client: &str, user: &UserId, suspect: Option<(Sent, bool)>) -> Times {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.by_client.swap_remove(client);
        if before.is_none() {
            known.by_user.swap_remove(user);
            if suspect.is_some() {
                if known.by_user.len() >= REMEMBERED {
                    known.by_user.swap_remove_index(0);
                }
                known.by_user.insert(user.clone());
            }
        }
        let Some((sent, to_blame)) = suspect else { return Times { of_client: 0, of_new_clients: 0 } };
        let on = Some((sent.binding, sent.id));
        let same = before.filter(|before| before.on == on).map_or(0, |before| before.times);
        let times = if to_blame { same.saturating_add(1) } else { same };
        make_room(&mut known.by_client);
        known.by_client.insert(client.to_owned(), Ended { on, times });
        let mut of_new_clients = 0;
        if before.is_none() && to_blame {
            let earlier = known.by_binding.swap_remove(&sent.binding);
            of_new_clients = earlier.filter(|(id, _)| *id == sent.id).map_or(0, |(_, times)| times).saturating_add(1);
            make_room(&mut known.by_binding);
            known.by_binding.insert(sent.binding, (sent.id, of_new_clients));
        }
        Times { of_client: times, of_new_clients }
    }

    /// A connection has ended by itself with messages between terminals unanswered: the next one is careful too.
    pub(super) fn note_messages(&self, client: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut known.by_client);
        known.by_client.insert(client.to_owned(), Ended { on: None, times: 0 });
    }

    /// Whether the last connection of a client ended with something unanswered; of one that comes for the first time, whether
    /// that of the user's last new client did.
    pub(super) fn has(&self, client: &str, user: Option<&UserId>) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.by_client.contains_key(client) || user.is_some_and(|user| known.by_user.contains(user))
    }
}

fn make_room<K: std::hash::Hash + Eq, V>(map: &mut IndexMap<K, V>) {
    if map.len() >= REMEMBERED {
        map.swap_remove_index(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parcel::Seq;

    fn user() -> UserId {
        UserId::parse("alice").unwrap()
    }

    fn push(seq: i64, to_blame: bool) -> Option<(Sent, bool)> {
        let id = DispatchId { flow: 1, seq: Seq(seq) };
        Some((Sent { binding: 1, id, push: seq, shared: false, size: 12_000, since: 0, times: 1 }, to_blame))
    }

    #[test]
    fn rule_20_a_push_counts_where_it_was_alone_under_way() {
        let unanswered = Unanswered::default();
        let note = |suspect| unanswered.note("c", &user(), suspect).of_client;
        assert_eq!([note(push(5, false)), note(push(5, true)), note(push(5, true)), note(push(5, true))], [0, 1, 2, 3]);
        assert!(unanswered.has("c", None));
        assert_eq!(note(push(6, true)), 1, "another push");
        assert_eq!(note(None), 0);
        assert!(!unanswered.has("c", None), "everything was answered");
        assert_eq!(note(push(6, true)), 1);
    }

    #[test]
    fn rule_20_clients_with_a_new_id_each_time_count_together() {
        let unanswered = Unanswered::default();
        let times = ["a", "b", "c"].map(|client| unanswered.note(client, &user(), push(5, true)));
        assert!(unanswered.has("new", Some(&user())), "it is careful with the next one");
        assert_eq!(times.map(|times| times.of_client), [1, 1, 1]);
        assert_eq!(times.map(|times| times.of_new_clients), [1, 2, 3]);
        assert_eq!(unanswered.note("c", &user(), push(5, true)).of_new_clients, 0, "that one is known");
        assert_eq!(unanswered.note("d", &user(), push(6, true)).of_new_clients, 1, "another push");
        unanswered.note("e", &user(), None);
        assert!(!unanswered.has("new", Some(&user())));
    }

    #[test]
    fn those_who_are_remembered_are_bounded() {
        let unanswered = Unanswered::default();
        for client in 0..REMEMBERED + 5 {
            unanswered.note(&client.to_string(), &user(), push(1, true));
        }
        assert_eq!(unanswered.0.lock().unwrap().by_client.len(), REMEMBERED);
    }
}
