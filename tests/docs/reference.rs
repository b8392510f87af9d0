//! docs/cli.md is a reference of examples: each of them is a command that works.

use crate::page;
use crate::shell::{Shell, has};

/// What the examples talk of.
const BEFORE: &str = "
    papcast tls self-signed certificates --name gateway.example
    printf 'http.listen = \"127.0.0.1:8080\"\\n' > gateway.toml
    papcast serve --config gateway.toml &
    papcast member add news sip:alice@example.com --create
    papcast push group:news hello --push-id p1
    papcast member add other remove --create
    printf 'group,user\\nnews,carol\\n' > members.csv
    cp $REPOSITORY/examples/pap/group-confirmed.mime message.mime
";

/// Made again where an example has removed it.
const AGAIN: &str = "
    papcast group add news --policy approval
    papcast member add news sip:alice@example.com
    papcast member add other alice --create
    for user in alice bob mallory; do curl -sf http://127.0.0.1:8080/api/v1/group-requests -d '{\"op\":\"join\",\"user\":\"'$user'\",\"group\":\"news\"}'; done
";

/// Examples that go on until somebody stops them, or that take longer than a test may: they are stopped after a moment.
const GO_ON: &[&str] = &[
    "papcast serve",
    "papcast demo",
    "papcast events -f",
    "papcast top",
    "papcast terminal",
    "papcast push group:news user:alice --text hello --wait",
];

/// Examples that may fail here, with this exit code: the first one looks at the machine, and the kit asks for a number and a group.
const MAY_FAIL: &[(&str, i32)] = &[("papcast doctor", 1), ("papcast pap-check", 1)];

/// The first cells of the tables that are a command.
fn examples() -> Vec<String> {
    let page = page::read("docs/cli.md");
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `papcast")?.split_once("` |"));
    let found: Vec<String> = cells.map(|(rest, _)| format!("papcast{rest}")).collect();
    assert!(found.len() > 50, "the tables were read");
    found
}

#[test]
fn every_example_of_the_command_line_works() {
    if !has(&["script", "curl", "timeout"]) {
        return crate::common::skip("script, curl and timeout");
    }
    let Some(mut shell) = Shell::new() else {
        return crate::common::skip("network namespaces, or free ports 8080 and 1883");
    };
    shell.prepare(BEFORE);
    shell.prepare(AGAIN);
    for example in examples() {
        let goes_on = GO_ON.iter().any(|known| example.starts_with(known));
        let text = if goes_on { format!("timeout -s INT 2 {example}") } else { example.clone() };
        let (code, said) = shell.finish(&text);
        let may_fail = MAY_FAIL.iter().any(|(known, failure)| example.starts_with(known) && code == Some(*failure));
        let stopped = goes_on && !said.contains("error:") && code != Some(2);
        assert!(code == Some(0) || stopped || may_fail, "{example}\nended with {code:?} and said\n{said}");
        if example.contains(" remove ") {
            shell.prepare(AGAIN);
        }
    }
}

/// Commands and options that docs/commands.md has, by the name of the command. That page is made from the help.
fn known() -> Vec<(String, String)> {
    let page = page::read("docs/commands.md");
    let sections = page.split("\n## ").flat_map(|section| section.split("\n### ")).skip(1);
    let named = sections.filter_map(|section| {
        let (name, text) = section.split_once('\n')?;
        Some((name.to_owned(), text.to_owned()))
    });
    let found: Vec<_> = named.collect();
    assert!(found.len() > 40, "the page was read");
    found
}

#[test]
fn every_command_and_option_that_a_page_names_exists() {
    let known = known();
    let everywhere = ["--gateway", "--timeout", "--token-file", "--token", "--ca", "--help", "--version"];
    let mut count = 0;
    for name in page::all().iter().filter(|name| *name != "CHANGELOG.md") {
        let text = page::read(name);
        let codes = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        // Not what stands for several commands.
        let is_command = |code: &&str| {
            let command = code.strip_prefix("papcast ").filter(|command| !command.contains('|'));
            command.is_some_and(|command| !command.starts_with("--") && !command.starts_with("COMMAND"))
        };
        for code in codes.filter(is_command) {
            let words: Vec<&str> = code.split_whitespace().collect();
            let found = (2..=3.min(words.len())).rev().find_map(|length| {
                let command = words[..length].join(" ");
                known.iter().find(|(name, _)| *name == command)
            });
            let (command, options) = found.unwrap_or_else(|| panic!("{name}: `{code}`: there is no such command"));
            for word in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                let option = word.split(['=', ',', ')']).next().unwrap();
                let there = everywhere.contains(&option) || options.contains(option);
                assert!(there, "{name}: `{code}`: {command} has no {option}");
            }
            count += 1;
        }
    }
    assert!(count > 100, "the commands were found: {count}");
}

/// What stands between backticks on a page, without code blocks.
fn codes(name: &str) -> Vec<String> {
    let text = page::read(name);
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn every_setting_that_a_page_names_exists() {
    let defaults: toml::Table = papcast::config::DEFAULT_TOML.parse().unwrap();
    let mut count = 0;
    for name in page::all().iter().filter(|name| *name != "CHANGELOG.md") {
        for code in codes(name) {
            let key = code.split([' ', '=']).next().unwrap();
            let Some((section, key)) = key.split_once('.') else { continue };
            let Some(keys) = defaults.get(section).and_then(toml::Value::as_table) else { continue };
            let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if is_key && !["md", "rs", "toml", "route", "assign"].contains(&key) {
                assert!(keys.contains_key(key), "{name}: there is no setting {section}.{key}");
                count += 1;
            }
        }
    }
    assert!(count > 200, "the settings were found: {count}");
}

#[test]
fn every_metric_that_a_page_names_exists() {
    let known = page::read("docs/metrics.md");
    let mut count = 0;
    for name in page::all().iter().filter(|name| !["CHANGELOG.md", "docs/upgrading.md"].contains(&name.as_str())) {
        for code in codes(name).iter().filter(|code| code.starts_with("papcast_")) {
            let metric = code.split(['{', ' ']).next().unwrap();
            assert!(known.contains(&format!("| `{metric}`")), "{name}: there is no metric {metric}");
            count += 1;
        }
    }
    assert!(count > 60, "the metrics were found: {count}");
}

#[test]
fn every_endpoint_is_in_the_table_of_the_json_api() {
    let document: serde_json::Value = serde_json::from_str(&page::read("docs/openapi.json")).unwrap();
    let page = page::read("docs/api.md");
    let (table, _) = page.split_once("\n## Pushes").unwrap();
    for path in document["paths"].as_object().unwrap().keys() {
        // What is a name there is `{id}` or the like here, and a path below another one begins with `…`.
        let mut words = path.split('/').filter(|word| !word.is_empty() && !word.starts_with('{'));
        let last = words.next_back().unwrap();
        assert!(table.contains(&format!("/{last}")), "docs/api.md: {path} is not in the table");
    }
}
