//! A bounded reader of elements and attributes. PAP has no text content and no namespaces (WAP-247 §8): text between
//! elements is ignored, with a note.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::charset;
use super::limits::Limits;
use super::repair::{Repair, Repairs};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    #[error("not well-formed XML at byte {at}: {reason}")]
    Malformed { at: u64, reason: String },
    #[error("elements are nested more than {0} deep")]
    TooDeep(usize),
    #[error("an element has more than {0} attributes")]
    TooManyAttributes(usize),
    #[error("the value of {0:?} is longer than {1} bytes")]
    ValueTooLong(String, usize),
    #[error("there are more than {0} elements")]
    TooManyElements(usize),
    #[error("the attribute {0:?} stands twice in one element")]
    Twice(String),
    #[error("{0:?} refers to an entity that PAP does not have")]
    UnknownEntity(String),
    #[error("the document ends too early")]
    Truncated,
    #[error("something follows the root element")]
    Trailing,
}

/// One element, with what stands inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element<'a> {
    pub name: &'a str,
    pub attributes: Vec<(&'a str, Cow<'a, str>)>,
    pub children: Vec<Element<'a>>,
}

impl XmlError {
    /// The same fault in a longer text, in which this one begins at `base`.
    #[must_use]
    pub(super) fn within(self, base: usize) -> Self {
        match self {
            Self::Malformed { at, reason } => Self::Malformed { at: at + base as u64, reason },
            other => other,
        }
    }
}

impl<'a> Element<'a> {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_ref())
    }

    /// Takes an attribute's value out, unless it is empty.
    pub fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let at = self.attributes.iter().position(|(known, _)| *known == name)?;
        Some(self.attributes.swap_remove(at).1).filter(|value| !value.is_empty())
    }
}

/// Reads one root element.
pub fn read<'a>(text: &'a str, limits: &Limits, repairs: &mut Repairs) -> Result<Element<'a>, XmlError> {
    read_at(text, limits, repairs, &mut 0)
}

/// Likewise; `place` is left at the markup where a fault lies.
/// What stands between elements: nothing that PAP has, so it is noted, or not XML at this place.
fn pass_over(reader: &Reader<&[u8]>, event: &Event<'_>, repairs: &mut Repairs) -> Result<(), XmlError> {
    match event {
        Event::DocType(_) => return Err(misplaced(reader, "a DOCTYPE")),
        Event::Decl(_) => return Err(misplaced(reader, "an XML declaration")),
        Event::GeneralRef(name) if reference(&format!("{};", &**name)).is_none() => {
            return Err(XmlError::UnknownEntity(shorten(&format!("&{};", &**name))));
        }
        Event::Text(text) if is_blank(text) => {}
        Event::GeneralRef(_) | Event::Text(_) | Event::CData(_) => repairs.note(Repair::Unknown),
        Event::Comment(comment) => check_comment(comment, repairs),
        Event::PI(instruction) => check_instruction(instruction, repairs),
        Event::Start(_) | Event::Empty(_) | Event::End(_) | Event::Eof => return Err(XmlError::Truncated),
    }
    Ok(())
}

pub(super) fn read_at<'a>(
    text: &'a str,
    limits: &Limits,
    repairs: &mut Repairs,
    place: &mut usize,
) -> Result<Element<'a>, XmlError> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element<'a>> = Vec::with_capacity(4);
    // A document has some elements besides its addresses.
    let max_elements = limits.addresses.saturating_add(16);
    let mut count = 0;
    loop {
        *place = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX).min(text.len());
        let event = reader.read_event().map_err(|error| malformed(&reader, &error))?;
        let done = match event {
            Event::Start(_) | Event::Empty(_) if open.len() >= limits.depth => {
                return Err(XmlError::TooDeep(limits.depth));
            }
            Event::Start(start) => {
                count += 1;
                let at = reader.buffer_position();
                open.push(element(text, at, &start, limits, repairs)?);
                None
            }
            Event::Empty(start) => {
                count += 1;
                let at = reader.buffer_position();
                let element = element(text, at, &start, limits, repairs)?;
                close(&mut open, element)
            }
            Event::End(_) => {
                let element = open.pop().ok_or(XmlError::Truncated)?;
                close(&mut open, element)
            }
            other => {
                pass_over(&reader, &other, repairs)?;
                None
            }
        };
        if count > max_elements {
            return Err(XmlError::TooManyElements(max_elements));
        }
        if let Some(root) = done {
            return end(reader, repairs).map(|()| root);
        }
    }
}

