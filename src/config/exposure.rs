//! What a configuration leaves open, in words: `papcast config check` and the log say it.

use std::net::SocketAddr;

use super::{AuthMode, Config};

pub(super) fn exposures(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let reachable = |addresses: &[SocketAddr]| addresses.iter().any(|address| !address.ip().is_loopback());
    let listeners = [
        ("http.listen", &config.http.listen, false),
        ("http.tls_listen", &config.http.tls_listen, true),
        ("mqtt.listen", &config.mqtt.listen, false),
        ("mqtt.tls_listen", &config.mqtt.tls_listen, true),
        ("mqtt.ws_listen", &config.mqtt.ws_listen, false),
        ("mqtt.wss_listen", &config.mqtt.wss_listen, true),
    ];
    for (key, addresses, is_secure) in listeners.iter().filter(|(_, addresses, _)| reachable(addresses)) {
        match config.auth.mode {
            AuthMode::Open => {
                found.push(format!("{key} {addresses:?} can be reached from the network, and auth.mode is \"open\": everybody there may do everything"));
            }
            AuthMode::Required if !is_secure => {
                found.push(format!(
                    "{key} {addresses:?} can be reached from the network without TLS: tokens travel in clear"
                ));
            }
            AuthMode::Required => {}
        }
    }
    if reachable(&config.http.metrics_listen) {
        let addresses = &config.http.metrics_listen;
        found.push(format!("http.metrics_listen {addresses:?} shows metrics to everybody who can reach it"));
    }
    if config.auth.mode == AuthMode::Required {
        if config.auth.open_metrics {
            found.push("auth.open_metrics shows /metrics to everybody".into());
        }
        for (path, _) in config.pap.endpoints.iter().filter(|(_, endpoint)| endpoint.query_credentials) {
            found.push(format!("pap.endpoints.{path:?} takes tokens in the query, where a proxy may log them"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(settings: &[(&str, &str)]) -> Vec<String> {
        let env = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        exposures(&super::super::load(None, env, &[]).unwrap())
    }

    #[test]
    fn what_is_open_is_said() {
        assert_eq!(exposed(&[]), Vec::<String>::new());
        let open = [("PAPCAST_AUTH__ALLOW_OPEN_ON_NETWORK", "true"), ("PAPCAST_MQTT__LISTEN", "0.0.0.0:1883")];
        assert!(exposed(&open)[0].starts_with("mqtt.listen [0.0.0.0:1883] can be reached"), "{:?}", exposed(&open));
        let plain = [
            ("PAPCAST_AUTH__MODE", "required"),
            ("PAPCAST_HTTP__LISTEN", "[::]:80"),
            ("PAPCAST_AUTH__OPEN_METRICS", "true"),
        ];
        let said = exposed(&plain);
        assert!(said.len() == 2 && said[0].contains("tokens travel in clear"), "{said:?}");
    }
}
