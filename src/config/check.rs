//! What a configuration may say, as far as its types cannot tell: bounds, and what does not go together.

use super::{AuthMode, ClientAuth, ClientName, Config, parse_target};
use crate::ids::GroupId;

/// The faulty key, and what was expected.
type Fault = (String, String);

fn no(key: &str, expected: String) -> Result<(), Fault> {
    Err((key.to_owned(), expected))
}

/// Keys of times; their bounds are milliseconds.
const TIMES: [&str; 12] = [
    "forget_after",
    ".keep",
    ".every",
    "timeout",
    "ttl",
    "_expiry",
    "keepalive",
    "interval",
    "retention",
    "give_up",
    "skew",
    "leeway",
];

impl Config {
    /// An error is the faulty key and what was expected.
    pub(super) fn check(&self) -> Result<(), Fault> {
        for (key, value, low, high) in self.entrance_bounds().into_iter().chain(self.inner_bounds()) {
            if value < low || value > high {
                let unit = if TIMES.iter().any(|time| key.ends_with(time)) { " milliseconds" } else { "" };
                return no(key, format!("a value from {low} to {high}{unit}, found {value}"));
            }
        }
        // Seconds would empty the groups of a fleet that is being restarted.
        if !self.groups.forget_after.is_zero() && self.groups.forget_after.as_secs() < 3_600 {
            return no("groups.forget_after", "0s for never, or at least 1h".into());
        }
        if !self.canary.every.is_zero() && self.canary.every.as_secs() < 1 {
            return no("canary.every", "0s for no canary, or at least 1s".into());
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
        self.check_rules()
    }

    /// Key, value, lowest and highest: of what comes in.
    fn entrance_bounds(&self) -> Vec<(&'static str, u128, u128, u128)> {
        vec![
            ("http.max_body", self.http.max_body as u128, 1_024, 1 << 30),
            ("http.max_under_way", self.http.max_under_way as u128, 1_024, 1 << 40),
            ("http.max_connections", self.http.max_connections as u128, 1, 1 << 20),
            ("http.max_connections_per_address", self.http.max_connections_per_address as u128, 1, 1 << 20),
            ("http.max_requests_per_second", u128::from(self.http.max_requests_per_second), 1, 10_000_000),
            ("http.max_event_streams", self.http.max_event_streams as u128, 0, 100_000),
            ("http.header_timeout", self.http.header_timeout.as_millis(), 100, 3_600_000),
            ("http.body_timeout", self.http.body_timeout.as_millis(), 100, 3_600_000),
            ("mqtt.workers", self.mqtt.workers as u128, 0, 256),
            ("mqtt.max_connections", self.mqtt.max_connections as u128, 1, 1 << 24),
            ("mqtt.max_connections_per_address", self.mqtt.max_connections_per_address as u128, 1, 1 << 24),
            ("mqtt.max_connections_per_user", self.mqtt.max_connections_per_user as u128, 1, 1 << 24),
            ("mqtt.max_sessions_per_user", u128::from(self.mqtt.max_sessions_per_user), 1, 1 << 24),
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
        ]
    }

    /// The same of everything else.
    fn inner_bounds(&self) -> Vec<(&'static str, u128, u128, u128)> {
        vec![
            ("store.max_size", u128::from(self.store.max_size), 0, 1 << 48),
            ("store.max_users", u128::from(self.store.max_users), 1, 1 << 32),
            ("store.readers", self.store.readers as u128, 1, 64),
            ("store.flush_interval", self.store.flush_interval.as_millis(), 10, 10_000),
            ("store.retention", self.store.retention.as_millis(), 1_000, 315_360_000_000),
            ("broker.max_topics", self.broker.max_topics as u128, 1, 10_000_000),
            ("broker.segment_size", self.broker.segment_size as u128, 1_024, 1 << 30),
            ("broker.segment_count", self.broker.segment_count as u128, 2, 1_000),
            ("groups.max", u128::from(self.groups.max), 1, 1_000_000_000),
            ("groups.max_pending", u128::from(self.groups.max_pending), 1, 1_000_000_000),
            ("groups.max_made_per_user", u128::from(self.groups.max_made_per_user), 0, 1_000_000_000),
            ("groups.pending_ttl", self.groups.pending_ttl.as_millis(), 1_000, 315_360_000_000),
            ("groups.forget_after", self.groups.forget_after.as_millis(), 0, 315_360_000_000),
            ("history.keep", self.history.keep.as_millis(), 1_000, 315_360_000_000),
            ("history.max_rows", u128::from(self.history.max_rows), 0, 1 << 40),
            ("history.delivery_times", u128::from(self.history.delivery_times), 0, 1 << 40),
            ("history.events", self.history.events as u128, 100, 10_000_000),
            ("history.device_events", self.history.device_events as u128, 0, 100_000_000),
            ("canary.every", self.canary.every.as_millis(), 0, 86_400_000),
            ("push.default_ttl", self.push.default_ttl.as_millis(), 1_000, 315_360_000_000),
            ("push.max_ttl", self.push.max_ttl.as_millis(), 1_000, 315_360_000_000),
            ("push.clock_skew", self.push.clock_skew.as_millis(), 0, 86_400_000),
            ("push.max_addresses", self.push.max_addresses as u128, 1, 1_000_000),
            ("push.max_pending_per_initiator", u128::from(self.push.max_pending_per_initiator), 1, 1 << 32),
            ("jwt.leeway", self.jwt.leeway.as_millis(), 0, 300_000),
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
        ]
    }

    fn check_rules(&self) -> Result<(), Fault> {
        for (number, rule) in self.groups.assign.iter().enumerate() {
            if let Err(error) = GroupId::parse(&rule.group) {
                return no(&format!("groups.assign[{number}].group"), format!("a group ID, but {error}"));
            }
        }
        for (number, rule) in self.initiators.iter().enumerate() {
            if let Some(bad) = rule.to.iter().flatten().find(|to| !to.starts_with("group:") && !to.starts_with("user:"))
            {
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
            let is_plain = path.split('/').all(|level| !level.starts_with(':'));
            let free = !["/api", "/healthz", "/readyz", "/metrics", "/console", "/mqtt", "/debug"]
                .iter()
                .any(|own| path.starts_with(own));
            if !path.starts_with('/') || path.contains(['{', '}', '*']) || !is_plain || !free {
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

    fn check_listeners(&self) -> Result<(), Fault> {
        let listeners = [
            ("http.listen", &self.http.listen),
            ("http.tls_listen", &self.http.tls_listen),
            ("http.metrics_listen", &self.http.metrics_listen),
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
        for (key, plain, tls) in [("http", 0, 1), ("mqtt", 3, 4)] {
            if listeners[plain].1.is_empty() && listeners[tls].1.is_empty() {
                return no(&format!("{key}.listen"), format!("an address, here or in {key}.tls_listen"));
            }
        }
        if let Some((key, _)) = listeners
            .iter()
            .find(|(key, all)| (key.ends_with("tls_listen") || *key == "mqtt.wss_listen") && !all.is_empty())
            && (self.tls.cert.is_none() || self.tls.key.is_none())
        {
            return no(key, "tls.cert and tls.key besides (`papcast tls self-signed` makes a pair to try)".into());
        }
        if self.tls.client_name != ClientName::None && self.tls.client_auth == ClientAuth::Off {
            return no("tls.client_name", "\"none\", or tls.client_auth that asks for certificates".into());
        }
        if self.jwt.is_on() && self.auth.mode == AuthMode::Open {
            return no("jwt", "no keys, because auth.mode is \"open\" and nobody signs in".into());
        }
        if self.jwt.claim.is_empty() {
            return no("jwt.claim", "the name of the claim that has the user ID, such as \"sub\"".into());
        }
        if self.tls.client_auth != ClientAuth::Off && self.tls.client_ca.is_none() {
            return no("tls.client_ca", "a file, because tls.client_auth asks for certificates".into());
        }
        Ok(())
    }
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
