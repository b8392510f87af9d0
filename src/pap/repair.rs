//! What was bent in a request and has been straightened. The numbers are those of the compatibility table in
//! `docs/pap.md`. A strict endpoint reads in the same way, and takes nothing of which something was noted.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Repair {
    /// M1: lines end in LF alone.
    BareLineFeeds,
    /// M2: the boundary stands only in the body.
    NoBoundary,
    /// M3: no closing delimiter.
    NoClosingDelimiter,
    /// M4: delimiters are indented.
    IndentedDelimiter,
    /// M6: parameters of the Content-Type that are not quoted as they should be.
    BentParameter,
    /// M7: `multipart/…` other than `related`, or the control part not first.
    OtherMultipart,
    /// M8, M9: no blank line between headers and body.
    NoBlankLine,
    /// M10: blanks or a quote before a header's name, or blanks behind it.
    BentHeader,
    /// M11: an empty line before the headers.
    BlankLineFirst,
    /// M13: the content has no Content-Type.
    NoContentType,
    /// M15: a Content-Encoding that is none.
    NoSuchCoding,
    /// M16: plain XML under another Content-Type.
    PlainXml,
    /// X1, X2: the DOCTYPE is not as it should be.
    BentDoctype,
    /// X3: blanks before the XML declaration.
    LeadingBlanks,
    /// X4: elements or attributes that PAP does not know were ignored.
    Unknown,
    /// X4: an attribute with a known misspelling.
    Misspelled,
    /// X5: `&` or `<` that is not escaped.
    Unescaped,
    /// X5: markup that is not quite XML.
    BentXml,
    /// X5: another encoding than the one it names.
    OtherEncoding,
    /// X6: an enumeration in another case.
    OtherCase,
    /// X4: an attribute that only newer versions of PAP have.
    NewerAttribute,
    /// A1: an address without TYPE or the name of a gateway.
    BentAddress,
    /// A2: the value of an address is not as the grammar has it.
    BentValue,
    /// A3: an address with blanks in it.
    BlankInAddress,
    /// T1: the timestamp is not as the specification has it.
    BentTimestamp,
    /// X7: elements are not in the order of the schema.
    OtherOrder,
    /// X8: one of RIM's delivery methods.
    ForeignMethod,
}

impl Repair {
    /// The row of the compatibility table, for logs and metrics.
    #[must_use]
    pub fn row(self) -> &'static str {
        match self {
            Self::BareLineFeeds => "M1",
            Self::NoBoundary => "M2",
            Self::NoClosingDelimiter => "M3",
            Self::IndentedDelimiter => "M4",
            Self::BentParameter => "M6",
            Self::OtherMultipart => "M7",
            Self::NoBlankLine => "M8",
            Self::BentHeader => "M10",
            Self::BlankLineFirst => "M11",
            Self::NoContentType => "M13",
            Self::NoSuchCoding => "M15",
            Self::PlainXml => "M16",
            Self::BentDoctype => "X1",
            Self::LeadingBlanks => "X3",
            Self::Unknown | Self::Misspelled | Self::NewerAttribute => "X4",
            Self::Unescaped | Self::BentXml | Self::OtherEncoding => "X5",
            Self::OtherCase => "X6",
            Self::BentAddress => "A1",
            Self::BentValue => "A2",
            Self::BlankInAddress => "A3",
            Self::BentTimestamp => "T1",
            Self::OtherOrder => "X7",
            Self::ForeignMethod => "X8",
        }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::BareLineFeeds => "lines end in LF alone",
            Self::NoBoundary => "the boundary of the body is not in the Content-Type",
            Self::NoClosingDelimiter => "no closing delimiter",
            Self::IndentedDelimiter => "delimiters are indented",
            Self::BentParameter => "a Content-Type whose parameters are not quoted as they should be",
            Self::OtherMultipart => "not multipart/related with the control part first",
            Self::NoBlankLine => "no blank line between headers and body",
            Self::BentHeader => "blanks or a quote around the name of a header",
            Self::BlankLineFirst => "an empty line before the headers",
            Self::NoContentType => "content without Content-Type",
            Self::NoSuchCoding => "a Content-Encoding that is none",
            Self::PlainXml => "plain XML under another Content-Type",
            Self::BentDoctype => "an unusual DOCTYPE",
            Self::LeadingBlanks => "blanks before the XML declaration",
            Self::Unknown => "unknown elements, attributes or text",
            Self::NewerAttribute => "an attribute of a newer version",
            Self::Misspelled => "a misspelled attribute",
            Self::Unescaped => "unescaped characters in an attribute",
            Self::BentXml => "markup that is not quite XML",
            Self::OtherEncoding => "another encoding than the one it names",
            Self::OtherCase => "an enumeration in another case, or empty",
            Self::BentAddress => "an address without TYPE or gateway",
            Self::BentValue => "the value of an address outside the grammar",
            Self::BlankInAddress => "blanks in an address",
            Self::BentTimestamp => "a timestamp outside the specification",
            Self::OtherOrder => "elements out of order",
            Self::ForeignMethod => {
                "a delivery-method of RIM's: the specification has confirmed, preferconfirmed, unconfirmed and notspecified"
            }
        };
        f.write_str(text)
    }
}

/// Collects repairs, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repairs {
    found: Vec<Repair>,
    unknown: Vec<String>,
}

/// Names that are remembered, and characters of each.
const NAMES: usize = 8;
const NAME: usize = 64;

impl Repairs {
    pub fn note(&mut self, repair: Repair) {
        if !self.found.contains(&repair) {
            self.found.push(repair);
        }
    }

    /// Notes that an element or attribute of this name was ignored.
    pub fn note_unknown(&mut self, name: &str) {
        self.note(Repair::Unknown);
        let name: String = name.chars().filter(|c| !c.is_control()).take(NAME).collect();
        if self.unknown.len() < NAMES && !self.unknown.contains(&name) {
            self.unknown.push(name);
        }
    }

    #[must_use]
    pub fn as_slice(&self) -> &[Repair] {
        &self.found
    }

    /// The first names that were ignored.
    #[must_use]
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }
}
