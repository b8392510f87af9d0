//! What Prometheus makes of `/metrics`, and of the rules in docs/monitoring: promtool is its own checker.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, repository, skip, wait_for};

/// Whether it is there. Where it is not, the test is left out.
fn available() -> bool {
    let found = Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        skip("promtool, of Debian's package prometheus");
    }
    found
}

/// Runs it on what it reads from stdin; it has to be content, and to say nothing that is not about its success.
fn promtool(args: &[&str], input: &str) -> String {
    let mut child = Command::new("promtool")
        .args(args)
        .current_dir(repository().join("docs/monitoring"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have failed before it has read everything: what it says then tells more than a broken pipe.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(output.status.success(), "promtool {args:?}: {said}");
    said
}

/// A join, a push that is acknowledged, one that is refused, and a connection that breaks off.
fn make_traffic(gateway: &Gateway) {
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v5("c", "alice"));
    alice.join("news");
    gateway.http().push("p1", "WAPPUSH=news/TYPE=GROUP@papcast", "Hello, group");
    alice.push();
    gateway.http().wait_outcome("p1", "delivered", "1 of 1");
    let refused = gateway.http().json("POST", "/api/v1/pushes", json!({"to": ["group:nobody"], "body": "Hello"}));
    assert!(refused.status >= 400, "{refused:?}");
    drop(alice);
    let lost = "papcast_disconnects_total{reason=\"lost\"} 1";
    wait_for("the end to be counted", || gateway.http().get("/metrics").body.contains(lost).then_some(()));
}

#[test]
fn promtool_finds_nothing_to_complain_about_in_the_metrics() {
    if !available() {
        return;
    }
    let gateway = Gateway::start();
    let fresh = gateway.http().get("/metrics").body;
    assert_eq!(promtool(&["check", "metrics"], &fresh), "");
    make_traffic(&gateway);
    let text = gateway.http().get("/metrics").body;
    for line in [
        "papcast_joins_total 1",
        "papcast_finished_addresses_total{state=\"delivered\"} 1",
        "papcast_push_last_member_seconds_count 1",
        "papcast_refusals_total{reason=\"push\"} 1",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
    assert_eq!(promtool(&["check", "metrics"], &text), "");
}

/// OpenMetrics 1.0, as far as Prometheus would refuse a scrape: heads before samples, families in one piece, an end.
#[test]
fn both_formats_say_the_same() {
    let gateway = Gateway::start();
    make_traffic(&gateway);
    let open = gateway.http().raw(
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: application/openmetrics-text; version=1.0.0\r\n\r\n",
    );
    let kind = open.header("content-type").unwrap();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let lines: Vec<&str> = open.body.lines().collect();
    assert_eq!(lines.iter().position(|line| *line == "# EOF"), Some(lines.len() - 1), "{}", open.body);
    let mut families: Vec<&str> = Vec::new();
    for line in &lines[..lines.len() - 1] {
        let family = families.last().copied().unwrap_or_default();
        if let Some(head) = line.strip_prefix("# HELP ") {
            let name = head.split_once(' ').unwrap().0;
            assert!(!families.contains(&name), "{name} comes twice");
            families.push(name);
        } else if let Some(head) = line.strip_prefix("# TYPE ") {
            assert_eq!(head.split_once(' ').unwrap().0, family, "{line}");
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            let rest = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} is below {family}"));
            assert!(["", "_total", "_bucket", "_sum", "_count"].contains(&rest), "{line} is below {family}");
            assert!(line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok(), "{line}");
        }
    }
    let text = gateway.http().get("/metrics").body;
    let samples = |all: &str| -> Vec<String> {
        let names = all.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0);
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(samples(&open.body), samples(&text));
}

#[test]
fn the_alert_rules_are_valid_and_fire_when_they_should() {
    if !available() {
        return;
    }
    let said = promtool(&["check", "rules", "papcast-alerts.yml"], "");
    assert!(said.contains("SUCCESS"), "{said}");
    let said = promtool(&["test", "rules", "papcast-alerts.test.yml"], "");
    assert!(said.contains("SUCCESS"), "{said}");
}

#[test]
fn the_configuration_in_the_documentation_is_one_that_prometheus_takes() {
    if !available() {
        return;
    }
    let page = std::fs::read_to_string(repository().join("docs/monitoring.md")).unwrap();
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let (snippet, _) = rest.split_once("```").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prometheus.yml");
    std::fs::write(&path, snippet).unwrap();
    // The files that it names are on another machine.
    promtool(&["check", "config", "--syntax-only", path.to_str().unwrap()], "");
}

/// The whole way, in either mode: a submission, the store, the router, a worker, MQTT and back.
#[test]
fn the_canary_shows_that_pushes_come_through() {
    for config in
        ["canary.every = \"1s\"\n", "canary.every = \"1s\"\nauth.mode = \"required\"\nauth.open_metrics = true\n"]
    {
        let gateway = Gateway::start_with(config, &[]);
        let value = |name: &str| -> f64 {
            let metrics = gateway.http().get("/metrics").body;
            let line = metrics.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap().to_owned();
            line.rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        wait_for("three pushes to the canary", || (value("papcast_deliveries_total") >= 3.0).then_some(()));
        assert!(value("papcast_canary_age_seconds") < 5.0);
    }
}
