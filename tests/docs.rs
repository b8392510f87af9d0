//! The documentation: commands of its pages are run as they stand there and print what it says, links lead somewhere, the book
//! builds without a warning, and tables of codes are those of the code.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "docs/codes.rs"]
mod codes;
mod common;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/page.rs"]
mod page;
#[path = "docs/reference.rs"]
mod reference;
#[path = "docs/shell.rs"]
mod shell;

use std::process::Command;

use common::{repository, skip};

/// Pages whose commands are run, each with what has to be there before: lines of a shell.
const RUN: &[(&str, &str)] = &[
    ("README.md", ""),
    ("docs/tutorial.md", ""),
    ("docs/security.md", ""),
    ("docs/api.md", "papcast serve &\npapcast member add news alice --create"),
    ("docs/topics.md", "papcast serve &"),
    ("docs/conformance.md", "papcast serve &"),
    ("examples/pap/README.md", "papcast serve &\nln -s $REPOSITORY/examples .\npapcast member add news alice --create"),
    ("docs/howto/sizing.md", ""),
    ("docs/howto/kannel.md", ""),
    ("docs/howto/nowsms.md", ""),
    ("docs/howto/blackberry.md", ""),
    ("docs/howto/fcm-device-groups.md", ""),
    ("docs/howto/esp32.md", ""),
    ("docs/howto/tasmota.md", ""),
    ("docs/howto/home-assistant.md", ""),
    ("docs/howto/prometheus.md", ""),
    ("docs/howto/backup.md", ""),
];

#[test]
fn commands_of_every_page_do_what_it_says() {
    let only = std::env::var("DOCS_PAGE").ok();
    if !shell::has(&["curl", "mosquitto_sub", "mosquitto_rr", "python3", "script", "openssl", "mosquitto"]) {
        return skip("curl, mosquitto, mosquitto-clients, python3, openssl and script");
    }
    let mut failed = Vec::new();
    for (name, before) in RUN.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| name.contains(only))) {
        let Some(mut shell) = shell::Shell::new() else {
            return skip("network namespaces, or free ports 8080 and 1883");
        };
        let page = std::panic::AssertUnwindSafe(|| {
            shell.prepare(before);
            page::steps(name).iter().for_each(|step| shell.run(name, step));
        });
        if std::panic::catch_unwind(page).is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}: see above");
}

#[test]
fn every_command_of_every_page_is_run_or_says_why_not() {
    for name in page::all() {
        let runs = RUN.iter().any(|(run, _)| *run == name);
        for fence in page::fences(&name).iter().filter(|fence| fence.words.first().is_some_and(|word| word == "sh")) {
            let why_not =
                fence.words.iter().any(|word| word.strip_prefix("no-run=").is_some_and(|why| !why.is_empty()));
            assert!(runs || why_not, "{name}:{}: add the page to RUN, or say no-run=REASON", fence.line);
        }
    }
}

#[test]
fn the_book_builds_without_a_warning() {
    let tools = repository().join("target/ci-tools/bin");
    let path = std::env::join_paths(
        [tools].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", "exec mdbook build docs --dest-dir \"$0\""])
        .arg(folder.path())
        .current_dir(repository())
        .env("PATH", path.unwrap())
        .env("RUST_LOG", "info")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(127) {
        return skip("mdbook (.ci/run installs it)");
    }
    assert!(output.status.success() && !said.contains("WARN") && !said.contains("ERROR"), "{said}");
    for page in page::all().iter().filter_map(|page| page.strip_prefix("docs/")).filter(|page| *page != "SUMMARY.md") {
        let made = page.strip_suffix(".md").unwrap().replace("README", "index") + ".html";
        assert!(folder.path().join(&made).is_file(), "{page} is not in the book: add it to docs/SUMMARY.md");
    }
}
