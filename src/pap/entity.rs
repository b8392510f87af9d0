//! One part: headers, then a body in some encoding (RFC 2045), and what initiators make of it (rows M8 to M15).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::limits::Limits;
use super::multipart::MediaType;
use super::repair::{Repair, Repairs};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntityError {
    #[error("a part has more than {0} headers")]
    TooManyHeaders(usize),
    #[error("a header line is longer than {0} bytes")]
    LineTooLong(usize),
    #[error("the Content-Transfer-Encoding {0:?} cannot be undone: {1}")]
    Encoding(String, &'static str),
}

/// A part whose transfer encoding has been undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Names in lower case, control characters removed, in order.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Entity {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn media_type(&self) -> Option<MediaType> {
        self.header("content-type").map(MediaType::parse)
    }
}

/// Reads a part.
pub fn read(part: &[u8], limits: &Limits, repairs: &mut Repairs) -> Result<Entity, EntityError> {
    let (lines, body_at) = header_lines(part, limits, repairs)?;
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        let text = String::from_utf8_lossy(line);
        let folded = line.first().is_some_and(u8::is_ascii_whitespace) && !headers.is_empty();
        if let (true, Some((_, value))) = (folded, headers.last_mut()) {
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str(&clean(text.trim()));
            continue;
        }
        let bent = text.trim_start().trim_start_matches('"');
        if bent.len() != text.len() {
            repairs.note(Repair::BentHeader);
        }
        if let Some((name, value)) = bent.split_once(':') {
            if name.ends_with([' ', '\t']) {
                repairs.note(Repair::BentHeader);
            }
            headers.push((name.trim().to_ascii_lowercase(), clean(value.trim())));
        }
        if headers.len() > limits.header_lines {
            return Err(EntityError::TooManyHeaders(limits.header_lines));
        }
    }
    let mut entity = Entity { headers, body: Bytes::new() };
    entity.body = decode(&entity, &part[body_at..])?;
    if entity
        .header("content-encoding")
        .is_some_and(|coding| matches!(coding.to_ascii_lowercase().as_str(), "binary" | "8bit" | "7bit"))
    {
        repairs.note(Repair::NoSuchCoding);
        entity.headers.retain(|(name, _)| name != "content-encoding");
    }
    Ok(entity)
}

/// Header values travel into MQTT properties: no control characters.
fn clean(value: &str) -> String {
    value.chars().filter(|c| !c.is_control()).collect()
}

/// The header lines of a part and where its body begins.
/// Whether so many lines are headers all the same: headers end in a blank line, which a payload of `key: value` lines need not have.
fn are_headers(lines: &[&[u8]], rest: &[u8]) -> bool {
    let ends = rest.windows(2).any(|pair| pair == b"\n\n") || rest.windows(3).any(|end| end == b"\n\r\n");
    ends || lines.iter().all(|line| is_entity_header(line))
}

fn header_lines<'a>(
    part: &'a [u8],
    limits: &Limits,
    repairs: &mut Repairs,
) -> Result<(Vec<&'a [u8]>, usize), EntityError> {
    let mut lines = Vec::new();
    let mut starts = Vec::new();
    let mut at = 0;
    let mut bare = false;
    if let Some(first) = after_blank_lines(part).filter(|_| !limits.strict) {
        // An empty line first, and headers after it all the same. To the letter it is a part without headers.
        repairs.note(Repair::BlankLineFirst);
        at = first;
    }
    while at < part.len() {
        let end = next_line(part, at);
        let line = part[at..end].trim_ascii_end();
        bare |= part[at..end].ends_with(b"\n") && !part[at..end].ends_with(b"\r\n");
        if line.is_empty() {
            if part[at..end].len() > 2 {
                repairs.note(Repair::BentHeader);
            }
            if bare {
                repairs.note(Repair::BareLineFeeds);
            }
            return Ok((lines, end));
        }
        if line.len() > limits.header_line {
            return if looks_like_header(line) {
                Err(EntityError::LineTooLong(limits.header_line))
            } else {
                body_without_blank(part, lines, &starts, at, repairs)
            };
        }
        let folded = line[0].is_ascii_whitespace() && !lines.is_empty();
        if folded && !limits.strict && opens_document(line) {
            // Indented XML without a blank line before it is no folded header (M4 and M8 together).
            return body_without_blank(part, lines, &starts, at, repairs);
        }
        if !folded && !looks_like_header(line) {
            return body_without_blank(part, lines, &starts, at, repairs);
        }
        if lines.len() >= limits.header_lines {
            if are_headers(&lines, &part[at..]) {
                return Err(EntityError::TooManyHeaders(limits.header_lines));
            }
            return body_without_blank(part, lines, &starts, at, repairs);
        }
        lines.push(line);
        starts.push(at);
        at = end;
    }
    // All of it looks like headers. A part may have nothing else; text such as `key: value` is no header of content.
    if lines.iter().all(|line| is_entity_header(line) || line[0].is_ascii_whitespace()) {
        return Ok((lines, part.len()));
    }
    body_without_blank(part, lines, &starts, part.len(), repairs)
}

