//! The conformance kit against a gateway that is not ours, with its crashes and hangs.

use crate::common::{kannel, repository};

/// MUST cases that Kannel 1.4.5 passes in an area, at least.
const PASSES: &[(&str, usize)] = &[
    ("operations", 18),
    ("versions", 3),
    ("replies", 2),
    ("multipart", 15),
    ("headers", 10),
    ("xml", 31),
    ("addresses", 8),
    ("duplicates", 2),
    ("hostile", 4),
];

fn cases() -> usize {
    let folder = std::fs::read_dir(repository().join("tests/data/pap")).unwrap();
    let toml = folder.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "toml"));
    toml.map(|path| std::fs::read_to_string(path).unwrap().matches("[[case]]").count()).sum()
}

/// The name of a row, and its numbers: passed, of, passed, of, skipped.
fn row(line: &str) -> (&str, Vec<usize>) {
    let name = line.trim_matches('|').split('|').next().unwrap().trim();
    (name, line.split([' ', '|']).filter_map(|word| word.parse().ok()).collect())
}

#[test]
fn kannel_crashed_and_hung_and_the_kit_had_no_table() {
    if !kannel::available() {
        return;
    }
    let output = kannel::check(&["--case-limit", "4", "--run-limit", "240"]);
    let told = format!("{}\n{}", output.out, output.err);
    assert_eq!(output.code, Some(1), "{told}");
    assert!(output.err.contains("did not answer after push-without-id"), "{told}");
    assert!(!output.out.contains("\nnot run"), "every case has an outcome\n{told}");
    let rows: Vec<_> = output.out.lines().skip_while(|line| !line.starts_with("| area |")).skip(2).map(row).collect();
    let (last, areas) = rows.split_last().unwrap();
    assert_eq!((last.0, areas.len()), ("all", 11), "{told}");
    assert_eq!(last.1[1] + last.1[3] + last.1[4], cases(), "every case is in the table\n{told}");
    for (at, sum) in last.1.iter().enumerate() {
        assert_eq!(areas.iter().map(|(_, numbers)| numbers[at]).sum::<usize>(), *sum, "{told}");
    }
    for (area, least) in PASSES {
        let numbers = &areas.iter().find(|(name, _)| name == area).unwrap().1;
        assert!(numbers[0] >= *least, "{area}: {} passed, {least} expected\n{told}", numbers[0]);
    }
}
