//! docs/configuration.md, made from `broker.toml`: every key with its default and what it means.

use std::fmt::Write as _;

use super::DEFAULT_TOML;

/// Written anew with PAPCAST_WRITE_DOCS=1.
#[test]
fn docs_configuration_md_is_what_broker_toml_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let known = std::fs::read_to_string(path).unwrap_or_default();
    let (head, rest) = known.split_once("<!-- keys -->\n").unwrap_or((known.as_str(), ""));
    let tail = rest.split_once("<!-- end -->\n").map_or("", |(_, tail)| tail);
    let made = format!("{head}<!-- keys -->\n{}<!-- end -->\n{tail}", page());
    if std::env::var_os("PAPCAST_WRITE_DOCS").is_some() {
        return std::fs::write(path, &made).unwrap();
    }
    assert!(
        known == made,
        "docs/configuration.md is not what broker.toml says: run the test with PAPCAST_WRITE_DOCS=1"
    );
}

#[test]
fn every_key_has_a_row() {
    let page = page();
    let defaults: toml::Table = DEFAULT_TOML.parse().unwrap();
    for (section, keys) in &defaults {
        for (key, _) in keys.as_table().unwrap().iter().filter(|(_, value)| !value.is_table()) {
            assert!(page.contains(&format!("\n| `{section}.{key}` |")), "{section}.{key}");
        }
    }
    assert!(page.contains("\"/pap\" = ") && page.contains("## `[[groups.assign]]`"), "{page}");
}

/// Blocks of broker.toml are separated by empty lines; the first one is about the file.
fn page() -> String {
    let mut out = String::new();
    for block in DEFAULT_TOML.split("\n\n").skip(1) {
        let lines: Vec<&str> = block.lines().collect();
        let header = lines.iter().position(|line| line.starts_with('['));
        match header {
            Some(at) => section(&mut out, &lines[..at], &lines[at..]),
            None => example(&mut out, &lines),
        }
    }
    out
}

/// `[name]`, the comment above it, and its keys.
fn section(out: &mut String, above: &[&str], lines: &[&str]) {
    let name = lines[0].trim_matches(['[', ']']);
    let _ = writeln!(out, "\n## `[{name}]`\n");
    prose(out, above);
    let mut rows: Vec<(&str, String)> = Vec::new();
    for line in &lines[1..] {
        let (before, comment) = split_comment(line);
        match rows.last_mut() {
            _ if !before.is_empty() => rows.push((before, comment.to_owned())),
            Some((_, meaning)) => {
                let _ = write!(meaning, " {comment}");
            }
            // A key that is only an example.
            None => rows.push((comment, String::new())),
        }
    }
    if rows.iter().any(|(row, _)| row.starts_with('"')) {
        let _ = writeln!(out, "```toml\n[{name}]");
        rows.iter().for_each(|(row, _)| out.push_str(&format!("{row}\n")));
        out.push_str("```\n");
        return;
    }
    out.push_str("| key | default | meaning |\n| --- | --- | --- |\n");
    for (row, meaning) in rows {
        let (key, value) = row.split_once(" = ").unwrap();
        let meaning = meaning.replace('|', "\\|").replace("<", "&lt;");
        let _ = writeln!(out, "| `{name}.{key}` | `{value}` | {meaning} |");
    }
}

/// A list of tables, which is empty by default: prose, and an example behind `#`.
fn example(out: &mut String, lines: &[&str]) {
    let at = lines.iter().position(|line| line.starts_with("# [[")).unwrap();
    let name = lines[at].trim_start_matches("# [[").trim_end_matches("]]");
    let _ = writeln!(out, "\n## `[[{name}]]`\n");
    prose(out, &lines[..at]);
    out.push_str("```toml\n");
    lines[at..].iter().for_each(|line| out.push_str(&format!("{}\n", line.trim_start_matches("# "))));
    out.push_str("```\n");
}

/// A comment as a paragraph; what stands indented in it stays as it is.
fn prose(out: &mut String, lines: &[&str]) {
    let (plain, indented): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| !line.starts_with("#   "));
    for line in &plain {
        let _ = writeln!(out, "{}", line.trim_start_matches('#').trim_start().replace('<', "&lt;"));
    }
    if !plain.is_empty() {
        out.push('\n');
    }
    if !indented.is_empty() {
        out.push_str("```text\n");
        indented.iter().for_each(|line| out.push_str(&format!("{}\n", line.trim_start_matches("#   "))));
        out.push_str("```\n\n");
    }
}

/// What stands before a `#` outside of quotes, and what stands behind it.
fn split_comment(line: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => return (line[..at].trim(), line[at + 1..].trim()),
            _ => {}
        }
    }
    (line.trim(), "")
}
