//! The examples do what their first comments say.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::common::mqtt::{Connect, Raw};
use crate::common::{Gateway, Lines, repository, wait_for};

/// A built example. `cargo test` builds them; a run of this test binary alone may not have.
fn example(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(crate::common::PAPCAST).with_file_name("examples").join(name);
    if !path.exists() {
        crate::common::skip("the examples (`cargo build --examples`)");
        return None;
    }
    Some(path)
}

#[test]
fn the_rust_initiator_reaches_the_rust_terminal() {
    let (Some(initiator), Some(terminal)) = (example("initiator"), example("terminal")) else { return };
    let gateway = Gateway::start();
    let mut terminal = Command::new(terminal)
        .args([&gateway.mqtt.ip().to_string(), &gateway.mqtt.port().to_string(), "sip:bob@example.com", "news"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = Lines::of(terminal.stdout.take().unwrap());
    assert!(lines.next().starts_with("$push/response\t{\"op\":\"join\",\"id\":\"1\",\"status\":\"accepted\""));
    let output = Command::new(&initiator)
        .args([&format!("http://{}/pap", gateway.http), "group:news", "Hello, group"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(lines.next(), "groups/news\tHello, group");
    let large = "x".repeat(100_000);
    let output =
        Command::new(&initiator).args([&format!("http://{}/pap", gateway.http), "group:news", &large]).output();
    assert!(output.unwrap().status.success());
    assert_eq!(lines.next().len(), "groups/news\t".len() + large.len(), "what is larger than 10 KiB came as well");
    let refused =
        Command::new(&initiator).args([&format!("http://{}/pap", gateway.http), "group:nobody", "x"]).output().unwrap();
    assert!(!refused.status.success());
    terminal.kill().unwrap();
    terminal.wait().unwrap();
}

#[test]
fn the_shell_initiator_and_the_sample_documents_are_accepted() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        crate::common::skip("curl");
        return;
    }
    let gateway = Gateway::start_with("[pap.endpoints.\"/strict\"]\nprofile = \"spec\"\nstrict = true\n", &[]);
    let mut alice = Raw::connect(gateway.mqtt, &Connect::v3("a", "sip:alice@example.com"));
    alice.join("news");
    gateway.http().bind("news", "tel:+4915112345678");
    // A strict endpoint refuses lines that end in LF alone.
    let url = format!("http://{}/strict", gateway.http);
    let script = repository().join("examples/initiator.sh");
    let output =
        Command::new("sh").arg(script).args([&url, "WAPPUSH=news/TYPE=GROUP@papcast", "from curl"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("code=\"1001\""), "{output:?}");
    assert_eq!(alice.push().text(), "from curl");
    let mut count = 0;
    for entry in std::fs::read_dir(repository().join("examples/pap")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "mime") {
            let body = std::fs::read(&path).unwrap();
            let reply = gateway.http().send(
                "POST",
                "/pap",
                "multipart/related; boundary=part; type=\"application/xml\"",
                &body,
            );
            assert_eq!(reply.pap_code(), 1001, "{}: {reply:?}", path.display());
            count += 1;
        }
    }
    assert_eq!(count, 3);
    assert_eq!((alice.push().text(), alice.push().text()), ("Hello, group", "Hello, group"));
    alice.assert_silent();
}

/// Whether paho-mqtt is there; else the test is left out.
pub(crate) fn has_paho() -> bool {
    let available = Command::new("python3")
        .args(["-c", "import paho.mqtt"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !available {
        crate::common::skip("paho-mqtt (`pip install paho-mqtt`)");
    }
    available
}

#[test]
fn the_python_terminal_joins_and_prints() {
    if !has_paho() {
        return;
    }
    let gateway = Gateway::start();
    let mut terminal = Command::new("python3")
        .arg(repository().join("examples/terminal.py"))
        .args([&gateway.mqtt.ip().to_string(), &gateway.mqtt.port().to_string(), "sip:carol@example.com", "news"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = Lines::of(terminal.stdout.take().unwrap());
    wait_for("carol to be bound", || (gateway.http().get("/api/v1/groups/news").json()["members"] == 1).then_some(()));
    assert!(lines.next().starts_with("$push/response\t"));
    gateway.http().push("p-1", "group:news", "to paho");
    assert_eq!(lines.next(), "groups/news\tto paho\tp-1");
    gateway.http().wait_outcome("p-1", "delivered", "1 of 1");
    terminal.kill().unwrap();
    terminal.wait().unwrap();
}