/// No blank line: the body begins at the first line that is no entity header we know, at the latest at `at`.
fn body_without_blank<'a>(
    part: &[u8],
    mut lines: Vec<&'a [u8]>,
    starts: &[usize],
    at: usize,
    repairs: &mut Repairs,
) -> Result<(Vec<&'a [u8]>, usize), EntityError> {
    repairs.note(Repair::NoBlankLine);
    let first = lines.iter().position(|line| !is_entity_header(line) && !line[0].is_ascii_whitespace());
    let body_at = first.and_then(|first| starts.get(first).copied()).unwrap_or(at);
    if let Some(first) = first {
        lines.truncate(first);
    }
    debug_assert!(body_at <= part.len());
    Ok((lines, body_at))
}

/// Where headers begin that stand behind empty lines.
fn after_blank_lines(part: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let end = next_line(part, at);
        let line = &part[at..end];
        if line.is_empty() || !line.trim_ascii().is_empty() {
            return (at > 0 && is_entity_header(line)).then_some(at);
        }
        at = end;
    }
}

fn next_line(part: &[u8], at: usize) -> usize {
    part[at..].iter().position(|byte| *byte == b'\n').map_or(part.len(), |length| at + length + 1)
}

fn header_name(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii_start();
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let name = line[..line.iter().position(|byte| *byte == b':')?].trim_ascii_end();
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    (!name.is_empty() && name.iter().all(token)).then_some(name)
}

/// Whether a control document begins in this line. A `<` alone says nothing: a folded `Content-ID` has one, too.
fn opens_document(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    let ends = |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii_whitespace() || b">/".contains(byte));
    let opens = |word: &[u8]| {
        line.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)) && ends(line.get(word.len()))
    };
    opens(b"<?xml") || opens(b"<!DOCTYPE") || opens(b"<pap")
}

fn looks_like_header(line: &[u8]) -> bool {
    !line.starts_with(b"<") && header_name(line).is_some()
}

/// Headers that content has (WAP-251 §5.2), as far as they can be told from a payload such as `key: value`.
fn is_entity_header(line: &[u8]) -> bool {
    const KNOWN: [&str; 12] = [
        "age",
        "cache-control",
        "date",
        "etag",
        "expires",
        "last-modified",
        "mime-version",
        "push-message-id",
        "pragma",
        "transfer-encoding",
        "allow",
        "location",
    ];
    let Some(name) = header_name(line) else { return false };
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    name.starts_with("content-") || name.starts_with("x-") || KNOWN.contains(&name.as_str())
}

fn decode(entity: &Entity, body: &[u8]) -> Result<Bytes, EntityError> {
    let Some(encoding) = entity.header("content-transfer-encoding") else { return Ok(Bytes::copy_from_slice(body)) };
    let encoding = encoding.trim_matches(|c: char| c.is_whitespace() || "\"';".contains(c));
    match encoding.to_ascii_lowercase().as_str() {
        "base64" => {
            let dense: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let decoded = BASE64.decode(dense);
            decoded.map(Bytes::from).map_err(|_| EntityError::Encoding("base64".into(), "the body is not base64"))
        }
        "quoted-printable" => Ok(quoted_printable(body).into()),
        "" | "7bit" | "8bit" | "binary" | "7-bit" | "8-bit" => Ok(Bytes::copy_from_slice(body)),
        other => Err(EntityError::Encoding(other.chars().take(32).collect(), "it is not one of MIME's")),
    }
}