/// Puts a finished element into its parent; the root comes back.
fn close<'a>(open: &mut [Element<'a>], element: Element<'a>) -> Option<Element<'a>> {
    match open.last_mut() {
        Some(parent) => {
            parent.children.push(element);
            None
        }
        None => Some(element),
    }
}

fn misplaced(reader: &Reader<&[u8]>, what: &str) -> XmlError {
    XmlError::Malformed { at: reader.buffer_position(), reason: format!("{what} inside the document") }
}

/// White space, as XML has it (XML 1.0 §2.3).
pub(super) const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// What follows blanks; also those that are none to XML.
pub(super) fn skip_blanks<'a>(text: &'a str, repairs: &mut Repairs) -> &'a str {
    let rest = text.trim_start_matches(BLANKS);
    let all = rest.trim_start();
    if all.len() < rest.len() {
        repairs.note(Repair::BentXml);
    }
    all
}

/// Two hyphens end a comment and do nothing else in it (XML 1.0 §2.5).
pub(super) fn check_comment(text: &str, repairs: &mut Repairs) {
    if text.contains("--") || text.ends_with('-') {
        repairs.note(Repair::BentXml);
    }
}

/// An instruction has a target, which is not `xml` (XML 1.0 §2.6).
pub(super) fn check_instruction(text: &str, repairs: &mut Repairs) {
    let target = text.split(|c: char| c.is_whitespace() || c == '?').next().unwrap_or_default();
    if target.is_empty() || target.eq_ignore_ascii_case("xml") {
        repairs.note(Repair::BentXml);
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_whitespace())
}

/// After the root only blanks, comments and instructions may follow.
fn end(mut reader: Reader<&[u8]>, repairs: &mut Repairs) -> Result<(), XmlError> {
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return Ok(()),
            Ok(Event::Comment(comment)) => check_comment(&comment, repairs),
            Ok(Event::PI(instruction)) => check_instruction(&instruction, repairs),
            Ok(Event::Text(text)) if is_blank(&text) => {}
            Ok(_) => return Err(XmlError::Trailing),
            Err(error) => return Err(malformed(&reader, &error)),
        }
    }
}

fn malformed(reader: &Reader<&[u8]>, error: &quick_xml::Error) -> XmlError {
    XmlError::Malformed { at: reader.buffer_position(), reason: error.to_string() }
}

/// The element of a start tag. Names and values are borrowed from `text`, which the tag is a part of.
fn element<'a>(
    text: &'a str,
    at: u64,
    start: &BytesStart<'_>,
    limits: &Limits,
    repairs: &mut Repairs,
) -> Result<Element<'a>, XmlError> {
    let inner = same_slice(text, start).ok_or_else(|| XmlError::Malformed { at, reason: "no tag".into() })?;
    let name_end = inner.find(|c: char| c.is_ascii_whitespace()).unwrap_or(inner.len());
    let (name, rest) = inner.split_at(name_end);
    let attributes = attributes(rest, limits, repairs).map_err(|error| match error {
        XmlError::Malformed { reason, .. } => XmlError::Malformed { at, reason },
        other => other,
    })?;
    Ok(Element { name, attributes, children: Vec::new() })
}

