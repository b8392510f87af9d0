//! The configuration: what can be set, and what is possible at all.
//!
//! There is one list of defaults, `broker.toml` at the top of the repository; it is compiled in and read like any other
//! layer, so the documented default and the real one cannot differ. The file `load.rs` says how the layers are put together.

mod exposure;
mod load;
mod names;
mod units;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub use load::{ConfigError, DEFAULT_TOML, doubts, load};
pub use names::environment;

use crate::ids::{Duplicates, GroupId, JoinPolicy, Target, UserId};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub http: Http,
    pub mqtt: Mqtt,
    pub store: Store,
    pub broker: Broker,
    pub auth: Auth,
    pub tls: Tls,
    pub groups: Groups,
    pub push: Push,
    pub notify: Notify,
    pub pap: Pap,
    pub aliases: BTreeMap<String, String>,
    #[serde(default)]
    pub initiators: Vec<InitiatorRule>,
    #[serde(default)]
    pub devices: Vec<DeviceRule>,
    #[serde(default)]
    pub acl: Vec<AclRule>,
    pub log: Log,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    #[serde(deserialize_with = "units::addresses")]
    pub listen: Vec<SocketAddr>,
    #[serde(deserialize_with = "units::addresses")]
    pub tls_listen: Vec<SocketAddr>,
    pub max_body: usize,
    pub max_under_way: usize,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub max_requests_per_second: u32,
    #[serde(deserialize_with = "units::duration")]
    pub header_timeout: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub body_timeout: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    #[serde(deserialize_with = "units::addresses")]
    pub listen: Vec<SocketAddr>,
    #[serde(deserialize_with = "units::addresses")]
    pub tls_listen: Vec<SocketAddr>,
    #[serde(deserialize_with = "units::addresses")]
    pub ws_listen: Vec<SocketAddr>,
    #[serde(deserialize_with = "units::addresses")]
    pub wss_listen: Vec<SocketAddr>,
    pub workers: usize,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub max_connections_per_user: usize,
    pub max_connects_per_minute: u32,
    pub max_requests_per_minute: u32,
    #[serde(deserialize_with = "units::duration")]
    pub connect_timeout: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub tcp_keepalive: Duration,
    pub user_id: UserIdFrom,
    pub max_packet: usize,
    pub max_connect: usize,
    pub max_topic: usize,
    pub max_unfinished: usize,
    pub max_wills: usize,
    pub max_watchers: usize,
    pub max_waiting: usize,
    pub inflight: u16,
    #[serde(deserialize_with = "units::duration")]
    pub ack_timeout: Duration,
    pub poison_after: u32,
    #[serde(deserialize_with = "units::duration")]
    pub max_session_expiry: Duration,
    pub max_subscriptions: usize,
    pub max_groups_per_user: u32,
}

/// What names the user of an MQTT connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserIdFrom {
    /// The username, else the client id.
    Username,
    /// Always the client id: for fleets that share one login.
    ClientId,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub path: PathBuf,
    pub readers: usize,
    #[serde(deserialize_with = "units::duration")]
    pub flush_interval: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub retention: Duration,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    pub max_topics: usize,
    pub segment_size: usize,
    pub segment_count: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    pub mode: AuthMode,
    pub allow_open_on_network: bool,
    pub open_metrics: bool,
}

/// `[tls]`: what the listeners of `http.tls_listen` and `mqtt.tls_listen` show and ask for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    #[serde(deserialize_with = "units::path")]
    pub cert: Option<PathBuf>,
    #[serde(deserialize_with = "units::path")]
    pub key: Option<PathBuf>,
    #[serde(deserialize_with = "units::path")]
    pub client_ca: Option<PathBuf>,
    pub client_auth: ClientAuth,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    Off,
    Optional,
    Required,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    Open,
    Required,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    pub auto_create: bool,
    pub default_policy: JoinPolicy,
    pub max: u32,
    pub max_pending: u32,
    #[serde(deserialize_with = "units::duration")]
    pub pending_ttl: Duration,
    #[serde(default)]
    pub assign: Vec<AssignRule>,
}

/// `[[groups.assign]]`: which group a user ID alone leads to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignRule {
    #[serde(rename = "match")]
    pub pattern: String,
    pub group: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Push {
    #[serde(deserialize_with = "units::duration")]
    pub default_ttl: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub max_ttl: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub clock_skew: Duration,
    pub max_addresses: usize,
    pub max_content: usize,
    pub duplicates: Duplicates,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    pub allow_private: bool,
    pub forbidden_url: ForbiddenUrl,
    #[serde(deserialize_with = "units::duration")]
    pub timeout: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub give_up: Duration,
    pub parallel: usize,
    #[serde(deserialize_with = "units::path")]
    pub ca: Option<PathBuf>,
}

