//! The house rules: who imports whom, how long files are, that every module says what it is for.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folder or file under `src` and what of ours it may import. Imports go one way: downwards.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("budget", &[]),
    ("clock", &[]),
    ("faults", &[]),
    ("supervision", &[]),
    ("ids", &[]),
    ("service_manager", &[]),
    ("liveness", &["broker", "mqtt"]),
    ("log_limit", &[]),
    ("signals", &["clock", "log_limit"]),
    ("open_files", &["config"]),
    ("watched_files", &[]),
    ("jwt", &["clock", "config", "watched_files"]),
    ("proxy_protocol", &["config", "log_limit", "tls"]),
    ("pattern", &[]),
    ("client_address", &[]),
    ("rate_limit", &[]),
    ("caller", &["ids"]),
    ("tls", &["config", "watched_files"]),
    ("listeners", &["config", "proxy_protocol", "tls"]),
    ("entrances", &["config", "listeners", "tls"]),
    ("token", &["caller"]),
    ("policy", &["caller", "config", "ids", "pattern"]),
    ("credentials", &["caller", "clock", "ids", "store", "token"]),
    ("reload", &["config", "gateway", "http", "jwt", "mqtt", "open_files", "telemetry", "tls"]),
    ("control", &["credentials", "gateway", "reload"]),
    ("parcel", &["clock", "ids"]),
    ("feed", &["ids", "parcel"]),
    ("pap", &[]),
    ("address_resolution", &["ids", "pap"]),
    ("config", &["ids"]),
    ("trace", &[]),
    ("telemetry", &["config", "log_limit", "tls", "trace"]),
    ("store", &["caller", "clock", "faults", "supervision", "ids", "log_limit", "pap", "parcel", "signals", "trace"]),
    ("broker", &["clock", "faults", "feed", "supervision", "ids", "parcel"]),
    (
        "gateway",
        &[
            "address_resolution",
            "broker",
            "caller",
            "client_address",
            "clock",
            "config",
            "credentials",
            "faults",
            "feed",
            "supervision",
            "ids",
            "jwt",
            "log_limit",
            "signals",
            "pap",
            "pattern",
            "policy",
            "parcel",
            "rate_limit",
            "store",
            "tls",
            "token",
            "trace",
        ],
    ),
    (
        "mqtt",
        &[
            "broker",
            "budget",
            "caller",
            "client_address",
            "clock",
            "config",
            "faults",
            "feed",
            "listeners",
            "policy",
            "gateway",
            "supervision",
            "ids",
            "log_limit",
            "parcel",
            "rate_limit",
            "signals",
            "store",
            "tls",
        ],
    ),
    (
        "http",
        &[
            "broker",
            "budget",
            "caller",
            "client_address",
            "clock",
            "config",
            "faults",
            "gateway",
            "listeners",
            "policy",
            "supervision",
            "ids",
            "log_limit",
            "signals",
            "pap",
            "rate_limit",
            "store",
            "tls",
            "token",
            "trace",
        ],
    ),
    ("canary", &["caller", "clock", "credentials", "gateway", "log_limit", "mqtt", "store"]),
    ("terminal", &[]),
    (
        "app",
        &[
            "broker",
            "canary",
            "clock",
            "config",
            "control",
            "credentials",
            "feed",
            "entrances",
            "listeners",
            "liveness",
            "signals",
            "mqtt",
            "open_files",
            "tls",
            "gateway",
            "supervision",
            "http",
            "reload",
            "store",
        ],
    ),
    (
        "cli",
        &[
            "address_resolution",
            "app",
            "caller",
            "clock",
            "config",
            "control",
            "credentials",
            "entrances",
            "ids",
            "jwt",
            "liveness",
            "pap",
            "reload",
            "service_manager",
            "store",
            "supervision",
            "telemetry",
            "terminal",
            "tls",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// A crate and the only places that may use it.
const FENCES: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    ("ring", &["http", "jwt", "tls", "token"]),
    ("jsonwebtoken", &["jwt"]),
    ("ppp", &["proxy_protocol"]),
    ("ipnet", &["config"]),
    ("tungstenite", &["mqtt"]),
    ("rcgen", &["jwt", "tls"]),
    ("x509_parser", &["tls"]),
    ("rumqttd", &["broker"]),
    ("rumqttc", &["terminal"]),
    ("axum", &["http"]),
    ("quick_xml", &["pap"]),
    // What stands in bodies of the JSON API is described where it is.
    ("utoipa", &["gateway", "http", "ids"]),
    ("encoding_rs", &["pap"]),
    ("clap", &["cli"]),
    ("anyhow", &["app", "cli"]),
    ("opentelemetry", &["telemetry", "trace"]),
    ("opentelemetry_otlp", &["telemetry"]),
    ("opentelemetry_sdk", &["telemetry", "trace"]),
    ("tracing_opentelemetry", &["telemetry", "trace"]),
];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 40, "the sources were found");
    found
}