/// RFC 2045 §6.7; what is no escape stays as it is.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(body.len());
    let mut at = 0;
    while at < body.len() {
        if body[at] != b'=' {
            out.push(body[at]);
            at += 1;
            continue;
        }
        if let (Some(high), Some(low)) = (hex(body.get(at + 1)), hex(body.get(at + 2))) {
            out.push((high * 16 + low) as u8);
            at += 3;
        } else if body[at + 1..].starts_with(b"\r\n") {
            at += 3;
        } else if body[at + 1..].starts_with(b"\n") {
            at += 2;
        } else {
            out.push(b'=');
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(part: &str) -> (Entity, Vec<Repair>) {
        let mut repairs = Repairs::default();
        let entity = read(part.as_bytes(), &Limits::default(), &mut repairs).unwrap();
        (entity, repairs.as_slice().to_vec())
    }

    #[test]
    fn headers_then_body() {
        let (found, repairs) =
            entity("Content-Type: text/plain;\r\n charset=utf-8\r\nX-Wap-Application-Id: 4\r\n\r\nkey: value\r\n\r\nx");
        assert_eq!(found.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(found.header("x-wap-application-id"), Some("4"));
        assert_eq!(&found.body[..], b"key: value\r\n\r\nx");
        assert!(repairs.is_empty());
    }

    #[test]
    fn the_wild() {
        let (found, repairs) = entity("Content-Type: application/xml\r\n<?xml?><pap/>");
        assert_eq!((&found.body[..], repairs), (&b"<?xml?><pap/>"[..], vec![Repair::NoBlankLine]));
        let (found, repairs) = entity("Content-Type: text/plain\nPush-Message-ID: 1\nsubject: hello\nrest");
        assert_eq!((&found.body[..], repairs), (&b"subject: hello\nrest"[..], vec![Repair::NoBlankLine]));
        let (found, repairs) = entity("Content-Type: text/plain\r\nAlert: server down\r\nX-Load: 9");
        assert_eq!((&found.body[..], repairs), (&b"Alert: server down\r\nX-Load: 9"[..], vec![Repair::NoBlankLine]));
        let many = format!("Content-Type: text/plain\r\n{}", "key: value\r\n".repeat(100));
        assert_eq!(entity(&many).0.body.len(), 1_200);
        let (found, repairs) = entity("Content-Type: text/plain\r\nX-Wap-Application-Id: 4");
        assert_eq!((found.headers.len(), &found.body[..], repairs), (2, &b""[..], vec![]));
        let (found, repairs) = entity(" \"content-type:text/plain\r\n\r\nx");
        assert_eq!((found.header("content-type"), repairs), (Some("text/plain"), vec![Repair::BentHeader]));
        let (found, repairs) = entity("\r\nContent-Type: text/plain\r\n\r\nx");
        assert_eq!((&found.body[..], repairs), (&b"x"[..], vec![Repair::BlankLineFirst]));
        let (found, repairs) = entity("Content-Encoding: binary\r\n\r\nx");
        assert_eq!((found.headers.len(), repairs), (0, vec![Repair::NoSuchCoding]));
        assert_eq!(&entity("no header at all").0.body[..], b"no header at all");
        assert_eq!(&entity("").0.body[..], b"");
    }

    #[test]
    fn xml_that_was_indented_was_taken_for_a_folded_header() {
        for xml in [" <?xml version=\"1.0\"?>\n <pap/>", "\t<!DOCTYPE pap>\n <pap/>", "  <pap>\n</pap>", " <pap/>"] {
            let (found, repairs) = entity(&format!("Content-Type: application/xml; charset=UTF-8\n{xml}"));
            assert_eq!(found.header("content-type"), Some("application/xml; charset=UTF-8"));
            assert_eq!((&found.body[..], &repairs[..1]), (xml.as_bytes(), &[Repair::NoBlankLine][..]));
        }
        for id in ["<x@y>", "<pap@x>", "<papcast@x>"] {
            let (found, repairs) = entity(&format!("Content-ID:\r\n {id}\r\n\r\nhello"));
            assert_eq!((found.header("content-id"), &found.body[..], repairs), (Some(id), &b"hello"[..], vec![]));
        }
    }

    #[test]
    fn transfer_encodings() {
        assert_eq!(&entity("Content-Transfer-Encoding: BASE64\r\n\r\naGVs\r\nbG8").0.body[..], b"hello");
        assert_eq!(&entity("Content-Transfer-Encoding: quoted-printable\r\n\r\na=3Db=\r\nc=zz").0.body[..], b"a=bc=zz");
        assert_eq!(&entity("Content-Transfer-Encoding: binary\r\n\r\n\0\u{ff}").0.body[..], "\0\u{ff}".as_bytes());
        let fail = |part: &str| read(part.as_bytes(), &Limits::default(), &mut Repairs::default()).unwrap_err();
        assert!(matches!(fail("Content-Transfer-Encoding: base64\r\n\r\n!!!"), EntityError::Encoding(..)));
        assert!(matches!(fail("Content-Transfer-Encoding: uuencode\r\n\r\nx"), EntityError::Encoding(..)));
    }

    #[test]
    fn limits() {
        let many = format!("{}\r\n", "a: b\r\n".repeat(100));
        assert_eq!(
            read(many.as_bytes(), &Limits::default(), &mut Repairs::default()),
            Err(EntityError::TooManyHeaders(64))
        );
        let long = format!("a: {}\r\n\r\n", "x".repeat(9_000));
        assert_eq!(
            read(long.as_bytes(), &Limits::default(), &mut Repairs::default()),
            Err(EntityError::LineTooLong(8_192))
        );
    }
}