/// What becomes of a push whose result notifications are asked for where none may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForbiddenUrl {
    /// It is refused.
    Reject,
    /// It is taken, and nobody is notified.
    Suppress,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pap {
    pub max_depth: usize,
    pub max_attributes: usize,
    pub max_parts: usize,
    pub max_value: usize,
    pub max_header_lines: usize,
    pub max_header_line: usize,
    pub endpoints: BTreeMap<String, PapEndpoint>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PapEndpoint {
    pub profile: PapProfile,
    /// Nothing is repaired, and a required bearer or network is refused.
    #[serde(default)]
    pub strict: bool,
    /// A refused submission is answered with a bad message; the profile decides where nothing is said.
    #[serde(default)]
    pub errors_as_badmessage: Option<bool>,
    /// Answers have a DOCTYPE.
    #[serde(default = "yes")]
    pub doctype: bool,
    /// Name and token may stand in the query, as `username` and `password`: Kannel's clients sign in so.
    #[serde(default)]
    pub query_credentials: bool,
    /// What an address does to the others that names nothing known; the profile decides where nothing is said.
    #[serde(default)]
    pub unknown_addresses: Option<UnknownAddresses>,
}

/// What becomes of a push with an address that names nothing known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownAddresses {
    /// Nothing is submitted.
    Refuse,
    /// The others are served, and that one is reported as rejected.
    Skip,
}

fn yes() -> bool {
    true
}

/// How a PAP endpoint answers: see `broker.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PapProfile {
    Spec,
    Blackberry,
}

/// `[[initiators]]`: what an initiator reaches.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitiatorRule {
    #[serde(rename = "match")]
    pub pattern: String,
    /// `group:<pattern>` or `user:<pattern>`.
    pub to: Vec<String>,
}

/// `[[devices]]`: which groups a device may join.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRule {
    #[serde(rename = "match")]
    pub pattern: String,
    /// Patterns on the group ID; `%u` is the user ID.
    pub join: Vec<String>,
}

