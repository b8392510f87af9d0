//! Formats of the log.

use std::os::unix::fs::MetadataExt as _;

use crate::common::{Gateway, wait_for};

/// A gateway that was started once more with this `JOURNAL_STREAM`, and what it has logged since.
fn lines(settings: &str, stream: impl Fn(u64, u64) -> String) -> Vec<String> {
    let mut gateway = Gateway::start_with(settings, &[]);
    gateway.terminate();
    let log = gateway.dir.path().join("log");
    let file = std::fs::metadata(&log).unwrap();
    // Its name is in a warning.
    gateway.set("PAPCAST_TWO\nLINES", "x");
    gateway.set("JOURNAL_STREAM", &stream(file.dev(), file.ino()));
    std::fs::write(&log, "").unwrap();
    gateway.restart();
    // TOML explains its errors on many lines.
    std::fs::write(gateway.dir.path().join("broker.toml"), "http.listen = nonsense\n").unwrap();
    gateway.signal("HUP");
    wait_for("the reload", || gateway.log().contains("nothing was read again").then_some(()));
    gateway.terminate();
    gateway.log().lines().map(ToOwned::to_owned).collect()
}

fn journal(device: u64, inode: u64) -> String {
    format!("{device}:{inode}")
}

fn assert_journald(lines: &[String]) {
    for line in lines {
        assert!(["<3>papcast", "<4>papcast", "<6>papcast"].iter().any(|begin| line.starts_with(begin)), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
    let error = lines.iter().find(|line| line.starts_with("<3>papcast::reload: nothing was read again"));
    assert!(error.is_some(), "{lines:#?}");
    let warning = lines.iter().find(|line| line.starts_with("<4>"));
    assert!(warning.is_some_and(|line| line.contains("PAPCAST_TWO\\nLINES is no setting")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("<6>papcast::cli::serve: listening on ")), "{lines:#?}");
}

#[test]
fn the_journal_gets_a_priority_a_line_and_no_time() {
    assert_journald(&lines("", journal));
}

fn has_text(lines: &[String]) -> bool {
    lines.iter().any(|line| line.starts_with("20") && line.contains("Z  INFO papcast::cli::serve: listening on "))
}

#[test]
fn a_stderr_that_is_not_the_journal_gets_text() {
    for stream in [|device, inode| format!("{device}:{}", inode + 1), |device, inode| format!("{}:{inode}", device + 1)]
    {
        let lines = lines("", stream);
        assert!(has_text(&lines), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.starts_with('<')), "{lines:#?}");
    }
}

#[test]
fn what_is_asked_for_is_logged_whatever_stderr_is() {
    assert_journald(&lines("log.format = \"journald\"\n", |_, _| String::new()));
    let text = lines("log.format = \"text\"\n", journal);
    assert!(has_text(&text), "{text:#?}");
    let json = lines("log.format = \"json\"\n", journal);
    assert!(json[0].starts_with("{\"timestamp\":"), "{json:#?}");
}

#[test]
fn why_a_start_failed_has_a_priority_too() {
    let mut command = std::process::Command::new(crate::common::PAPCAST);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stderr");
    let file = std::fs::File::create(&path).unwrap();
    let of = file.metadata().unwrap();
    std::fs::write(dir.path().join("broker.toml"), "http.listen = nonsense\n").unwrap();
    command.args(["serve", "--config", "broker.toml"]).current_dir(dir.path()).stderr(file);
    let status = command.env("JOURNAL_STREAM", journal(of.dev(), of.ino())).status().unwrap();
    assert_eq!(status.code(), Some(1));
    let said = std::fs::read_to_string(path).unwrap();
    assert!(said.starts_with("<3>papcast: ") && said.lines().count() == 1, "{said}");
}