/// The room a file belongs to: its top folder, or its own name.
fn room(path: &Path) -> String {
    let first = path.iter().next().unwrap().to_str().unwrap();
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

/// The file without its unit tests, which may reach further.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap()
}

#[test]
fn imports_go_one_way() {
    for (path, text) in sources() {
        let room = room(&path);
        let allowed =
            MAY_IMPORT.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("{room} is not in the list")).1;
        for (at, _) in code(&text).match_indices("crate::") {
            let name: String = text[at + 7..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            assert!(
                name == room || allowed.contains(&name.as_str()),
                "{}: {room} may not import {name}",
                path.display()
            );
        }
    }
}

#[test]
fn crates_stay_behind_their_fences() {
    for (path, text) in sources() {
        let room = room(&path);
        for (name, rooms) in FENCES {
            let path_of_its = format!("{name}::");
            let begins =
                |at: usize| !text[..at].ends_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
            let used =
                text.match_indices(&path_of_its).any(|(at, _)| begins(at)) || text.contains(&format!("use {name};"));
            assert!(!used || rooms.contains(&room.as_str()), "{}: {name} belongs to {rooms:?}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_is_not_too_long() {
    for (path, text) in sources() {
        let is_tests = path.ends_with("tests.rs");
        assert!(text.starts_with("//! "), "{} does not begin with module docs", path.display());
        let lines = code(&text).lines().count();
        assert!(is_tests || lines <= 450, "{} has {lines} lines", path.display());
    }
}

#[test]
fn every_item_of_the_configuration_is_documented_where_it_is_set() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("broker.toml")).unwrap();
    for line in text.lines().filter(|line| line.contains(" = ") && !line.starts_with('#') && !line.starts_with('"')) {
        let next_explains = text
            .lines()
            .skip_while(|other| *other != line)
            .nth(1)
            .is_some_and(|next| next.trim_start().starts_with('#'));
        assert!(line.contains('#') || next_explains || line.starts_with("segment_count"), "{line}");
    }
}

/// Whether a licence expression is satisfied by what is allowed: `OR` below `AND`, brackets, and the old `/` for `OR`.
fn licence_fits(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest, allowed) == Some(true) && rest.is_empty()
}

/// `None`: not an expression.
fn any_of(rest: &mut &[&str], allowed: &[&str]) -> Option<bool> {
    let mut fits = all_of(rest, allowed)?;
    while rest.first() == Some(&"OR") {
        *rest = &rest[1..];
        fits |= all_of(rest, allowed)?;
    }
    Some(fits)
}

fn all_of(rest: &mut &[&str], allowed: &[&str]) -> Option<bool> {
    let mut fits = one(rest, allowed)?;
    while rest.first() == Some(&"AND") {
        *rest = &rest[1..];
        fits &= one(rest, allowed)?;
    }
    Some(fits)
}

fn one(rest: &mut &[&str], allowed: &[&str]) -> Option<bool> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    if *first == "(" {
        let fits = any_of(rest, allowed)?;
        *rest = rest.strip_prefix(&[")"])?;
        return Some(fits);
    }
    // An exception only allows more.
    if rest.first() == Some(&"WITH") {
        *rest = rest.get(2..)?;
    }
    Some(allowed.contains(first))
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    let allowed = ["MIT", "Zlib"];
    for fits in ["MIT", "GPL-3.0 OR MIT", "Apache-2.0/MIT", "(GPL-3.0 OR MIT) AND Zlib", "Zlib WITH some-exception"] {
        assert!(licence_fits(fits, &allowed), "{fits}");
    }
    for not in ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT OR", "(MIT", "GPL-3.0 OR MIT AND GPL-3.0"] {
        assert!(!licence_fits(not, &allowed), "{not}");
    }
}

