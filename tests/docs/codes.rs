//! docs/codes.md has every code that the program knows, and says of each what the program says.

use papcast::gateway::MissingReason;
use papcast::pap::code::Code;

use crate::common::repository;
use crate::page;

/// Rows of the tables of docs/codes.md: the first cell without its backticks, and the second one.
fn rows() -> Vec<(String, String)> {
    let page = page::read("docs/codes.md");
    let lines = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let cells = lines.map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect());
    cells.map(|cells: Vec<String>| (cells[1].clone(), cells[2].clone())).collect()
}

#[test]
fn pap_codes_are_those_of_the_code() {
    let rows = rows();
    let known: Vec<(u16, &str)> = (1000..6000).map(|code| (code, Code(code).meaning())).collect();
    // A code that nobody knows means what its class means.
    let class = ["success", "request error", "server error", "service failure"];
    for (code, meaning) in known.iter().filter(|(code, meaning)| {
        !class.contains(meaning) && (*code < 5000 || *code == 5234 || *meaning != "aborted by the terminal")
    }) {
        let said = rows.iter().find(|(name, _)| *name == code.to_string());
        assert_eq!(said.map(|(_, said)| said.as_str()), Some(*meaning), "docs/codes.md: {code}");
    }
    for (name, said) in rows.iter().filter(|(name, _)| name.len() == 4 && name.parse::<u16>().is_ok()) {
        assert_eq!(Code(name.parse().unwrap()).meaning(), said, "{name}");
    }
}

#[test]
fn reasons_are_those_of_the_code() {
    let rows = rows();
    let reasons = MissingReason::ALL.iter().map(|reason| reason.name());
    let source = page::read("src/gateway/group_answer.rs");
    let names = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""));
    let group: Vec<&str> = names.map(|(_, name)| name.trim_end_matches("\",")).collect();
    assert!(group.len() >= 7, "{group:?}");
    for name in reasons.chain(group) {
        assert!(rows.iter().any(|(row, _)| row == name), "docs/codes.md: {name}");
    }
}

#[test]
fn mqtt_reason_codes_are_those_of_the_code() {
    let rows = rows();
    let source = std::fs::read_to_string(repository().join("src/mqtt/codec/mod.rs")).unwrap();
    let codes: Vec<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub(crate) const ")?.split_once(": u8 = 0x"))
        .map(|(_, code)| code.trim_end_matches(';'))
        .filter(|code| u8::from_str_radix(code, 16).is_ok_and(|code| code >= 0x80))
        .collect();
    assert!(codes.len() > 20, "{codes:?}");
    for code in codes {
        assert!(rows.iter().any(|(row, _)| *row == format!("0x{code}")), "docs/codes.md: 0x{code}");
    }
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let help = crate::common::papcast(&["--help"]).out;
    let rows = rows();
    for line in help.split_once("Exit codes:\n").unwrap().1.lines() {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        assert!(rows.iter().any(|(row, said)| row == code && said == meaning), "docs/codes.md: {code} {meaning}");
    }
}
