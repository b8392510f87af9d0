//! What is counted, as `GET /metrics` shows it in the Prometheus text format. A name exists once, here.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::log_limit::LogLimit;

/// A PAP request by what it asked for and how it was answered. Bounded: operations and codes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PapRequest {
    /// The element of the request, or `unreadable`.
    pub operation: &'static str,
    /// The first PAP code of the answer.
    pub code: u16,
}

/// A repair by the row of the table in docs/pap.md. Initiators are as many as have credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PapRepair {
    pub initiator: String,
    pub row: &'static str,
}

/// Something that was refused because a limit is reached, by the key of the limit. Bounded: keys are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OverLimit {
    limit: &'static str,
}

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub pap_requests: Family<PapRequest, Counter>,
    pub pap_repairs: Family<PapRepair, Counter>,
    pub failed_sign_ins: Counter,
    over_limit: Family<OverLimit, Counter>,
    /// The log lines about each limit.
    told: Mutex<HashMap<&'static str, LogLimit>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("papcast");
        let pap_requests = Family::default();
        registry.register("pap_requests", "PAP requests by operation and answer", pap_requests.clone());
        let pap_repairs = Family::default();
        registry.register("pap_repairs", "Requests that were bent and have been straightened", pap_repairs.clone());
        let failed_sign_ins = Counter::default();
        registry.register(
            "failed_sign_ins",
            "Sign-ins with a wrong token, over MQTT and HTTP",
            failed_sign_ins.clone(),
        );
        let over_limit = Family::default();
        registry.register("over_limit", "What was refused because a limit is reached, by its key", over_limit.clone());
        Self { registry, pap_requests, pap_repairs, failed_sign_ins, over_limit, told: Mutex::default() }
    }
}

impl Metrics {
    /// A limit is reached, and `who` is refused something for it: counted, and said once a minute for each limit. `limit` is
    /// its key in the configuration.
    pub fn over_limit(&self, limit: &'static str, who: impl Display) {
        self.over_limit.get_or_create(&OverLimit { limit }).inc();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = told.entry(limit).or_insert(const { LogLimit::new(1) }).pass() {
            tracing::warn!(limit, %who, left_out, "a limit is reached, and what went beyond it was refused");
        }
    }

    /// The whole of it as text (OpenMetrics 1.0, which Prometheus reads).
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing into a string does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}
