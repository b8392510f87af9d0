//! The addresses of the listeners: free, or held by the gateway.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::finding::Finding;
use super::running::{Running, is_papcast};
use crate::config::Config;

pub(super) async fn check(config: &Config, running: &Running) -> Vec<Finding> {
    let (http, mqtt) = (&config.http, &config.mqtt);
    // Only the first speaks HTTP without TLS, so that whoever holds it can be asked.
    let all = [
        ("http.listen", &http.listen, true),
        ("http.tls_listen", &http.tls_listen, false),
        ("http.metrics_listen", &http.metrics_listen, false),
        ("mqtt.listen", &mqtt.listen, false),
        ("mqtt.tls_listen", &mqtt.tls_listen, false),
        ("mqtt.ws_listen", &mqtt.ws_listen, false),
        ("mqtt.wss_listen", &mqtt.wss_listen, false),
    ];
    let mut findings = Vec::new();
    for (key, addresses, can_be_asked) in all {
        for address in addresses {
            findings.push(one(key, *address, can_be_asked, running).await);
        }
    }
    findings
}

async fn one(key: &str, address: SocketAddr, can_be_asked: bool, running: &Running) -> Finding {
    if address.port() == 0 {
        return Finding::ok(key, format!("{address}: takes any free port"));
    }
    let taken = match TcpListener::bind(address) {
        Ok(_) if running.uses_store() => {
            let what = "is free, although a gateway runs: it was started with another address";
            return Finding::warn(key, format!("{address}: {what}; restart it, or look at {key}"));
        }
        Ok(_) => return Finding::ok(key, format!("{address}: is free")),
        Err(error) => error,
    };
    match taken.kind() {
        ErrorKind::AddrInUse if can_be_asked && is_papcast(address).await => {
            Finding::ok(key, format!("{address}: held by a running papcast"))
        }
        ErrorKind::AddrInUse if !can_be_asked && running.uses_store() => {
            Finding::ok(key, format!("{address}: held, and a gateway runs"))
        }
        ErrorKind::AddrInUse => {
            Finding::fail(key, format!("{address}: held by another program; stop that one, or change {key}"))
        }
        ErrorKind::PermissionDenied => {
            let what = "this user may not listen there (below port 1024 CAP_NET_BIND_SERVICE is needed)";
            Finding::fail(key, format!("{address}: {what}"))
        }
        ErrorKind::AddrNotAvailable => {
            Finding::fail(key, format!("{address}: this machine has no such address; change {key}"))
        }
        _ => Finding::fail(key, format!("{address}: cannot be listened on: {taken}")),
    }
}
