//! Addresses that somebody asks about, found by what they name and not by their spelling (status and cancel).

use std::collections::{HashMap, HashSet};

use rusqlite::Row;

use super::destinations;
use crate::ids::Target;

/// An address of a status query or a cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// As the initiator wrote it.
    pub raw: String,
    /// Whom that may name; the first one that the push went to counts.
    pub meanings: Vec<Target>,
}

/// Which addresses of a push were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// For each address of the push: how it is to be called in the answer, as it was asked for; none where it was not.
    pub names: Vec<Option<Vec<String>>>,
    /// What the push did not go to.
    pub unknown: Vec<String>,
}

/// Finds them among the addresses of a push, each with whom it named. Where nobody asks for one, all are meant.
#[must_use]
pub fn find(asked: &[Asked], places: &[(&str, Option<&Target>)]) -> Found {
    if asked.is_empty() {
        let names = places.iter().map(|(address, _)| Some(vec![(*address).to_owned()])).collect();
        return Found { names, unknown: Vec::new() };
    }
    let mut by_text = HashMap::with_capacity(places.len());
    let mut by_target: HashMap<&Target, Vec<usize>> = HashMap::with_capacity(places.len());
    for (at, (address, target)) in places.iter().enumerate() {
        by_text.entry(*address).or_insert(at);
        if let Some(target) = target {
            by_target.entry(target).or_default().push(at);
        }
    }
    let mut found = Found { names: vec![None; places.len()], unknown: Vec::new() };
    let mut seen = HashSet::with_capacity(asked.len());
    for Asked { raw, meanings } in asked.iter().filter(|asked| seen.insert(asked.raw.as_str())) {
        let named = || meanings.iter().find_map(|target| by_target.get(target)?.first().copied());
        match by_text.get(raw.as_str()).copied().or_else(named) {
            Some(at) => found.names[at].get_or_insert_default().push(raw.clone()),
            None => found.unknown.push(raw.clone()),
        }
    }
    // Other addresses of the push that name the same are asked for as well, and keep their own spelling.
    for same in by_target.values() {
        if same.iter().any(|at| found.names[*at].is_some()) {
            for at in same {
                found.names[*at].get_or_insert_with(|| vec![places[*at].0.to_owned()]);
            }
        }
    }
    found
}

/// Whom an address went to, from the columns `kind` and `name` of its flow. A group may have been deleted since: its name
/// has a mark behind it. Nobody has an address that was not known.
pub(super) fn target(row: &Row<'_>, kind: usize, name: usize) -> rusqlite::Result<Option<Target>> {
    let number: i64 = row.get(kind)?;
    if number == destinations::NOBODY {
        return Ok(None);
    }
    let name = row.get_ref(name)?.as_str()?;
    Ok(destinations::target(number, name.split('\u{1}').next().unwrap_or(name)).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;

    fn user(name: &str) -> Target {
        Target::User(UserId::parse(name).unwrap())
    }

    fn asked(raw: &str, names: &[&str]) -> Asked {
        Asked { raw: raw.into(), meanings: names.iter().map(|name| user(name)).collect() }
    }

    #[test]
    fn addresses_are_compared_by_what_they_name() {
        let (alice, bob) = (user("alice"), user("bob"));
        let places = [("alice:100", Some(&alice)), ("bob", Some(&bob)), ("user:bob", Some(&bob)), ("gone", None)];
        let own = |at: usize| Some(vec![places[at].0.to_owned()]);
        let all = find(&[], &places);
        assert_eq!(all.names, [own(0), own(1), own(2), own(3)]);
        let found = find(&[asked("alice", &["alice"]), asked("x", &["x"]), asked("gone", &["gone"])], &places);
        assert_eq!(found.names, [Some(vec!["alice".to_owned()]), None, None, own(3)]);
        assert_eq!(found.unknown, ["x"]);
        // Both of bob's, though one was asked for; and whoever asks twice is answered twice.
        let found =
            find(&[asked("bob:1", &["bob:1", "bob"]), asked("bob:1", &["bob"]), asked("bob", &["bob"])], &places);
        assert_eq!(found.names, [None, Some(vec!["bob:1".to_owned(), "bob".to_owned()]), own(2), None]);
    }
}