/// `[[acl]]`: topics beside papcast's own that clients may use.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclRule {
    pub allow: Vec<AclAction>,
    pub topics: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AclAction {
    Publish,
    Subscribe,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// What the types cannot say. Answers the faulty key and what was expected.
    fn check(&self) -> Result<(), (String, String)> {
        let no = |key: &str, expected: String| Err((key.to_owned(), expected));
        let bounds: &[(&str, u128, u128, u128)] = &[
            ("http.max_body", self.http.max_body as u128, 1_024, 1 << 30),
            ("http.max_under_way", self.http.max_under_way as u128, 1_024, 1 << 40),
            ("http.max_connections", self.http.max_connections as u128, 1, 1 << 20),
            ("http.max_connections_per_address", self.http.max_connections_per_address as u128, 1, 1 << 20),
            ("http.max_requests_per_second", u128::from(self.http.max_requests_per_second), 1, 10_000_000),
            ("http.header_timeout", self.http.header_timeout.as_millis(), 100, 3_600_000),
            ("http.body_timeout", self.http.body_timeout.as_millis(), 100, 3_600_000),
            ("mqtt.workers", self.mqtt.workers as u128, 0, 256),
            ("mqtt.max_connections", self.mqtt.max_connections as u128, 1, 1 << 24),
            ("mqtt.max_connections_per_address", self.mqtt.max_connections_per_address as u128, 1, 1 << 24),
            ("mqtt.max_connections_per_user", self.mqtt.max_connections_per_user as u128, 1, 1 << 24),
            ("mqtt.max_connects_per_minute", u128::from(self.mqtt.max_connects_per_minute), 1, 100_000_000),
            ("mqtt.max_requests_per_minute", u128::from(self.mqtt.max_requests_per_minute), 1, 100_000_000),
            ("mqtt.connect_timeout", self.mqtt.connect_timeout.as_millis(), 100, 3_600_000),
            ("mqtt.max_packet", self.mqtt.max_packet as u128, 1_024, 268_435_455),
            ("mqtt.max_connect", self.mqtt.max_connect as u128, 1_024, 268_435_455),
            ("mqtt.max_topic", self.mqtt.max_topic as u128, 1_024, 65_535),
            ("mqtt.max_unfinished", self.mqtt.max_unfinished as u128, 65_536, 1 << 40),
            ("mqtt.max_wills", self.mqtt.max_wills as u128, 0, 1 << 40),
            ("mqtt.max_watchers", self.mqtt.max_watchers as u128, 0, 1 << 24),
            ("mqtt.max_waiting", self.mqtt.max_waiting as u128, 1, 1 << 24),
            ("mqtt.tcp_keepalive", self.mqtt.tcp_keepalive.as_millis(), 1_000, 86_400_000),
            ("mqtt.inflight", u128::from(self.mqtt.inflight), 1, 1_024),
            ("mqtt.ack_timeout", self.mqtt.ack_timeout.as_millis(), 1_000, 86_400_000),
            ("mqtt.poison_after", u128::from(self.mqtt.poison_after), 1, 100),
            ("mqtt.max_session_expiry", self.mqtt.max_session_expiry.as_millis(), 0, 315_360_000_000),
            ("mqtt.max_subscriptions", self.mqtt.max_subscriptions as u128, 1, 100_000),
            ("mqtt.max_groups_per_user", u128::from(self.mqtt.max_groups_per_user), 1, 1_000_000),
            ("store.readers", self.store.readers as u128, 1, 64),
            ("store.flush_interval", self.store.flush_interval.as_millis(), 10, 10_000),
            ("store.retention", self.store.retention.as_millis(), 1_000, 315_360_000_000),
            ("broker.max_topics", self.broker.max_topics as u128, 1, 10_000_000),
            ("broker.segment_size", self.broker.segment_size as u128, 1_024, 1 << 30),
            ("broker.segment_count", self.broker.segment_count as u128, 2, 1_000),
            ("groups.max", u128::from(self.groups.max), 1, 1_000_000_000),
            ("groups.max_pending", u128::from(self.groups.max_pending), 1, 1_000_000_000),
            ("groups.pending_ttl", self.groups.pending_ttl.as_millis(), 1_000, 315_360_000_000),
            ("push.default_ttl", self.push.default_ttl.as_millis(), 1_000, 315_360_000_000),
            ("push.max_ttl", self.push.max_ttl.as_millis(), 1_000, 315_360_000_000),
            ("push.clock_skew", self.push.clock_skew.as_millis(), 0, 86_400_000),
            ("push.max_addresses", self.push.max_addresses as u128, 1, 1_000_000),
            ("notify.timeout", self.notify.timeout.as_millis(), 100, 600_000),
            ("notify.give_up", self.notify.give_up.as_millis(), 0, 2_592_000_000),
            ("notify.parallel", self.notify.parallel as u128, 1, 1_024),
            ("pap.max_depth", self.pap.max_depth as u128, 4, 64),
            ("pap.max_attributes", self.pap.max_attributes as u128, 10, 1_024),
            ("pap.max_parts", self.pap.max_parts as u128, 3, 1_024),
            ("pap.max_value", self.pap.max_value as u128, 256, 1 << 20),
            ("pap.max_header_lines", self.pap.max_header_lines as u128, 8, 1_024),
            ("pap.max_header_line", self.pap.max_header_line as u128, 256, 1 << 20),
            ("push.max_content", self.push.max_content as u128, 1, 268_000_000),
        ];
        for &(key, value, low, high) in bounds {
            if value < low || value > high {
                let unit = if key.ends_with("timeout")
                    || key.ends_with("ttl")
                    || key.ends_with("_expiry")
                    || key.ends_with("keepalive")
                    || key.ends_with("interval")
                    || key.ends_with("retention")
                    || key.ends_with("give_up")
                    || key.ends_with("skew")
                {
                    " milliseconds"
                } else {
                    ""
                };
                return no(key, format!("a value from {low} to {high}{unit}, found {value}"));
            }
        }
        if self.push.default_ttl > self.push.max_ttl {
            return no("push.default_ttl", "at most push.max_ttl".into());
        }
        if !is_log_level(&self.log.level) {
            let found = &self.log.level;
            return no(
                "log.level",
                format!(
                    "error, warn, info, debug, trace or off, or a filter such as \"papcast::mqtt=debug,info\", found {found:?}"
                ),
            );
        }
        self.check_listeners()?;
        for (number, rule) in self.groups.assign.iter().enumerate() {
            if let Err(error) = GroupId::parse(&rule.group) {
                return no(&format!("groups.assign[{number}].group"), format!("a group ID, but {error}"));
            }
        }
        for (number, rule) in self.initiators.iter().enumerate() {
            if let Some(bad) = rule.to.iter().find(|to| !to.starts_with("group:") && !to.starts_with("user:")) {
                let expected = format!("patterns such as \"group:news-*\" and \"user:*\", found {bad:?}");
                return no(&format!("initiators[{number}].to"), expected);
            }
        }
        for (alias, target) in &self.aliases {
            if parse_target(target).is_none() {
                return no(&format!("aliases.{alias:?}"), "\"group:<id>\" or \"user:<id>\"".into());
            }
        }
        for path in self.pap.endpoints.keys() {
            let free = !["/api", "/healthz", "/readyz", "/metrics", "/console", "/mqtt"]
                .iter()
                .any(|own| path.starts_with(own));
            if !path.starts_with('/') || path.contains(['{', '}', '*']) || !free {
                return no(
                    &format!("pap.endpoints.{path:?}"),
                    "a path that starts with \"/\", has no pattern and is not papcast's own".into(),
                );
            }
        }
        for (number, rule) in self.acl.iter().enumerate() {
            if let Some(bad) = rule.topics.iter().find(|filter| !is_acl_filter(filter)) {
                return no(
                    &format!("acl[{number}].topics"),
                    format!("MQTT topic filters outside groups/, users/ and $, found {bad:?}"),
                );
            }
        }
        Ok(())
    }
}

