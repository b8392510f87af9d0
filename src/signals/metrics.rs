//! What is counted and measured, as `GET /metrics` shows it. A name exists once, here, with what it means; docs/metrics.md is
//! made from the same list.

use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use super::event::Event;
use super::histogram::{Histogram, SIZES, TIMES};
use super::labels::{Build, EndState, OverLimit, PapRepair, Reason, Spoken, Submission};
use crate::clock::{self, Millis};
use crate::log_limit::LogLimit;

type Number = Gauge<i64>;
type Real = Gauge<f64, AtomicU64>;

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    described: Vec<Described>,
    pub submissions: Family<Submission, Counter>,
    pub pap_repairs: Family<PapRepair, Counter>,
    pub failed_sign_ins: Counter,
    pub notifications: NotificationCounters,
    pub deliveries: Counter,
    refusals: Family<Reason, Counter>,
    finals: Family<EndState, Counter>,
    pub member_seconds: Histogram,
    last_member_seconds: Histogram,
    pub commit_seconds: Histogram,
    pub commit_requests: Histogram,
    connections: Family<Spoken, Number>,
    connects: Family<Spoken, Counter>,
    disconnects: Family<Reason, Counter>,
    joins: Counter,
    leaves: Counter,
    over_limit: Family<OverLimit, Counter>,
    pub events_lost: Counter,
    pub gauges: Gauges,
    started_at: Millis,
    /// The log lines about each limit.
    told: Mutex<HashMap<&'static str, LogLimit>>,
}

/// How posting result notifications went.
#[derive(Debug, Clone, Default)]
pub struct NotificationCounters {
    pub received: Counter,
    pub failed: Counter,
    pub given_up: Counter,
}

/// What is looked up once in a while, and holds until the next look.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    pub users: Number,
    pub groups: Number,
    pub memberships: Number,
    pub pending_pushes: Number,
    pub backlog: Number,
    pub oldest_pending_seconds: Real,
    pub pending_joins: Number,
    pub notifications_waiting: Number,
    pub store_bytes: Number,
    pub store_queue: Number,
    pub publisher_bytes: Number,
    pub router_topics: Number,
    pub watchers: Number,
    pub canary_age_seconds: Real,
}

/// One metric, for its documentation.
#[derive(Debug)]
struct Described {
    name: &'static str,
    kind: &'static str,
    labels: &'static str,
    help: &'static str,
}

/// Registers metrics, and writes down what they are.
struct Describing {
    registry: Registry,
    described: Vec<Described>,
}

impl Describing {
    fn add<M: Metric + Clone>(
        &mut self,
        name: &'static str,
        kind: &'static str,
        labels: &'static str,
        help: &'static str,
        metric: &M,
    ) {
        self.registry.register(name, help.trim_end_matches('.'), metric.clone());
        self.described.push(Described { name, kind, labels, help });
    }

    fn counter<M: Metric + Clone + Default>(
        &mut self,
        name: &'static str,
        labels: &'static str,
        help: &'static str,
    ) -> M {
        let metric = M::default();
        self.add(name, "counter", labels, help, &metric);
        metric
    }

    fn gauge<M: Metric + Clone + Default>(
        &mut self,
        name: &'static str,
        labels: &'static str,
        help: &'static str,
    ) -> M {
        let metric = M::default();
        self.add(name, "gauge", labels, help, &metric);
        metric
    }

