//! Splitting a multipart body (RFC 2046 §5.1), and what initiators make of it (docs/pap.md, rows M1 to M7). Every byte
//! is looked at a fixed number of times.

use super::limits::Limits;
use super::repair::{Repair, Repairs};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    #[error("the multipart body has no boundary, neither in its Content-Type nor before its first part")]
    NoBoundary,
    #[error("no line of the body is the delimiter --{0}")]
    NoDelimiter(String),
    #[error("there are more than {0} parts")]
    TooManyParts(usize),
}

/// A media type with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    /// In lower case, `type/subtype`.
    pub essence: String,
    /// Names in lower case.
    pub parameters: Vec<(String, String)>,
    /// Not as RFC 2045 §5.1 has it: a quote that does not close, a value that needs quotes and has none, a stray `;`.
    pub bent: bool,
}

impl MediaType {
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn is_xml(&self) -> bool {
        matches!(self.essence.as_str(), "application/xml" | "text/xml")
    }

    /// Reads a Content-Type value. Values may be quoted or not, and unquoted ones may have any character but `;`.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        let (essence, mut rest) = value.split_once(';').unwrap_or((value, ""));
        let mut parameters = Vec::new();
        let mut bent = value.trim_end().ends_with(';');
        while parameters.len() < 16 {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
            let Some((name, tail)) = rest.split_once('=') else { break };
            let (value, tail) = parameter_value(tail.trim_start(), &mut bent);
            parameters.push((name.trim().to_ascii_lowercase(), value));
            rest = tail;
        }
        Self { essence: essence.trim().to_ascii_lowercase(), parameters, bent }
    }
}

fn parameter_value<'a>(text: &'a str, bent: &mut bool) -> (String, &'a str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', '\r', '\n']).unwrap_or(text.len());
        let value = text[..end].trim();
        *bent |= value.contains(|c: char| c.is_whitespace() || "()<>@,:\\\"/[]?=".contains(c));
        return (value.to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    *bent = true;
    (value, "")
}

/// The parts of a body, each with its headers. `boundary` may be missing: it is then read from headers or the first
/// delimiter before the first part.
pub fn split<'a>(
    body: &'a [u8],
    boundary: Option<&str>,
    limits: &Limits,
    repairs: &mut Repairs,
) -> Result<Vec<&'a [u8]>, MultipartError> {
    let found;
    let boundary = match boundary.filter(|boundary| !boundary.is_empty()) {
        Some(boundary) => boundary,
        None => {
            found = leading_boundary(body).ok_or(MultipartError::NoBoundary)?;
            repairs.note(Repair::NoBoundary);
            &found
        }
    };
    if let Some(parts) = split_by(body, boundary, limits, repairs)? {
        return Ok(parts);
    }
    // The header names another one than the body has: quoted wrongly, or with the dashes of the delimiter.
    if let Some(found) = leading_boundary(body).filter(|found| found != boundary)
        && let Some(parts) = split_by(body, &found, limits, repairs)?
    {
        repairs.note(Repair::NoBoundary);
        return Ok(parts);
    }
    Err(MultipartError::NoDelimiter(boundary.to_owned()))
}

fn split_by<'a>(
    body: &'a [u8],
    boundary: &str,
    limits: &Limits,
    repairs: &mut Repairs,
) -> Result<Option<Vec<&'a [u8]>>, MultipartError> {
    let delimiter = format!("--{boundary}");
    if let Some(parts) = split_at(body, delimiter.as_bytes(), false, limits, repairs)? {
        return Ok(Some(parts));
    }
    let parts = split_at(body, delimiter.as_bytes(), true, limits, repairs)?;
    if parts.is_some() {
        repairs.note(Repair::IndentedDelimiter);
    }
    Ok(parts)
}

/// A boundary named by header lines before the first part, or the first line that begins with `--`.
fn leading_boundary(body: &[u8]) -> Option<String> {
    for line in body.split(|byte| *byte == b'\n').take(32) {
        let line = std::str::from_utf8(line).ok()?.trim();
        if line.get(..13).is_some_and(|name| name.eq_ignore_ascii_case("content-type:")) || line.contains("boundary=") {
            let media = MediaType::parse(line.split_once(':').map_or(line, |(_, value)| value));
            if let Some(boundary) = media.parameter("boundary") {
                return Some(boundary.to_owned());
            }
        }
        if let Some(boundary) = line.strip_prefix("--").filter(|boundary| !boundary.is_empty() && boundary.len() <= 200)
        {
            return Some(boundary.to_owned());
        }
    }
    None
}

fn split_at<'a>(
    body: &'a [u8],
    delimiter: &[u8],
    indented: bool,
    limits: &Limits,
    repairs: &mut Repairs,
) -> Result<Option<Vec<&'a [u8]>>, MultipartError> {
    let mut parts = Vec::new();
    let mut start = None;
    let mut at = 0;
    let mut bare = false;
    let mut closed = false;
    while at < body.len() {
        let end = body[at..].iter().position(|byte| *byte == b'\n').map_or(body.len(), |length| at + length + 1);
        let line = &body[at..end];
        // Between bare line ends the text of the delimiter is content, but for those who send no others.
        let in_place = at == 0 || body[..at].ends_with(b"\r\n");
        let kind = delimiter_kind(line, delimiter, indented).filter(|_| in_place || !limits.strict);
        match kind {
            None => {}
            Some(last) => {
                // What stands before the first one is a preamble, which may be anything.
                if let Some(start) = start {
                    if parts.len() >= limits.parts {
                        return Err(MultipartError::TooManyParts(limits.parts));
                    }
                    parts.push(&body[start..before_line_end(body, start, at)]);
                }
                bare |= !in_place || (line.ends_with(b"\n") && !line.ends_with(b"\r\n"));
                start = Some(end);
                if last {
                    closed = true;
                    break;
                }
            }
        }
        at = end;
    }
    let Some(start) = start else { return Ok(None) };
    if !closed {
        repairs.note(Repair::NoClosingDelimiter);
        // The end of the body closes the last part; nothing after a plain last delimiter is no part.
        let last = &body[start.min(body.len())..];
        if last.iter().any(|byte| !byte.is_ascii_whitespace()) {
            parts.push(before_bent_end(last, delimiter));
        }
    }
    if bare {
        repairs.note(Repair::BareLineFeeds);
    }
    Ok(Some(parts))
}