/// `part` again, as a slice of the `whole` it was cut from: quick-xml ties it to the event instead.
fn same_slice<'a>(whole: &'a str, part: &str) -> Option<&'a str> {
    let from = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    whole.get(from..from + part.len())
}

fn attributes<'a>(
    mut rest: &'a str,
    limits: &Limits,
    repairs: &mut Repairs,
) -> Result<Vec<(&'a str, Cow<'a, str>)>, XmlError> {
    let fault = |reason: &str| XmlError::Malformed { at: 0, reason: reason.into() };
    let mut found: Vec<(&str, Cow<'_, str>)> = Vec::new();
    loop {
        let spaced = rest.starts_with(char::is_whitespace);
        rest = skip_blanks(rest, repairs);
        if rest.is_empty() {
            return Ok(found);
        }
        if !spaced {
            repairs.note(Repair::BentXml);
        }
        let (name, tail) = rest.split_once('=').ok_or_else(|| fault("an attribute without a value"))?;
        let name = name.trim_end_matches(BLANKS);
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<')) {
            return Err(fault("an attribute without a name"));
        }
        let tail = tail.trim_start_matches(BLANKS);
        let quote =
            tail.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or_else(|| fault("a value without quotes"))?;
        let (value, tail) = tail[1..].split_once(quote).ok_or_else(|| fault("a value whose quote does not close"))?;
        if value.len() > limits.value {
            return Err(XmlError::ValueTooLong(name.to_owned(), limits.value));
        }
        if found.iter().any(|(known, _)| *known == name) {
            return Err(XmlError::Twice(name.to_owned()));
        }
        if found.len() >= limits.attributes {
            return Err(XmlError::TooManyAttributes(limits.attributes));
        }
        if found.capacity() == 0 {
            found.reserve_exact(4);
        }
        found.push((name, unescape(value, repairs)?));
        rest = tail;
    }
}

/// Attribute normalisation (XML 1.0 §3.3.3) with the five predefined and the numeric references. A lone `&` is taken as
/// itself.
pub fn unescape<'a>(raw: &'a str, repairs: &mut Repairs) -> Result<Cow<'a, str>, XmlError> {
    if !raw.contains(['&', '\n', '\r', '\t', '<']) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\n', '\r', '\t', '<']) {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        rest = match rest.as_bytes()[at] {
            b'&' => match reference(tail) {
                Some((c, length)) => {
                    out.push(c);
                    &tail[length..]
                }
                None if is_entity(tail) => return Err(XmlError::UnknownEntity(shorten(&rest[at..]))),
                None => {
                    repairs.note(Repair::Unescaped);
                    out.push('&');
                    tail
                }
            },
            b'<' => {
                repairs.note(Repair::Unescaped);
                out.push('<');
                tail
            }
            b'\r' => {
                out.push(' ');
                tail.strip_prefix('\n').unwrap_or(tail)
            }
            _ => {
                out.push(' ');
                tail
            }
        };
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn shorten(text: &str) -> String {
    text.chars().take(24).collect()
}

/// `name;` that is no known reference: an entity somebody expects us to know. Looks no further than the name goes, so
/// that a value full of `&` is read once and not once for each of them.
fn is_entity(tail: &str) -> bool {
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"#-_.".contains(byte);
    let end = tail.bytes().position(|byte| !in_name(&byte));
    end.is_some_and(|end| end > 0 && tail.as_bytes()[end] == b';')
}

