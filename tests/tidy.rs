//! The house rules: who imports whom, how long files are, that every module says what it is for.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Folder or file under `src` and what of ours it may import. Imports go one way: downwards.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("budget", &[]),
    ("clock", &[]),
    ("faults", &[]),
    ("health", &[]),
    ("ids", &[]),
    ("log_limit", &[]),
    ("metrics", &[]),
    ("parcel", &["clock", "ids"]),
    ("pap", &[]),
    ("addressee", &["ids", "pap"]),
    ("config", &["ids"]),
    ("telemetry", &["config"]),
    ("store", &["clock", "faults", "health", "ids", "log_limit", "parcel"]),
    ("broker", &["clock", "faults", "health", "ids", "parcel"]),
    ("gateway", &["addressee", "broker", "clock", "config", "faults", "ids", "log_limit", "pap", "parcel", "store"]),
    (
        "door",
        &["broker", "budget", "clock", "config", "faults", "gateway", "health", "ids", "log_limit", "parcel", "store"],
    ),
    (
        "http",
        &[
            "broker",
            "budget",
            "clock",
            "config",
            "faults",
            "gateway",
            "health",
            "ids",
            "log_limit",
            "metrics",
            "pap",
            "store",
        ],
    ),
    ("terminal", &[]),
    ("app", &["broker", "clock", "config", "door", "gateway", "health", "http", "store"]),
    ("cli", &["addressee", "app", "clock", "config", "ids", "pap", "store", "telemetry", "terminal"]),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// A crate and the only places that may use it.
const FENCES: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    ("rumqttd", &["broker"]),
    ("rumqttc", &["terminal"]),
    ("axum", &["http"]),
    ("quick_xml", &["pap"]),
    ("encoding_rs", &["pap"]),
    ("clap", &["cli"]),
    ("anyhow", &["app", "cli"]),
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
            let used = text.contains(&format!("{name}::")) || text.contains(&format!("use {name}"));
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
        assert!(is_tests || lines <= 520, "{} has {lines} lines", path.display());
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
