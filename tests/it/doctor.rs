//! `papcast doctor`: what it says of a machine on which all is well, and of one on which it is not.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::{Gateway, Output, PAPCAST, papcast};

/// Runs it in this folder, with the configuration file there.
fn doctor(folder: &Path, env: &[(&str, &str)], more: &[&str]) -> Output {
    let output = Command::new(PAPCAST)
        .args(["doctor", "--config", "broker.toml"])
        .args(more)
        .current_dir(folder)
        .env_remove("PAPCAST_GATEWAY")
        .env("PAPCAST_CLI_CONFIG", "")
        .envs(env.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// State and detail of the check of this name.
fn check(output: &Output, name: &str) -> (String, String) {
    let all: Value = serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let found = all["checks"].as_array().unwrap().iter().find(|check| check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no check {name}: {all}"));
    let text = |field: &str| found[field].as_str().unwrap().to_owned();
    (text("state"), text("detail"))
}

fn prepared(toml: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let free = "[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(dir.path().join("broker.toml"), format!("{free}{toml}")).unwrap();
    dir
}

#[test]
fn a_running_gateway_is_well_and_its_parts_are_named() {
    let mut gateway = Gateway::start();
    let (http, mqtt) = (gateway.http.to_string(), gateway.mqtt.to_string());
    let env = [("PAPCAST_HTTP__LISTEN", http.as_str()), ("PAPCAST_MQTT__LISTEN", mqtt.as_str())];
    let output = doctor(gateway.dir.path(), &env, &["--json"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    for name in ["configuration", "http.listen", "mqtt.listen", "store", "store check", "store log", "clock", "gateway"]
    {
        assert_eq!(check(&output, name).0, "ok", "{name}: {}", output.out);
    }
    assert!(check(&output, "http.listen").1.ends_with("held by a running papcast"));
    assert!(check(&output, "mqtt.listen").1.ends_with("held, and a gateway runs"));
    assert!(check(&output, "store check").1.contains("left out"));
    assert!(check(&output, "ready").1.contains("store"));
    assert_eq!(check(&output, "gateway's clock"), ("ok".into(), "agrees with this machine's".into()));
    let lines = doctor(gateway.dir.path(), &env, &[]).out;
    assert!(lines.starts_with("ok\tconfiguration\tbroker.toml: valid\n"), "{lines}");

    gateway.terminate();
    let output = doctor(gateway.dir.path(), &env, &["--json"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(check(&output, "store check"), ("ok".into(), "sound (quick_check)".into()));
    assert!(check(&output, "http.listen").1.ends_with("is free"));
    assert_eq!(check(&output, "gateway").0, "warn");
    gateway.restart();
}

#[test]
fn a_store_that_is_damaged_is_found_before_a_gateway_finds_it() {
    let mut gateway = Gateway::start();
    gateway.http().bind("news", "alice");
    gateway.terminate();
    let store = gateway.dir.path().join("papcast.db");
    let mut bytes = std::fs::read(&store).unwrap();
    bytes[4_096..].fill(0xAB);
    std::fs::write(&store, &bytes).unwrap();
    let env = [("PAPCAST_HTTP__LISTEN", "127.0.0.1:0"), ("PAPCAST_MQTT__LISTEN", "127.0.0.1:0")];
    let output = doctor(gateway.dir.path(), &env, &["--json"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert_eq!(check(&output, "store check").0, "fail");
    assert!(output.err.contains("\"error\":\"1 check failed\""), "{}", output.err);
    assert_eq!(std::fs::read(&store).unwrap(), bytes, "it was changed");
}

#[test]
fn what_would_keep_a_gateway_from_starting_is_told_all_at_once() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let (taken, dir) = (other.local_addr().unwrap().to_string(), prepared("[store]\npath = \"gone/papcast.db\"\n"));
    let output = doctor(dir.path(), &[("PAPCAST_MQTT__LISTEN", &taken)], &["--json"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    let (state, detail) = check(&output, "mqtt.listen");
    assert!(state == "fail" && detail.contains("held by another program"), "{detail}");
    let (state, detail) = check(&output, "store");
    assert!(state == "fail" && detail.contains("the folder does not exist"), "{detail}");

    std::fs::write(dir.path().join("broker.toml"), "[mqtt]\ninflight = \"many\"\n").unwrap();
    let output = doctor(dir.path(), &[], &["--json"]);
    let (state, detail) = check(&output, "configuration");
    assert!(output.code == Some(1) && state == "fail" && detail.contains("mqtt.inflight"), "{detail}");
    assert_eq!(check(&output, "clock").0, "ok");
}

#[test]
fn a_variable_that_sets_nothing_and_a_limit_on_open_files_are_told() {
    let dir = prepared("");
    let script = format!("ulimit -n 400; exec {PAPCAST} doctor --config broker.toml --json");
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(dir.path())
        .env("PAPCAST_CLI_CONFIG", "")
        .env("PAPCAST_HTTP_LISTEN", "127.0.0.1:1")
        .output()
        .unwrap();
    let output = Output { code: output.status.code(), out: String::from_utf8(output.stdout).unwrap(), err: "".into() };
    assert_eq!(output.code, Some(0), "{output:?}");
    let (state, detail) = check(&output, "open files");
    assert!(state == "warn" && detail.starts_with("400 allowed"), "{detail}");
    assert!(output.out.contains("did you mean PAPCAST_HTTP__LISTEN?"), "{}", output.out);
    let (state, detail) = check(&output, "store");
    assert!(state == "warn" && detail.contains("does not exist yet"), "{detail}");
}

#[test]
fn certificates_are_looked_at() {
    let dir = prepared("[tls]\ncert = \"c/server.pem\"\nkey = \"c/server-key.pem\"\n");
    let folder = dir.path().join("c");
    assert_eq!(papcast(&["tls", "self-signed", folder.to_str().unwrap()]).code, Some(0));
    let output = doctor(dir.path(), &[], &["--json"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!((check(&output, "tls.cert").0.as_str(), check(&output, "tls.key").0.as_str()), ("ok", "ok"));
    std::fs::remove_file(folder.join("server-key.pem")).unwrap();
    let output = doctor(dir.path(), &[], &["--json"]);
    assert_eq!((output.code, check(&output, "tls.key").0.as_str()), (Some(1), "fail"));
    assert_eq!(check(&output, "configuration").0, "fail");
}
