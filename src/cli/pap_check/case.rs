//! The cases: TOML files, one for each area.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::options::{Pap, Profile};
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
    /// The version of PAP that the rule came with.
    #[serde(default)]
    pub(super) pap: Pap,
    /// The profile that the rule belongs to; every one where nothing is said.
    #[serde(default)]
    pub(super) profile: Option<Profile>,
    /// Also for a gateway that does not implement the operation: the rule says how such a gateway answers.
    #[serde(default)]
    pub(super) always: bool,
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

/// What a gateway may leave out (WAP-247 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Cancel,
    Status,
    Capabilities,
}

impl Operation {
    pub(super) const ALL: [Self; 3] = [Self::Cancel, Self::Status, Self::Capabilities];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Status => "status query",
            Self::Capabilities => "capabilities query",
        }
    }

    /// The elements of its request and of its answer.
    pub(super) fn elements(self) -> (&'static str, &'static str) {
        match self {
            Self::Cancel => ("cancel-message", "cancel-response"),
            Self::Status => ("statusquery-message", "statusquery-response"),
            Self::Capabilities => ("ccq-message", "ccq-response"),
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
    /// The element inside `pap`: one, or one of several.
    pub(super) answer: Names,
    /// One of these is its code; any where there is none.
    #[serde(default)]
    pub(super) code: Vec<u16>,
    /// Elements that the answer has.
    #[serde(default)]
    pub(super) has: Vec<Pattern>,
    #[serde(default)]
    pub(super) lacks: Vec<Pattern>,
    /// The elements inside the answer, those of one name that follow each other once.
    #[serde(default)]
    pub(super) children: Vec<String>,
    /// One of these versions stands in the public identifier of its DOCTYPE.
    #[serde(default)]
    pub(super) doctype: Vec<String>,
    /// Whether it has the instruction wap-pap-ver.
    #[serde(default)]
    pub(super) tells_versions: Option<bool>,
    /// No character of it is none of XML's. Otherwise such characters are passed over.
    #[serde(default)]
    pub(super) well_formed: bool,
    /// What its text has, for initiators that do not read XML. Never for a MUST.
    #[serde(default)]
    pub(super) text: Vec<String>,
    #[serde(default)]
    pub(super) text_lacks: Vec<String>,
    /// What lines of the answer's head begin with, in lower case.
    #[serde(default)]
    pub(super) head: Vec<String>,
    #[serde(default)]
    pub(super) head_lacks: Vec<String>,
}

fn multipart() -> String {
    "multipart/related; boundary=b; type=\"application/xml\"".into()
}

/// One name, or several of which any will do.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Names {
    One(String),
    Any(Vec<String>),
}

impl Names {
    pub(super) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Any(names) => names,
        }
    }
}

/// An element of this name with at least these attributes.
#[derive(Debug, Deserialize)]
pub(super) struct Pattern {
    pub(super) element: String,
    #[serde(flatten)]
    pub(super) attributes: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Value {
    Is(String),
    /// `true`: any value.
    Any(bool),
}

/// What a line end of the file becomes.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Eol {
    #[default]
    Crlf,
    Lf,
}