    fn histogram(&mut self, name: &'static str, bounds: &'static [f64], help: &'static str) -> Histogram {
        let metric = Histogram::new(bounds);
        self.add(name, "histogram", "", help, &metric);
        metric
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut all = Describing { registry: Registry::with_prefix("papcast"), described: Vec::new() };
        let started_at = about_the_program(&mut all);
        Self {
            submissions: all.counter(
                "submissions",
                "interface, operation, code",
                "Requests of initiators by interface (pap or json), operation and PAP code of the answer.",
            ),
            pap_repairs: all.counter(
                "pap_repairs",
                "initiator, row",
                "Malformed PAP requests that were accepted, by initiator and row of the table in docs/pap.md.",
            ),
            deliveries: all.counter(
                "deliveries",
                "",
                "Pushes that a terminal has acknowledged, or that were written to it at QoS 0.",
            ),
            refusals: all.counter(
                "refusals",
                "reason",
                "What was refused: a push, a connect or a join that was not accepted, a delivery that a terminal refused (terminal) or cannot take (too-large).",
            ),
            finals: all.counter("finished_addresses", "state", "Addresses of pushes that came to their end, by state."),
            member_seconds: all.histogram(
                "push_member_seconds",
                TIMES,
                "Time from when a push could be delivered until a member acknowledged it.",
            ),
            last_member_seconds: all.histogram(
                "push_last_member_seconds",
                TIMES,
                "Time from when a push could be delivered until its last member had it; up to store.flush_interval of it is the time until that was written down.",
            ),
            commit_seconds: all.histogram("commit_seconds", TIMES, "Time that a commit of the store took."),
            commit_requests: all.histogram("commit_requests", SIZES, "Requests that shared one commit."),
            connections: all.gauge("connections", "protocol, transport", "MQTT connections that have a session."),
            connects: all.counter("connects", "protocol, transport", "MQTT sessions that began."),
            disconnects: disconnects(&mut all),
            joins: all.counter("joins", "", "Users that came into a group."),
            leaves: all.counter("leaves", "", "Users that left a group."),
            failed_sign_ins: all.counter("failed_sign_ins", "", "Sign-ins with a wrong token, over MQTT and HTTP."),
            over_limit: all.counter(
                "over_limit",
                "limit",
                "What was refused because a limit is reached, by the key of the limit.",
            ),
            events_lost: all.counter("events_lost", "", "Events that readers were too slow for."),
            notifications: notifications(&mut all),
            gauges: gauges(&mut all),
            started_at,
            registry: all.registry,
            described: all.described,
            told: Mutex::default(),
        }
    }
}

/// Those that alerts look at are there from the start: Prometheus sees no increase in what was not there before.
fn disconnects(all: &mut Describing) -> Family<Reason, Counter> {
    let counters: Family<Reason, Counter> =
        all.counter("disconnects", "reason", "MQTT connections that ended, by reason.");
    for reason in ["lost", "keep-alive"] {
        drop(counters.get_or_create(&Reason { reason }));
    }
    counters
}

/// Answers when it was started.
fn about_the_program(all: &mut Describing) -> Millis {
    let build: Family<Build, Number> = all.gauge("build_info", "version", "Always 1; the version is its label.");
    build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
    let started: Real = all.gauge("start_time_seconds", "", "When the gateway was started, in seconds since 1970 UTC.");
    let started_at = clock::now();
    started.set(started_at as f64 / 1_000.0);
    started_at
}

fn notifications(all: &mut Describing) -> NotificationCounters {
    NotificationCounters {
        received: all.counter("notifications_received", "", "Result notifications that their receiver took."),
        failed: all.counter(
            "notifications_failed",
            "",
            "Attempts to post a result notification that failed; it is tried again.",
        ),
        given_up: all.counter("notifications_given_up", "", "Result notifications that were given up."),
    }
}

fn gauges(all: &mut Describing) -> Gauges {
    Gauges {
        users: all.gauge("users", "", "Users that are known."),
        groups: all.gauge("groups", "", "Groups."),
        memberships: all.gauge("memberships", "", "Users in groups, each counted once for each group."),
        pending_pushes: all.gauge("pending_addresses", "", "Addresses of pushes that have not come to their end."),
        backlog: all.gauge(
            "backlog",
            "",
            "Deliveries that are still owed: members who have not answered a pending push.",
        ),
        oldest_pending_seconds: all.gauge(
            "oldest_pending_seconds",
            "",
            "Age of the oldest push that has not come to its end.",
        ),
        pending_joins: all.gauge("pending_joins", "", "Joins that wait for a decision."),
        notifications_waiting: all.gauge("notifications_waiting", "", "Result notifications that wait to be posted."),
        store_bytes: all.gauge("store_bytes", "", "Size of the store: its file and its write-ahead log."),
        store_queue: all.gauge("store_queue", "", "Requests that wait for the store's writer."),
        publisher_bytes: all.gauge("publisher_bytes", "", "Bytes of pushes that wait for the embedded broker."),
        router_topics: all.gauge(
            "router_topics",
            "",
            "Groups that have a topic of their own in the embedded broker; they keep it until the restart.",
        ),
        watchers: all.gauge("watchers", "", "Connections that watch with wildcards or follow traces."),
        canary_age_seconds: all.gauge(
            "canary_age_seconds",
            "",
            "Time since the canary's terminal last got a push; 0 where there is no canary.",
        ),
    }
}

