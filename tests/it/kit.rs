//! The conformance kit against our own gateway: every case passes, the tolerant ones too.

use std::process::Command;

use crate::common::{Gateway, PAPCAST};

#[test]
fn every_case_of_the_kit_passes_and_the_readme_shows_its_table() {
    let gateway = Gateway::start();
    for user in ["tel:+15550100", "15550100", "absent"] {
        gateway.http().bind("kit", user);
    }
    let url = format!("http://{}/pap", gateway.http);
    let output = Command::new(PAPCAST).args(["pap-check", &url, "--group", "kit", "--verbose"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{output:?}");
    let failed: Vec<&str> = text.lines().filter(|line| line.starts_with("FAILED")).collect();
    assert!(failed.is_empty(), "{failed:#?}\n{text}");
    let passed = text.lines().filter(|line| line.starts_with("passed")).count();
    assert!(passed >= 120, "{passed} cases");
    let table = &text[text.find("| area |").unwrap()..];
    let readme = std::fs::read_to_string("README.md").unwrap();
    assert!(readme.contains(table.trim_end()), "the table in the README is not\n{table}");
}

#[test]
fn a_strict_endpoint_keeps_every_must() {
    let gateway = Gateway::start_with("[pap.endpoints.\"/strict\"]\nprofile = \"spec\"\nstrict = true\n", &[]);
    for user in ["tel:+15550100", "15550100", "absent"] {
        gateway.http().bind("kit", user);
    }
    let url = format!("http://{}/strict", gateway.http);
    let output = Command::new(PAPCAST).args(["pap-check", &url, "--group", "kit"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed: Vec<&str> = text.lines().filter(|line| line.starts_with("FAILED") && line.contains(" MUST ")).collect();
    assert!(failed.is_empty() && output.status.success(), "{failed:#?}");
    assert!(text.contains("FAILED   SHOULD"), "nothing was tolerant");
}

#[test]
fn a_gateway_that_breaks_a_must_fails_the_kit() {
    use std::io::{Read, Write};
    // Answers everything with HTTP 202 and a push-response 1001.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/pap", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 65_536]);
            let body =
                "<pap><push-response push-id=\"x\"><response-result code=\"1001\" desc=\"OK\"/></push-response></pap>";
            let _ = write!(
                stream,
                "HTTP/1.1 202 Accepted\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    let output = Command::new(PAPCAST).args(["pap-check", &url, "--only", "cancel", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("cases failed that the specification demands"),
        "{output:?}"
    );
    let line = String::from_utf8_lossy(&output.stdout).lines().next().unwrap().to_owned();
    let first: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(first["outcome"], "failed");
    assert!(first["why"].as_str().unwrap().contains("push-response"), "{first}");
}
