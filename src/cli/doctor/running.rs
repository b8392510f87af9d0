//! The gateway that runs: found by the lock of its store, and asked over HTTP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::{HeaderMap, Method};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::super::client::Gateway;
use super::super::ending::sentence;
use super::finding::Finding;
use crate::clock::{self, Millis};
use crate::config::Config;
use crate::store;

/// Seconds for an answer of a gateway on this machine.
const PATIENCE: u64 = 5;
/// Clocks may differ by so many milliseconds.
const SKEW: i64 = 2_000;

/// What was learned of the gateway.
#[derive(Debug)]
pub(super) struct Running {
    uses_store: bool,
    /// What it said; or why nobody could be asked.
    health: Result<Report, String>,
    ready: Result<Report, String>,
}

/// An answer of `/healthz` or `/readyz`.
#[derive(Debug)]
struct Report {
    parts: Vec<(String, String)>,
    /// How far the gateway's clock is ahead of ours, where it says the time.
    ahead: Option<i64>,
}

impl Running {
    /// Asks the gateway that is named, else the one that should be at the first address of `http.listen`.
    pub(super) async fn find(named: &Gateway, config: &Config) -> anyhow::Result<Self> {
        let uses_store = store::is_in_use(&config.store.path);
        let first = config.http.listen.iter().find(|address| address.port() != 0);
        let gateway = match (named.is_named()?, first) {
            (true, _) => named.patient(PATIENCE),
            // Without a token: nobody knows yet who listens there.
            (false, Some(address)) => Gateway::at(reachable(*address))?.patient(PATIENCE),
            (false, None) => {
                let why = "http.listen has no fixed port without TLS: say with --gateway where to ask";
                return Ok(Self { uses_store, health: Err(why.into()), ready: Err(why.into()) });
            }
        };
        let health = report(&gateway, "/healthz").await;
        let ready = if health.is_ok() { report(&gateway, "/readyz").await } else { Err(String::new()) };
        Ok(Self { uses_store, health, ready })
    }

    /// Whether a gateway has the store of this configuration open.
    pub(super) fn uses_store(&self) -> bool {
        self.uses_store
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        let (health, ready) = match (&self.health, &self.ready) {
            (Ok(health), Ok(ready)) => (health, ready),
            (Ok(_), Err(why)) => return vec![Finding::fail("gateway", format!("/readyz: {why}"))],
            (Err(why), _) if self.uses_store => {
                let what = "a gateway uses the store and cannot be asked";
                return vec![Finding::warn("gateway", format!("{what}: {why}"))];
            }
            (Err(why), _) => {
                return vec![Finding::warn("gateway", format!("none runs here; papcast serve starts one ({why})"))];
            }
        };
        let mut findings = vec![parts("gateway", "runs", health), parts("ready", "takes pushes", ready)];
        findings.extend(health.ahead.map(|ahead| {
            let seconds = (ahead.abs() + 500) / 1000;
            if ahead.abs() <= SKEW {
                return Finding::ok("gateway's clock", "agrees with this machine's");
            }
            let way = if ahead > 0 { "ahead of" } else { "behind" };
            let what = format!("is {seconds} seconds {way} this machine's: synchronize both (NTP)");
            Finding::warn("gateway's clock", what)
        }));
        findings
    }
}

/// All parts are named where all is well, else those that fail.
fn parts(name: &str, well: &str, report: &Report) -> Finding {
    let failing: Vec<String> = report
        .parts
        .iter()
        .filter(|(_, state)| state != "ok")
        .map(|(part, state)| format!("{part}: {state}"))
        .collect();
    if failing.is_empty() {
        let all: Vec<&str> = report.parts.iter().map(|(part, _)| part.as_str()).collect();
        return Finding::ok(name, format!("{well}: {}", all.join(", ")));
    }
    Finding::fail(name, format!("{}; its log says more", failing.join("; ")))
}

/// Whether the server at this address is a papcast.
pub(super) async fn is_papcast(address: SocketAddr) -> bool {
    match Gateway::at(reachable(address)) {
        Ok(gateway) => report(&gateway.patient(PATIENCE), "/healthz").await.is_ok(),
        Err(_) => false,
    }
}

/// Where somebody on this machine reaches who listens there.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

async fn report(gateway: &Gateway, path: &str) -> Result<Report, String> {
    let reply = gateway.request(Method::GET, path, &[], Vec::new()).await.map_err(|error| sentence(&error))?;
    let ahead = ahead(&reply.headers, clock::now());
    let value: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let Some(parts) = value["parts"].as_object() else {
        return Err(format!("what answers {} to {path} is no papcast", reply.status));
    };
    let text = |state: &Value| state.as_str().unwrap_or_default().to_owned();
    Ok(Report { parts: parts.iter().map(|(name, state)| (name.clone(), text(state))).collect(), ahead })
}

/// The header has whole seconds, and half a one is the mean of what it leaves out.
fn ahead(headers: &HeaderMap, now: Millis) -> Option<i64> {
    let text = headers.get("date")?.to_str().ok()?;
    let said = OffsetDateTime::parse(text, &Rfc2822).ok()?.unix_timestamp() * 1000 + 500;
    Some(said - now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_a_gateway_is_read_from_its_answer() {
        let mut headers = HeaderMap::new();
        headers.insert("date", "Sun, 22 Nov 2026 10:00:00 GMT".parse().unwrap());
        let there = 1_795_341_600_000;
        assert_eq!(ahead(&headers, there), Some(500));
        assert_eq!(ahead(&headers, there + 10_000), Some(-9_500));
        assert_eq!(ahead(&HeaderMap::new(), there), None);
        let off = |ahead| {
            let report = || Ok(Report { parts: vec![("store".into(), "ok".into())], ahead: Some(ahead) });
            let running = Running { uses_store: true, health: report(), ready: report() };
            running.check().pop().unwrap().detail
        };
        assert_eq!(off(-1_500), "agrees with this machine's");
        assert!(off(-9_500).starts_with("is 10 seconds behind"), "{}", off(-9_500));
    }

    #[test]
    fn who_listens_everywhere_is_asked_on_loopback() {
        assert_eq!(reachable("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(reachable("10.0.0.1:80".parse().unwrap()).to_string(), "10.0.0.1:80");
    }
}
