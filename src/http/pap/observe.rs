//! What an operator sees of PAP requests: counters, and one log line for each sender and kind of repair, so that it is
//! known who sends what and nobody's log fills up.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::server::Remote;
use crate::metrics::{Metrics, PapRepair, PapRequest};
use crate::pap::repair::{Repair, Repairs};

/// Kinds of repairs that are remembered as logged; beyond it every one counts as logged.
const REMEMBERED: usize = 10_000;

/// Who sent a request, and where to.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    pub(super) initiator: &'a str,
    pub(super) endpoint: &'a str,
    /// Tells initiators apart that need not say who they are.
    pub(super) remote: Option<Remote>,
}

/// What is logged once.
type Logged = (String, Option<IpAddr>, Repair);

#[derive(Debug, Clone, Default)]
pub(in crate::http) struct Observer {
    pub(in crate::http) metrics: Arc<Metrics>,
    logged: Arc<Mutex<HashSet<Logged>>>,
}

impl Observer {
    pub(super) fn request(&self, operation: &'static str, code: u16) {
        self.metrics.pap_requests.get_or_create(&PapRequest { operation, code }).inc();
    }

    pub(super) fn repairs(&self, sender: &Sender<'_>, repairs: &Repairs) {
        for repair in repairs.as_slice() {
            let label = PapRepair { initiator: sender.initiator.to_owned(), row: repair.row() };
            self.metrics.pap_repairs.get_or_create(&label).inc();
            let remote = sender.remote.map(|Remote(address)| address.ip());
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.len() < REMEMBERED && logged.insert((sender.initiator.to_owned(), remote, *repair)) {
                let unknown = repairs.unknown();
                tracing::info!(
                    initiator = sender.initiator,
                    remote = remote.map(tracing::field::display),
                    endpoint = sender.endpoint,
                    row = repair.row(),
                    unknown = (*repair == Repair::Unknown && !unknown.is_empty()).then_some(tracing::field::debug(unknown)),
                    %repair,
                    "a bent PAP request was straightened; further ones like it are only counted"
                );
            }
        }
    }
}