/// Cuts a closing delimiter off that has something behind it, or no line end before it.
fn before_bent_end<'a>(part: &'a [u8], delimiter: &[u8]) -> &'a [u8] {
    /// What may stand behind it: a NUL, a dash too many, a line end the wrong way round.
    const BEHIND: usize = 16;
    let closing = [delimiter, b"--"].concat();
    let tail = part.len().saturating_sub(closing.len() + BEHIND);
    let Some(at) = part[tail..].windows(closing.len()).position(|window| window == closing) else { return part };
    // Only the last one may be indented (M4).
    let before = &part[..tail + at];
    let blanks = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let unindented = &before[..before.len() - blanks];
    let line = if unindented.ends_with(b"\n") { unindented } else { before };
    &part[..before_line_end(part, 0, line.len())]
}

/// Whether a line is the delimiter, and if so whether it is the closing one. The exact text comes first: a boundary may
/// itself end in `--`.
fn delimiter_kind(line: &[u8], delimiter: &[u8], indented: bool) -> Option<bool> {
    let line = if indented { line.trim_ascii() } else { line.trim_ascii_end() };
    if line == delimiter {
        return Some(false);
    }
    (line.strip_prefix(delimiter) == Some(b"--")).then_some(true)
}

/// The end of a part: the line end before the delimiter belongs to the delimiter.
fn before_line_end(body: &[u8], start: usize, at: usize) -> usize {
    let part = &body[start..at];
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    let part = part.strip_suffix(b"\r").unwrap_or(part);
    start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(body: &str, boundary: Option<&str>) -> (Vec<String>, Vec<Repair>) {
        let mut repairs = Repairs::default();
        let parts = split(body.as_bytes(), boundary, &Limits::default(), &mut repairs).unwrap();
        (parts.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect(), repairs.as_slice().to_vec())
    }

    #[test]
    fn as_the_specification_has_it() {
        let (found, repairs) = parts("--b\r\none\r\n--b\r\ntwo\r\n\r\n--b--\r\nepilogue", Some("b"));
        assert_eq!(found, ["one", "two\r\n"]);
        assert!(repairs.is_empty());
    }

    #[test]
    fn the_wild() {
        assert_eq!(
            parts("--b\none\n--b\ntwo\n--b--", Some("b")),
            (vec!["one".into(), "two".into()], vec![Repair::BareLineFeeds])
        );
        assert_eq!(parts("junk\r\n--b\r\none\r\n--b--", Some("b")), (vec!["one".into()], vec![]));
        assert_eq!(
            parts("--b\r\none\r\n--b\r\ntwo\r\n", Some("b")),
            (vec!["one".into(), "two\r\n".into()], vec![Repair::NoClosingDelimiter])
        );
        assert_eq!(parts("--b\r\none\r\n--b\r\n", Some("b")).0, ["one"]);
        assert_eq!(parts("  --b\r\none\r\n  --b--\r\n", Some("b")).0, ["one"]);
        assert_eq!(parts("--b\r\none\r\n  --b--\r\n", Some("b")).0, ["one"]);
        assert_eq!(parts("--b  \r\none\r\n--b--\t\r\n", Some("b")), (vec!["one".into()], vec![]));
        assert_eq!(parts("--a--\r\none\r\n--a----\r\n", Some("a--")).0, ["one"]);
        assert_eq!(
            parts("Content-Type: multipart/related; boundary=\"q\"\r\n\r\n--q\r\none\r\n--q--", None).0,
            ["one"]
        );
        assert_eq!(parts("--zz\r\none\r\n--zz--", None).0, ["one"]);
    }

    #[test]
    fn the_impossible() {
        let fail = |body: &str, boundary| {
            split(body.as_bytes(), boundary, &Limits::default(), &mut Repairs::default()).unwrap_err()
        };
        assert_eq!(fail("hello", None), MultipartError::NoBoundary);
        assert_eq!(fail("hello", Some("b")), MultipartError::NoDelimiter("b".into()));
        assert_eq!(fail(&"--b\r\nx\r\n".repeat(30), Some("b")), MultipartError::TooManyParts(16));
    }

    #[test]
    fn media_types() {
        let media = MediaType::parse("Multipart/Related; type=\"application/xml\"; boundary=a=b+c#; ");
        assert_eq!(media.essence, "multipart/related");
        assert_eq!(media.parameter("boundary"), Some("a=b+c#"));
        assert_eq!(media.parameter("type"), Some("application/xml"));
        assert_eq!(MediaType::parse("a/b; x=\"q\\\"r\"").parameter("x"), Some("q\"r"));
        assert_eq!(MediaType::parse("a/b; boundary=\"open").parameter("boundary"), Some("open"));
        for proper in ["a/b", "a/b; boundary=x+y#z", "a/b;boundary=\"a=b\"; type=\"c/d\""] {
            assert!(!MediaType::parse(proper).bent, "{proper}");
        }
        for bent in ["a/b;", "a/b; boundary=a=b", "a/b; boundary=\"open", "a/b; type=c/d; boundary=x"] {
            assert!(MediaType::parse(bent).bent, "{bent}");
        }
    }
}