/// The character that a reference stands for, and the length of the reference after its `&`. Looks at as many digits as a
/// number may reasonably have.
fn reference(tail: &str) -> Option<(char, usize)> {
    let end = tail.as_bytes().iter().take(64).position(|byte| *byte == b';')?;
    let c = match &tail[..end] {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        name => {
            let number = name.strip_prefix('#')?;
            let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |hex| (hex, 16));
            // Parsing alone would take a sign as well.
            let all_digits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            let code = u32::from_str_radix(digits, radix).ok().filter(|_| all_digits)?;
            char::from_u32(code).filter(|c| charset::is_xml(*c))?
        }
    };
    Some((c, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Result<Element<'_>, XmlError> {
        read(text, &Limits { addresses: 100, strict: false, ..Limits::default() }, &mut Repairs::default())
    }

    #[test]
    fn elements_and_attributes() {
        let root =
            tree("<pap product-name='a &amp; b'>\n<x  a = \"1\"\n b='2'/><!-- c --><y>text<z/></y></pap>\n").unwrap();
        assert_eq!((root.name, root.get("product-name")), ("pap", Some("a & b")));
        let names: Vec<&str> = root.children.iter().map(|child| child.name).collect();
        assert_eq!(names, ["x", "y"]);
        assert_eq!(root.children[0].get("b"), Some("2"));
        assert_eq!(root.children[1].children[0].name, "z");
    }

    #[test]
    fn references_and_blanks_in_values() {
        let value = |text: &str| unescape(text, &mut Repairs::default()).map(Cow::into_owned);
        assert_eq!(value("&#65;&#x42;&lt;&quot;").unwrap(), "AB<\"");
        assert_eq!(value("a\r\nb\tc").unwrap(), "a b c");
        assert_eq!(value("a & b &").unwrap(), "a & b &");
        assert!(matches!(value("&bomb;"), Err(XmlError::UnknownEntity(_))));
        assert!(matches!(value("&#0;"), Err(XmlError::UnknownEntity(_))));
        assert_eq!(value("&#x000000000041;&#0000000066;").unwrap(), "AB");
        assert_eq!(value("&#+65;&#x+42;").unwrap(), "&#+65;&#x+42;");
        for none in ["&#X41;", "&#x110000;", "&#;"] {
            assert!(value(none).is_err(), "{none}");
        }
    }

    #[test]
    fn only_a_name_up_to_its_semicolon_is_an_entity() {
        let value = |text: &str| unescape(text, &mut Repairs::default()).map(Cow::into_owned);
        for lone in ["&;", "&a b;", "&a", "&a&b", "&a=1;", "&\u{e9};"] {
            assert_eq!(value(lone).as_deref(), Ok(lone));
        }
        assert!(value("&a&b;").is_err());
        assert!(value("&a.b-c_1#;").is_err());
    }

    #[test]
    fn limits_and_faults() {
        assert_eq!(tree("<a><b/>").unwrap_err(), XmlError::Truncated);
        assert_eq!(tree("<a/><b/>").unwrap_err(), XmlError::Trailing);
        assert!(matches!(tree("<a></b>"), Err(XmlError::Malformed { .. })));
        assert!(matches!(tree("<a b></a>"), Err(XmlError::Malformed { .. })));
        assert!(matches!(tree("<a b=c/>"), Err(XmlError::Malformed { .. })));
        assert_eq!(tree("<a b='1' b='2'/>").unwrap_err(), XmlError::Twice("b".into()));
        assert_eq!(tree(&format!("{}{}", "<a>".repeat(9), "</a>".repeat(9))).unwrap_err(), XmlError::TooDeep(8));
        assert_eq!(tree(&format!("{}<b/>{}", "<a>".repeat(8), "</a>".repeat(8))).unwrap_err(), XmlError::TooDeep(8));
        assert_eq!(tree(&format!("<a>{}</a>", "<b/>".repeat(116))).unwrap_err(), XmlError::TooManyElements(116));
        let many: String = (0..33).map(|n| format!(" a{n}='1'")).collect();
        assert_eq!(tree(&format!("<a{many}/>")).unwrap_err(), XmlError::TooManyAttributes(32));
        assert_eq!(
            tree(&format!("<a b='{}'/>", "x".repeat(20_000))).unwrap_err(),
            XmlError::ValueTooLong("b".into(), 16_384)
        );
    }
}