/// How the body is written; UTF-16 and base64 are for its first document alone.
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
    /// A request outside the cases.
    pub(super) fn of(content_type: &str, body: String, answer: &str) -> Self {
        Self {
            content_type: content_type.into(),
            headers: Vec::new(),
            query: String::new(),
            eol: Eol::Crlf,
            encoding: Encoding::Utf8,
            body,
            http: None,
            answer: Names::One(answer.into()),
            code: Vec::new(),
            has: Vec::new(),
            lacks: Vec::new(),
            children: Vec::new(),
            doctype: Vec::new(),
            tells_versions: None,
            well_formed: false,
            text: Vec::new(),
            text_lacks: Vec::new(),
            head: Vec::new(),
            head_lacks: Vec::new(),
        }
    }

    /// A push to one address.
    pub(super) fn push(address: &str) -> Self {
        let body = format!(
            "--b\nContent-Type: application/xml\n\n{{xml}}\n<pap><push-message push-id=\"{{id}}\"><address \
             address-value=\"{address}\"/></push-message></pap>\n--b\nContent-Type: text/plain\n\nhello\n--b--\n"
        );
        Self::of(&multipart(), body, "push-response")
    }

    /// The operation that it needs, and whether a gateway without it may answer as well: with 3001, "not implemented".
    pub(super) fn operation(&self) -> Option<(Operation, bool)> {
        let operation = Operation::ALL.into_iter().find(|operation| {
            let (request, answer) = operation.elements();
            self.body.contains(&format!("<{request}")) || self.answer.as_slice().iter().any(|name| name == answer)
        })?;
        let expects_it = self.answer.as_slice().iter().any(|name| name == operation.elements().1);
        Some((operation, expects_it && (self.code.is_empty() || self.code.contains(&3001))))
    }

    /// The body as it is sent.
    pub(super) fn bytes(&self, placeholders: &Placeholders) -> Vec<u8> {
        let text = placeholders.fill(&self.body);
        let text = match self.eol {
            Eol::Crlf => text.replace('\n', "\r\n"),
            Eol::Lf => text,
        };
        let around = |document: fn(&str) -> Vec<u8>| {
            let (before, inside, behind) = split_document(&text);
            [before.as_bytes(), &document(inside), behind.as_bytes()].concat()
        };
        match self.encoding {
            Encoding::Utf8 => text.into_bytes(),
            Encoding::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
            Encoding::Utf16 => around(|text| marked(text).flat_map(u16::to_le_bytes).collect()),
            Encoding::Utf16Be => around(|text| marked(text).flat_map(u16::to_be_bytes).collect()),
            Encoding::Base64 => around(|text| {
                let lines: Vec<Vec<u8>> = STANDARD.encode(text).as_bytes().chunks(76).map(<[u8]>::to_vec).collect();
                lines.join(&b"\r\n"[..])
            }),
        }
    }
}

/// What stands before the XML document of a body, the document, and what stands behind it.
fn split_document(text: &str) -> (&str, &str, &str) {
    let begin = text.find("<?xml").unwrap_or(0);
    let end = text[begin..].find("\r\n--b").map_or(text.len(), |at| begin + at);
    (&text[..begin], &text[begin..end], &text[end..])
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
                assert!(step.answer.as_slice().iter().all(|name| name.ends_with("-response")), "{area}: {}", case.name);
                assert!(!step.answer.as_slice().is_empty(), "{area}: {}", case.name);
            }
        }
        assert!(cases.len() >= 120, "{} cases", cases.len());
    }

    #[test]
    fn a_must_asked_for_the_text_of_an_answer_and_not_for_its_xml() {
        for (area, case) in all(None).unwrap() {
            let textual = case.step.iter().any(|step| !step.text.is_empty() || !step.text_lacks.is_empty());
            assert!(case.level == Level::Should || !textual, "{area}: {}", case.name);
        }
    }

    #[test]
    fn a_gateway_of_version_1_0_was_asked_in_2_0() {
        for (area, case) in all(None).unwrap().iter().filter(|(_, case)| case.pap == Pap::V1_0) {
            for step in &case.step {
                let body = step.bytes(&Placeholders::new("1", Some("g"), Pap::V1_0));
                let body = String::from_utf8_lossy(&body);
                assert!(!body.contains("PAP 2."), "{area}: {}", case.name);
                // An attribute of 2.0 in 1.0 is a case of tolerance, and nothing else.
                assert!(!body.contains("replace-push-id") || case.name == "version-1-0-replace", "{}", case.name);
            }
        }
    }

    #[test]
    fn a_must_about_xml_was_carried_by_an_operation_that_is_optional() {
        for (area, case) in all(None).unwrap().iter().filter(|(_, case)| case.level == Level::Must) {
            let optional = case.step.iter().any(|step| step.operation().is_some());
            assert!(!optional || area != "xml", "{}", case.name);
        }
    }

    #[test]
    fn only_the_document_is_written_in_the_encoding_of_a_step() {
        let placeholders = Placeholders::new("1", None, Pap::V2_0);
        let step = |encoding: &str| {
            let text = format!("encoding = '{encoding}'\nanswer = 'x'\nbody = \"\"\"--b\n\n<?xml?><a/>\n--b--\n\"\"\"");
            toml::from_str::<Step>(&text).unwrap().bytes(&placeholders)
        };
        assert_eq!(step("base64"), b"--b\r\n\r\nPD94bWw/PjxhLz4=\r\n--b--\r\n");
        assert!(step("utf-16").starts_with(b"--b\r\n\r\n\xff\xfe<\0?\0"));
        assert!(step("utf-16be").ends_with(b"\0/\0>\r\n--b--\r\n"));
    }
}