impl Metrics {
    /// What an event says by itself.
    pub(super) fn count(&self, event: &Event) {
        match event {
            Event::Join(_) => drop(self.joins.inc()),
            Event::Leave(_) => drop(self.leaves.inc()),
            Event::Push(_) | Event::Progress(_) => {}
            Event::Final(push) if push.welcome => {}
            Event::Final(push) => {
                self.finals.get_or_create(&EndState { state: push.state }).inc();
                if let Some(seconds) = push.seconds.filter(|_| push.state == "delivered") {
                    self.last_member_seconds.observe(seconds);
                }
            }
            Event::Connect(one) => {
                let spoken = Spoken { protocol: one.protocol, transport: one.transport };
                self.connections.get_or_create(&spoken).inc();
                self.connects.get_or_create(&spoken).inc();
            }
            Event::Disconnect(one) => {
                let spoken = Spoken { protocol: one.protocol, transport: one.transport };
                self.connections.get_or_create(&spoken).dec();
                self.disconnects.get_or_create(&Reason { reason: one.reason.unwrap_or("lost") }).inc();
            }
            Event::Refused { what, .. } => self.refused(what, 1),
            Event::Change { .. } | Event::Trace { .. } => {}
        }
    }

    /// When the gateway was started.
    #[must_use]
    pub fn started_at(&self) -> Millis {
        self.started_at
    }

    /// Something was not accepted.
    pub fn refused(&self, reason: &'static str, times: u64) {
        if times > 0 {
            self.refusals.get_or_create(&Reason { reason }).inc_by(times);
        }
    }

    /// A limit is reached, and `who` is refused something for it: counted, and said once a minute for each limit. `limit` is
    /// its key in the configuration.
    pub fn over_limit(&self, limit: &'static str, who: impl Display) {
        self.over_limit.get_or_create(&OverLimit { limit }).inc();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = told.entry(limit).or_insert(const { LogLimit::new(1) }).pass() {
            tracing::warn!(limit, %who, left_out, "a limit is reached, and what went beyond it was refused");
        }
    }

    /// All of it in OpenMetrics 1.0, which Prometheus prefers.
    #[must_use]
    pub fn open_metrics(&self) -> String {
        let mut out = String::new();
        // Writing into a string does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }

    /// All of it in the Prometheus text format 0.0.4, which everybody else reads: there a counter has its `_total` in its head as
    /// well, and there are neither units nor an end.
    #[must_use]
    pub fn prometheus_text(&self) -> String {
        let all = self.open_metrics();
        let mut counters = std::collections::HashSet::new();
        for line in all.lines() {
            if let Some(name) = line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter")) {
                counters.insert(name);
            }
        }
        let mut out = String::with_capacity(all.len());
        for line in all.lines() {
            let head = ["# HELP ", "# TYPE "].into_iter().find_map(|word| Some((word, line.strip_prefix(word)?)));
            match head.and_then(|(word, rest)| Some((word, rest.split_once(' ')?))) {
                Some((word, (name, rest))) if counters.contains(name) => {
                    let _ = writeln!(out, "{word}{name}_total {rest}");
                }
                Some(_) => out.extend([line, "\n"]),
                None if line.starts_with('#') => {}
                None => out.extend([line, "\n"]),
            }
        }
        out
    }

    /// A table of all of them, in Markdown.
    #[must_use]
    pub fn documentation(&self) -> String {
        let mut out = String::from("| name | type | labels | what it is |\n| --- | --- | --- | --- |\n");
        for Described { name, kind, labels, help } in &self.described {
            let end = if *kind == "counter" { "_total" } else { "" };
            let _ = writeln!(out, "| `papcast_{name}{end}` | {kind} | {labels} | {help} |");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written anew with PAPCAST_WRITE_DOCS=1.
    #[test]
    fn the_documentation_of_the_metrics_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let known = std::fs::read_to_string(path).unwrap_or_default();
        let table = Metrics::default().documentation();
        let (head, rest) = known.split_once("<!-- table -->\n").unwrap_or((known.as_str(), ""));
        let tail = rest.split_once("<!-- end -->\n").map_or("", |(_, tail)| tail);
        let made = format!("{head}<!-- table -->\n{table}<!-- end -->\n{tail}");
        if std::env::var_os("PAPCAST_WRITE_DOCS").is_some() {
            return std::fs::write(path, &made).unwrap();
        }
        assert!(known == made, "docs/metrics.md is not what the code says: run the test with PAPCAST_WRITE_DOCS=1");
    }

    #[test]
    fn a_counter_had_no_help_in_the_older_format() {
        let metrics = Metrics::default();
        metrics.failed_sign_ins.inc();
        let text = metrics.prometheus_text();
        for line in [
            "# HELP papcast_failed_sign_ins_total Sign-ins with a wrong token, over MQTT and HTTP.",
            "# TYPE papcast_failed_sign_ins_total counter",
            "papcast_failed_sign_ins_total 1",
            "# TYPE papcast_push_member_seconds histogram",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
    }
}
