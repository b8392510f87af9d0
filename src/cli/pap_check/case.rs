//! The cases: TOML files, one for each area.

use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::placeholders::Placeholders;

/// The files that are compiled in, in the order they are run.
const FILES: &[(&str, &str)] = &[
    ("operations", include_str!("../../../tests/data/pap/operations.toml")),
    ("replace", include_str!("../../../tests/data/pap/replace.toml")),
    ("versions", include_str!("../../../tests/data/pap/versions.toml")),
    ("replies", include_str!("../../../tests/data/pap/replies.toml")),
    ("multipart", include_str!("../../../tests/data/pap/multipart.toml")),
    ("headers", include_str!("../../../tests/data/pap/headers.toml")),
    ("xml", include_str!("../../../tests/data/pap/xml.toml")),
    ("addresses", include_str!("../../../tests/data/pap/addresses.toml")),
    ("duplicates", include_str!("../../../tests/data/pap/duplicates.toml")),
    ("times", include_str!("../../../tests/data/pap/times.toml")),
    ("hostile", include_str!("../../../tests/data/pap/hostile.toml")),
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

/// One rule, and the requests that show whether it is kept.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) rule: String,
    pub(super) level: Level,
    pub(super) step: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// The specification demands it.
    Must,
    /// Real initiators need it, or it is good to have.
    Should,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
        }
    }
}

/// One request, and what its answer has to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    #[serde(default = "multipart")]
    pub(super) content_type: String,
    #[serde(default)]
    pub(super) headers: Vec<String>,
    /// Behind the path of the endpoint, with its `?`.
    #[serde(default)]
    pub(super) query: String,
    #[serde(default)]
    eol: Eol,
    #[serde(default)]
    encoding: Encoding,
    body: String,
    /// Any 2xx where nothing is said.
    #[serde(default)]
    pub(super) http: Option<u16>,
    pub(super) answer: String,
    #[serde(default)]
    pub(super) code: Vec<u16>,
    #[serde(default)]
    pub(super) contains: Vec<String>,
    #[serde(default)]
    pub(super) lacks: Vec<String>,
    /// What lines of the answer's head begin with, in lower case.
    #[serde(default)]
    pub(super) head: Vec<String>,
    #[serde(default)]
    pub(super) head_lacks: Vec<String>,
}

fn multipart() -> String {
    "multipart/related; boundary=b; type=\"application/xml\"".into()
}

/// What a line end of the file becomes.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Eol {
    #[default]
    Crlf,
    Lf,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Encoding {
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "latin-1")]
    Latin1,
    /// Both with a byte order mark.
    #[serde(rename = "utf-16")]
    Utf16,
    #[serde(rename = "utf-16be")]
    Utf16Be,
    Base64,
}

impl Case {
    pub(super) fn needs_group(&self) -> bool {
        self.step.iter().any(|step| step.body.contains("{group}"))
    }
}

impl Step {
    /// The body as it is sent.
    pub(super) fn bytes(&self, placeholders: &Placeholders) -> anyhow::Result<Vec<u8>> {
        if matches!(self.encoding, Encoding::Base64) {
            let text: String = self.body.split_ascii_whitespace().collect();
            return STANDARD.decode(text).context("its body is not base64");
        }
        let text = placeholders.fill(&self.body);
        let text = match self.eol {
            Eol::Crlf => text.replace('\n', "\r\n"),
            Eol::Lf => text,
        };
        Ok(match self.encoding {
            Encoding::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
            Encoding::Utf16 => marked(&text).flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16Be => marked(&text).flat_map(u16::to_be_bytes).collect(),
            Encoding::Utf8 | Encoding::Base64 => text.into_bytes(),
        })
    }
}

/// In UTF-16, behind its byte order mark.
fn marked(text: &str) -> impl Iterator<Item = u16> {
    std::iter::once(0xfeff).chain(text.encode_utf16())
}

/// All cases with the name of their area: those compiled in, or those of a folder.
pub(super) fn all(folder: Option<&Path>) -> anyhow::Result<Vec<(String, Case)>> {
    let mut cases = Vec::new();
    let mut read = |area: &str, text: &str| -> anyhow::Result<()> {
        let file: File = toml::from_str(text).with_context(|| format!("{area}.toml is no file of cases"))?;
        cases.extend(file.case.into_iter().map(|case| (area.to_owned(), case)));
        Ok(())
    };
    let Some(folder) = folder else {
        FILES.iter().try_for_each(|(area, text)| read(area, text))?;
        return Ok(cases);
    };
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}: cannot be read", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
        read(&path.file_stem().unwrap_or_default().to_string_lossy(), &text)?;
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_a_rule_and_an_expectation() {
        let cases = all(None).unwrap();
        let mut names = std::collections::HashSet::new();
        for (area, case) in &cases {
            assert!(names.insert(&case.name), "{area}: {} twice", case.name);
            assert!(!case.rule.is_empty() && !case.rule.contains('\n'), "{area}: {}", case.name);
            assert!(!case.step.is_empty(), "{area}: {}", case.name);
            for step in &case.step {
                assert!(!step.answer.is_empty(), "{area}: {}", case.name);
            }
        }
        assert!(cases.len() >= 120, "{} cases", cases.len());
    }
}