/// What deny.toml says of licences, bans and sources, held wherever the tests run.
#[test]
fn no_dependency_is_banned_unlicensed_or_from_elsewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules: toml::Table = fs::read_to_string(root.join("deny.toml")).unwrap().parse().unwrap();
    let texts = |value: &toml::Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let licences = texts(&rules["licenses"]["allow"]);
    let licences: Vec<&str> = licences.iter().map(String::as_str).collect();
    let banned: Vec<&str> =
        rules["bans"]["deny"].as_array().unwrap().iter().map(|ban| ban["name"].as_str().unwrap()).collect();
    assert!(!licences.is_empty() && !banned.is_empty());
    let mut used = std::collections::BTreeSet::new();
    for target in texts(&rules["graph"]["targets"]) {
        let output = std::process::Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--locked",
                "--offline",
                "--all-features",
                "--format-version",
                "1",
                "--filter-platform",
                &target,
            ])
            .current_dir(root)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
        let ids: Vec<&serde_json::Value> = nodes.iter().map(|node| &node["id"]).collect();
        for package in metadata["packages"].as_array().unwrap().iter().filter(|package| ids.contains(&&package["id"])) {
            let name = package["name"].as_str().unwrap();
            assert!(!banned.contains(&name), "{name} is banned by deny.toml");
            let licence = package["license"].as_str().unwrap_or_default();
            assert!(licence_fits(licence, &licences), "{name}: deny.toml does not allow {licence:?}");
            if let Some(source) = package["source"].as_str() {
                assert!(source.starts_with("registry+"), "{name} comes from {source}");
                used.insert(source.to_owned());
            } else {
                let any = |dependency: &serde_json::Value| dependency["req"] == "*";
                assert_eq!(name, "papcast");
                assert!(!package["dependencies"].as_array().unwrap().iter().any(any), "a wildcard in Cargo.toml");
            }
        }
    }
    assert_eq!(used.len(), 1, "{used:?}");
}

/// docs/limits.md names keys with their defaults; broker.toml is where they are.
#[test]
fn the_table_of_limits_says_what_the_configuration_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let defaults: toml::Table = fs::read_to_string(root.join("broker.toml")).unwrap().parse().unwrap();
    let page = fs::read_to_string(root.join("docs/limits.md")).unwrap();
    let mut rows = 0;
    for line in page.lines().filter(|line| line.contains("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (section, key) = cells[2].trim_matches('`').split_once('.').unwrap();
        let value = defaults.get(section).and_then(|section| section.get(key));
        let value = value.unwrap_or_else(|| panic!("{section}.{key} is no key"));
        let said: toml::Table = format!("said = {}", cells[3]).parse().unwrap();
        assert_eq!(value, &said["said"], "{section}.{key}");
        rows += 1;
    }
    assert!(rows > 20, "the table was read");
    for key in ["mqtt", "http", "groups", "push"].map(|section| (section, defaults[section].as_table().unwrap())) {
        for name in key.1.keys().filter(|name| name.starts_with("max")) {
            assert!(page.contains(&format!("`{}.{name}`", key.0)), "{}.{name} is not in docs/limits.md", key.0);
        }
    }
}

/// A file as a module: `mqtt::session::client_messages`.
fn module(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> = path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// The paths that a `use` list stands for: `super::{a, b::{C, d}}` is `super::a`, `super::b::C`, `super::b::d`.
fn expand(prefix: &str, list: &str, into: &mut Vec<String>) {
    let (mut depth, mut start) = (0, 0);
    let mut items = Vec::new();
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&list[start..]);
    for item in items.into_iter().map(str::trim).filter(|item| !item.is_empty()) {
        match item.split_once('{') {
            Some((head, rest)) => expand(&format!("{prefix}{head}"), rest.trim_end().trim_end_matches('}'), into),
            None => into.push(format!("{prefix}{item}")),
        }
    }
}

/// Every path of ours that a file names, in `use` or where it stands.
fn paths(text: &str) -> Vec<String> {
    let text: String = code(text).lines().map(|line| line.split("//").next().unwrap().to_owned() + "\n").collect();
    let mut found = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let statement = text[at + 4..].split(';').next().unwrap();
        if statement.starts_with("super::") || statement.starts_with("crate::") || statement.starts_with("self::") {
            expand("", statement, &mut found);
        }
    }
    for start in ["super::", "crate::", "self::"] {
        for (at, _) in text.match_indices(start) {
            let path: String =
                text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':')).collect();
            found.push(path);
        }
    }
    found
}

/// The file that a path in `from` leads to, as far as the path names modules.
fn resolve(from: &[String], path: &str, modules: &HashSet<Vec<String>>) -> Option<Vec<String>> {
    let mut at = from.to_vec();
    let mut found = None;
    for part in path.split("::").map(|part| part.split_whitespace().next().unwrap_or("")) {
        match part {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            "self" => {}
            name => at.push(name.to_owned()),
        }
        if modules.contains(&at) {
            found = Some(at.clone());
        }
    }
    found
}

