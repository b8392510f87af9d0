//! The configuration: what can be set, and what is possible at all.
//!
//! There is one list of defaults, `broker.toml` at the top of the repository; it is compiled in and read like any other
//! layer, so the documented default and the real one cannot differ. The file `load.rs` says how the layers are put together.

mod check;
mod effective;
mod exposure;
mod load;
mod names;
mod networks;
#[cfg(test)]
mod reference_page;
mod units;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub use effective::{Setting, mark_for_restart};
pub use load::{ConfigError, DEFAULT_TOML, doubts, load};
pub use names::environment;
pub use networks::Networks;

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
    pub jwt: Jwt,
    pub groups: Groups,
    pub push: Push,
    pub notify: Notify,
    pub pap: Pap,
    pub history: History,
    pub canary: Canary,
    pub aliases: BTreeMap<String, String>,
    #[serde(default)]
    pub initiators: Vec<InitiatorRule>,
    #[serde(default)]
    pub devices: Vec<DeviceRule>,
    #[serde(default)]
    pub acl: Vec<AclRule>,
    pub log: Log,
    /// All of it, as operators are shown it.
    #[serde(skip)]
    pub settings: Vec<Setting>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    #[serde(deserialize_with = "units::addresses")]
    pub listen: Vec<SocketAddr>,
    #[serde(deserialize_with = "units::addresses")]
    pub tls_listen: Vec<SocketAddr>,
    #[serde(deserialize_with = "units::addresses")]
    pub metrics_listen: Vec<SocketAddr>,
    /// Proxies whose connections begin with a PROXY protocol header.
    pub proxy_protocol_from: Networks,
    pub max_body: usize,
    pub max_under_way: usize,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub max_requests_per_second: u32,
    pub max_event_streams: usize,
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
    /// Proxies whose connections begin with a PROXY protocol header.
    pub proxy_protocol_from: Networks,
    pub workers: usize,
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub max_connections_per_user: usize,
    pub max_sessions_per_user: u32,
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
    pub max_size: u64,
    pub max_users: u32,
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
    pub client_name: ClientName,
}

/// `[jwt]`: tokens that somebody else has signed, as passwords of devices.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    #[serde(deserialize_with = "units::path")]
    pub jwks: Option<PathBuf>,
    #[serde(deserialize_with = "units::paths")]
    pub keys: Vec<PathBuf>,
    #[serde(deserialize_with = "units::path")]
    pub secret: Option<PathBuf>,
    pub claim: String,
    pub issuer: String,
    pub audience: String,
    #[serde(deserialize_with = "units::duration")]
    pub leeway: Duration,
}

impl Jwt {
    /// Whether such tokens are taken at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.jwks.is_some() || self.secret.is_some() || !self.keys.is_empty()
    }
}

/// What in the certificate of a client says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientName {
    /// Nothing does: it needs a token besides.
    None,
    CommonName,
    SanUri,
    SanDns,
    SanEmail,
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
    pub max_made_per_user: u32,
    #[serde(deserialize_with = "units::duration")]
    pub pending_ttl: Duration,
    #[serde(deserialize_with = "units::duration")]
    pub forget_after: Duration,
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
    pub max_pending_per_initiator: u32,
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
    /// `group:<pattern>` or `user:<pattern>`; none: everything.
    #[serde(default)]
    pub to: Option<Vec<String>>,
    #[serde(default)]
    pub pushes_per_minute: Option<u32>,
    #[serde(default)]
    pub pushes_per_day: Option<u32>,
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

/// `[history]`: what is kept of what happened.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    #[serde(deserialize_with = "units::duration")]
    pub keep: Duration,
    pub max_rows: u64,
    pub delivery_times: u64,
    pub pap_documents: usize,
    pub events: usize,
    pub device_events: usize,
}

/// `[canary]`: a terminal of the gateway's own that gets a push once in a while.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    #[serde(deserialize_with = "units::duration")]
    pub every: Duration,
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
    /// [`Self::Journald`] where stderr is the journal, else [`Self::Text`].
    Auto,
    Text,
    Json,
    Journald,
}

/// `group:<id>` or `user:<id>`.
#[must_use]
pub fn parse_target(text: &str) -> Option<Target> {
    if let Some(id) = text.strip_prefix("group:") {
        return GroupId::parse(id).ok().map(Target::Group);
    }
    UserId::parse(text.strip_prefix("user:")?).ok().map(Target::User)
}
