//! Which malformed requests were accepted, by initiator and kind, since the gateway started.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::clock::{self, Millis};
use crate::pap::repair::Repair;

/// Kinds that are kept; further ones are only counted in the metrics.
const MOST: usize = 10_000;

/// One kind of one initiator.
#[derive(Debug, Clone)]
pub(in crate::http) struct RepairCount {
    pub(in crate::http) initiator: String,
    pub(in crate::http) repair: Repair,
    pub(in crate::http) requests: u64,
    pub(in crate::http) first: Millis,
    pub(in crate::http) last: Millis,
}

#[derive(Debug, Default)]
pub(in crate::http) struct RepairLog {
    known: Mutex<BTreeMap<(String, Repair), RepairCount>>,
}

impl RepairLog {
    pub(super) fn note(&self, initiator: &str, repair: Repair) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, now) = ((initiator.to_owned(), repair), clock::now());
        if known.len() >= MOST && !known.contains_key(&key) {
            return;
        }
        let begin = || RepairCount { initiator: initiator.to_owned(), repair, requests: 0, first: now, last: now };
        let entry = known.entry(key).or_insert_with(begin);
        entry.requests += 1;
        entry.last = now;
    }

    /// In order of initiators, after the one of this place.
    pub(in crate::http) fn list(&self, skip: usize, limit: usize) -> Vec<RepairCount> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().skip(skip).take(limit).cloned().collect()
    }
}