/// A file that imports what imports it, over however many steps, cannot be read alone. A folder's own file only puts its
/// folder together; it does not count.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let files: Vec<(Vec<String>, String)> = sources()
        .into_iter()
        .map(|(path, text)| (module(&path), text))
        .filter(|(at, _)| !at.iter().any(|part| part == "tests" || part == "model"))
        .collect();
    let modules: HashSet<Vec<String>> = files.iter().map(|(at, _)| at.clone()).collect();
    let is_folder = |at: &[String]| modules.iter().any(|other| other.len() > at.len() && other.starts_with(at));
    let mut imports: HashMap<&[String], Vec<Vec<String>>> = HashMap::new();
    for (at, text) in &files {
        let wanted = paths(text).into_iter().filter_map(|path| resolve(at, &path, &modules));
        let wanted = wanted.filter(|other| other != at && !is_folder(other) && other.first() == at.first());
        imports.insert(at, wanted.collect());
    }
    assert!(imports.values().map(Vec::len).sum::<usize>() > 300, "the imports were read");
    for (begin, _) in &files {
        let mut seen = HashSet::new();
        let mut next: Vec<(Vec<String>, String)> =
            imports[begin.as_slice()].iter().map(|other| (other.clone(), other.join("/"))).collect();
        while let Some((at, way)) = next.pop() {
            assert!(at != *begin, "{} imports itself by way of {way}", begin.join("/"));
            if seen.insert(at.clone()) {
                let further = imports[at.as_slice()].iter();
                next.extend(further.map(|other| (other.clone(), format!("{way} -> {}", other.join("/")))));
            }
        }
    }
}

/// Lines of each function of a file, from its first to its closing brace, which rustfmt puts below its beginning.
fn function_lengths(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code(text).lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let indent = &line[..line.len() - trimmed.len()];
        let Some((before, rest)) = trimmed.split_once("fn ") else { continue };
        let is_fn = before.is_empty() || before.starts_with("pub") || ["async ", "const ", "unsafe "].contains(&before);
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if !is_fn || name.is_empty() || trimmed.ends_with('}') || trimmed.ends_with(';') {
            continue;
        }
        let end = lines[at..].iter().position(|later| *later == format!("{indent}}}"));
        found.push((name, end.map_or(0, |end| end + 1)));
    }
    found
}

#[test]
fn no_function_is_longer_than_a_page() {
    let mut count = 0;
    for (path, text) in sources() {
        for (name, lines) in function_lengths(&text) {
            count += 1;
            assert!(lines <= 60, "{}: {name} has {lines} lines", path.display());
        }
    }
    assert!(count > 1_000, "the functions were found: {count}");
}

/// Names of metrics in a text.
fn metrics_in(text: &str) -> HashSet<&str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let names = text.split(|c: char| !is_name(c)).filter(|word| word.starts_with("papcast_"));
    names.collect()
}

/// docs/metrics.md is made from the code; what the dashboard and the alerts look at has to be there.
#[test]
fn dashboard_and_alerts_name_metrics_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut known = HashSet::new();
    for line in fs::read_to_string(root.join("metrics.md")).unwrap().lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`');
        if cells[2] == "histogram" {
            known.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        }
        known.insert(name.to_owned());
    }
    assert!(known.len() > 30, "the table was read");
    let files =
        ["monitoring/papcast-alerts.yml", "monitoring/papcast-alerts.test.yml", "monitoring/papcast-dashboard.json"];
    for (file, at_least) in files.into_iter().zip([15, 15, 30]).chain([("monitoring.md", 5)]) {
        let text = fs::read_to_string(root.join(file)).unwrap();
        let named = metrics_in(&text);
        assert!(named.len() >= at_least, "{file} was read: {named:?}");
        for name in named {
            assert!(known.contains(name), "{file}: there is no metric {name}");
        }
    }
}

#[test]
fn every_alert_says_what_happened_and_what_to_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let [rules, tests, page] = ["monitoring/papcast-alerts.yml", "monitoring/papcast-alerts.test.yml", "monitoring.md"]
        .map(|file| fs::read_to_string(root.join(file)).unwrap());
    let mut names = HashSet::new();
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(rule.contains(part), "{name} has no {part}");
        }
        assert!(rule.contains(&format!("docs/monitoring.md, {name}.")), "{name} does not name its section");
        assert!(page.contains(&format!("\n### {name}\n")), "docs/monitoring.md has no section {name}");
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} is not tested");
        assert!(names.insert(name), "{name} is there twice");
    }
    assert!(names.len() > 10, "the rules were read");
    for heading in page.lines().filter_map(|line| line.strip_prefix("### ")) {
        assert!(names.contains(heading), "docs/monitoring.md: there is no alert {heading}");
    }
}

#[test]
fn the_dashboard_can_be_imported_anywhere() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring/papcast-dashboard.json");
    let dashboard: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert!(dashboard["id"].is_null(), "an id belongs to one installation of Grafana");
    let mut ids = HashSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title} has the id of another panel");
        assert!(panel["gridPos"]["w"].as_u64().unwrap() + panel["gridPos"]["x"].as_u64().unwrap() <= 24, "{title}");
        if panel["type"] != "row" {
            for one in panel["targets"].as_array().unwrap().iter().chain([panel]) {
                assert_eq!(one["datasource"]["uid"], "${datasource}", "{title}");
            }
        }
    }
    assert!(ids.len() > 20, "the panels were read");
}
