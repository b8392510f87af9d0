//! What an operator sees of PAP requests: counters, and one log line for each initiator and kind of repair, so that it is
//! known who sends what and nobody's log fills up.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::metrics::{Metrics, PapRepair, PapRequest};
use crate::pap::repair::Repair;

/// Kinds of repairs that are remembered as logged; beyond it every one counts as logged.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Observer {
    pub(in crate::http) metrics: Arc<Metrics>,
    logged: Arc<Mutex<HashSet<(String, Repair)>>>,
}

impl Observer {
    pub(super) fn request(&self, operation: &'static str, code: u16) {
        self.metrics.pap_requests.get_or_create(&PapRequest { operation, code }).inc();
    }

    pub(super) fn repairs(&self, initiator: &str, endpoint: &str, repairs: &[Repair]) {
        for repair in repairs {
            let label = PapRepair { initiator: initiator.to_owned(), row: repair.row() };
            self.metrics.pap_repairs.get_or_create(&label).inc();
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.len() < REMEMBERED && logged.insert((initiator.to_owned(), *repair)) {
                tracing::info!(
                    initiator,
                    endpoint,
                    row = repair.row(),
                    %repair,
                    "a bent PAP request was straightened; further ones like it are only counted"
                );
            }
        }
    }
}