impl Config {
    fn check_listeners(&self) -> Result<(), (String, String)> {
        let no = |key: &str, expected: String| Err((key.to_owned(), expected));
        let listeners = [
            ("http.listen", &self.http.listen),
            ("http.tls_listen", &self.http.tls_listen),
            ("mqtt.listen", &self.mqtt.listen),
            ("mqtt.tls_listen", &self.mqtt.tls_listen),
            ("mqtt.ws_listen", &self.mqtt.ws_listen),
            ("mqtt.wss_listen", &self.mqtt.wss_listen),
        ];
        for (key, listen) in listeners.iter().flat_map(|(key, all)| all.iter().map(move |one| (*key, one))) {
            if self.auth.mode == AuthMode::Open && !listen.ip().is_loopback() && !self.auth.allow_open_on_network {
                let expected = format!(
                    "a loopback address, because auth.mode is \"open\" and {listen} can be reached from the network: \
                     anybody there could read and send pushes (auth.allow_open_on_network = true starts all the same)"
                );
                return no(key, expected);
            }
        }
        for (key, plain, tls) in [("http", 0, 1), ("mqtt", 2, 3)] {
            if listeners[plain].1.is_empty() && listeners[tls].1.is_empty() {
                return no(&format!("{key}.listen"), format!("an address, here or in {key}.tls_listen"));
            }
        }
        if let Some((key, _)) =
            listeners.iter().find(|(key, all)| key.ends_with("s_listen") && *key != "mqtt.ws_listen" && !all.is_empty())
            && (self.tls.cert.is_none() || self.tls.key.is_none())
        {
            return no(key, "tls.cert and tls.key besides (`papcast tls self-signed` makes a pair to try)".into());
        }
        if self.tls.client_auth != ClientAuth::Off && self.tls.client_ca.is_none() {
            return no("tls.client_ca", "a file, because tls.client_auth asks for certificates".into());
        }
        Ok(())
    }
}

/// `group:<id>` or `user:<id>`.
#[must_use]
pub fn parse_target(text: &str) -> Option<Target> {
    if let Some(id) = text.strip_prefix("group:") {
        return GroupId::parse(id).ok().map(Target::Group);
    }
    UserId::parse(text.strip_prefix("user:")?).ok().map(Target::User)
}

/// Levels, alone or of a target. A single word that is no level would be taken for a target, and silence all others.
fn is_log_level(text: &str) -> bool {
    let is_level = |text: &str| {
        ["error", "warn", "info", "debug", "trace", "off"].iter().any(|level| level.eq_ignore_ascii_case(text))
    };
    text.split(',').map(str::trim).all(|directive| match directive.rsplit_once('=') {
        Some((target, level)) => !target.is_empty() && is_level(level),
        None => is_level(directive),
    })
}

fn is_acl_filter(filter: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    let placed = levels.iter().enumerate().all(|(at, level)| match *level {
        "#" => at + 1 == levels.len(),
        "+" => true,
        other => !other.contains(['+', '#', '\0']),
    });
    placed && !filter.is_empty() && !filter.starts_with('$') && !matches!(levels[0], "groups" | "users")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acl_filters_stay_outside_our_own_topics() {
        for good in ["status/%u", "a/#", "a/+/b", "x", "#", "+/x", "+/#"] {
            assert!(is_acl_filter(good), "{good}");
        }
        for bad in ["", "groups/x", "users/#", "$SYS/x", "a/#/b", "a/b+"] {
            assert!(!is_acl_filter(bad), "{bad}");
        }
    }
}
