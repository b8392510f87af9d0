//! Links of all pages lead to a file, and where they name a heading, to one that is there.

use crate::common::repository;
use crate::page;

/// Text and target of the links of a page, without those in code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if line.starts_with("```") {
            open = !open;
            continue;
        }
        if open {
            continue;
        }
        // Every second piece between backticks is code.
        let plain: String =
            line.split('`').enumerate().map(|(at, piece)| if at % 2 == 0 { piece } else { "code" }).collect();
        for (at, _) in plain.match_indices("](") {
            let target = plain[at + 2..].split(')').next().unwrap();
            found.push(target.split_whitespace().next().unwrap_or_default().to_owned());
        }
    }
    found
}

/// The name of a heading in a link, as hosting services and mdBook make it.
fn anchor(heading: &str) -> String {
    let plain = heading.replace('`', "").to_lowercase();
    let kept = plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> Vec<String> {
    let mut open = false;
    let lines = text.lines().filter(|line| {
        open ^= line.starts_with("```");
        !open && line.starts_with('#')
    });
    lines.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for name in page::all() {
        let text = page::read(&name);
        for link in links(&text) {
            if link.starts_with("https://") || link.starts_with("http://") {
                continue;
            }
            count += 1;
            let (file, heading) = link.split_once('#').map_or((link.as_str(), None), |(file, at)| (file, Some(at)));
            let folder = repository().join(&name).parent().unwrap().to_owned();
            let target = if file.is_empty() { repository().join(&name) } else { folder.join(file) };
            let there = target.canonicalize().unwrap_or_else(|_| panic!("{name}: {link} leads nowhere"));
            if name.starts_with("docs/") {
                let inside = there.starts_with(repository().join("docs").canonicalize().unwrap());
                assert!(inside, "{name}: {link} leads out of docs/, where the book has nothing");
            }
            if let Some(heading) = heading {
                let known = anchors(&std::fs::read_to_string(&there).unwrap());
                assert!(known.iter().any(|known| known == heading), "{name}: {link}: no such heading among {known:?}");
            }
        }
    }
    assert!(count > 100, "the links were found: {count}");
}

#[test]
fn every_page_is_in_the_contents_of_the_book_once() {
    let summary = links(&page::read("docs/SUMMARY.md"));
    for name in page::all().iter().filter_map(|name| name.strip_prefix("docs/")).filter(|name| *name != "SUMMARY.md") {
        assert_eq!(summary.iter().filter(|link| *link == name).count(), 1, "docs/SUMMARY.md and {name}");
    }
}
