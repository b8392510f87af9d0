//! The text of a control document. A byte order mark counts most, then the charset of MIME (RFC 7303 §3.2), then the
//! encoding of the XML declaration, then UTF-8. Other encodings are left to `encoding_rs`, which knows those of the web:
//! what calls itself ISO-8859-1 is read as windows-1252, which it mostly is.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::repair::{Repair, Repairs};

/// Why a control document is no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoText {
    pub desc: String,
    /// The text as far as it can be shown.
    pub text: String,
}

/// Decodes a control document. That it names another encoding than it has is noted.
pub fn decode<'a>(bytes: &'a [u8], charset: Option<&str>, repairs: &mut Repairs) -> Result<Cow<'a, str>, NoText> {
    let label = |name: &str| name.trim_matches(|c: char| c.is_whitespace() || "\"',;".contains(c)).to_owned();
    let declared = charset.map(label).filter(|name| !name.is_empty()).or_else(|| declared(bytes));
    let declared = declared.map(|name| label(&name)).filter(|name| !name.is_empty());
    let name = declared.as_deref().unwrap_or("utf-8");
    let lossy = |desc: String| NoText { desc, text: String::from_utf8_lossy(bytes).into_owned() };
    let text = match marked(bytes) {
        Some((encoding, mark)) => {
            let known = Encoding::for_label(name.as_bytes());
            // Without a mark UTF-16 has to be named; with one, what is named as UTF-16 may be either.
            let both = [UTF_16BE, UTF_16LE];
            let same = known == Some(encoding)
                || (mark > 0 && both.contains(&encoding) && name.eq_ignore_ascii_case("utf-16"));
            if !same && declared.is_some() {
                repairs.note(Repair::OtherEncoding);
            }
            convert(encoding, &bytes[mark..]).map_err(lossy)?
        }
        None => named(bytes, name, repairs).map_err(lossy)?,
    };
    let text = without_end(text, repairs);
    // In bytes first: that is many times faster, and nearly always the answer.
    let plain = text.bytes().all(|byte| byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r'));
    if plain && (text.is_ascii() || !text.contains(['\u{fffe}', '\u{ffff}'])) {
        return Ok(text);
    }
    let at = text.chars().take_while(|c| is_xml(*c)).count();
    let desc = format!("character {} of the control document is none that XML has", at + 1);
    Err(NoText { desc, text: text.into_owned() })
}

/// Some initiators send the end of their string as well.
fn without_end<'a>(text: Cow<'a, str>, repairs: &mut Repairs) -> Cow<'a, str> {
    let length = text.trim_end_matches('\0').len();
    if length == text.len() {
        return text;
    }
    repairs.note(Repair::BentXml);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..length]),
        Cow::Owned(mut text) => {
            text.truncate(length);
            Cow::Owned(text)
        }
    }
}

/// The characters of XML 1.0 §2.2.
pub(super) fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// The encoding that shows in the first bytes (XML 1.0 appendix F), and the length of the byte order mark.
fn marked(bytes: &[u8]) -> Option<(&'static Encoding, usize)> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => Some((UTF_8, 3)),
        [0xfe, 0xff, ..] => Some((UTF_16BE, 2)),
        [0xff, 0xfe, ..] => Some((UTF_16LE, 2)),
        [0, b'<', ..] => Some((UTF_16BE, 0)),
        [b'<', 0, ..] => Some((UTF_16LE, 0)),
        _ => None,
    }
}

/// Whether the first bytes are those of a document, in whatever encoding.
pub(super) fn looks_like_xml(bytes: &[u8]) -> bool {
    marked(bytes).is_some() || bytes.trim_ascii_start().starts_with(b"<")
}

fn named<'a>(bytes: &'a [u8], name: &str, repairs: &mut Repairs) -> Result<Cow<'a, str>, String> {
    let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let ascii = is(&["us-ascii", "ascii"]);
    // A document whose first bytes are no UTF-16 is not in UTF-16, whatever it says of itself.
    let not_16 = is(&["utf-16", "utf-16le", "utf-16be"]);
    if ascii || not_16 || is(&["utf-8", "utf8"]) {
        if not_16 || (ascii && !bytes.is_ascii()) {
            repairs.note(Repair::OtherEncoding);
        }
        let text = std::str::from_utf8(bytes).map(Cow::Borrowed);
        return text.map_err(|error| format!("the control document is not UTF-8 at byte {}", error.valid_up_to()));
    }
    let shown: String = name.chars().take(32).collect();
    let known = Encoding::for_label_no_replacement(name.as_bytes());
    let known = known.ok_or_else(|| format!("the encoding {shown:?} is not known: use UTF-8"))?;
    if known == WINDOWS_1252 && !is(&["windows-1252", "cp1252"]) && bytes.iter().any(|byte| (0x80..0xa0).contains(byte))
    {
        repairs.note(Repair::OtherEncoding);
    }
    convert(known, bytes)
}

fn convert<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Result<Cow<'a, str>, String> {
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    text.ok_or_else(|| format!("the control document is not in {}, as it says", encoding.name()))
}

/// The encoding of the XML declaration.
fn declared(bytes: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]);
    let declaration = head.trim_start().strip_prefix("<?xml")?;
    let declaration = &declaration[..declaration.find("?>")?];
    let value = declaration[declaration.find("encoding")? + 8..].trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value[1..].split(quote).next().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "<?xml version='1.0' encoding='utf-16'?><pap é=\"€\"/>";

    fn read(bytes: &[u8], charset: Option<&str>) -> Result<(String, bool), String> {
        let mut repairs = Repairs::default();
        let text = decode(bytes, charset, &mut repairs).map_err(|failure| failure.desc)?;
        Ok((text.into_owned(), repairs.as_slice() == [Repair::OtherEncoding]))
    }

    fn in_utf_16(text: &str) -> [Vec<u8>; 2] {
        let units: Vec<u16> = text.encode_utf16().collect();
        let bytes = |order: fn(u16) -> [u8; 2]| units.iter().copied().flat_map(order).collect();
        [bytes(u16::to_le_bytes), bytes(u16::to_be_bytes)]
    }

    #[test]
    fn utf_16_in_both_orders_with_and_without_its_mark() {
        for bytes in in_utf_16(&format!("\u{feff}{TEXT}")) {
            assert_eq!(read(&bytes, None), Ok((TEXT.into(), false)));
            assert_eq!(read(&bytes, Some("UTF-16")), Ok((TEXT.into(), false)));
            assert_eq!(read(&bytes, Some("utf-8")), Ok((TEXT.into(), true)));
            assert!(read(&bytes[..bytes.len() - 1], None).unwrap_err().contains("not in UTF-16"));
        }
        for (bytes, name) in in_utf_16(TEXT).iter().zip(["utf-16le", "utf-16be"]) {
            assert_eq!(read(bytes, Some(name)), Ok((TEXT.into(), false)));
        }
        assert_eq!(read(TEXT.as_bytes(), None), Ok((TEXT.into(), true)), "UTF-8 that calls itself UTF-16");
    }

    #[test]
    fn a_byte_order_mark_counts_more_than_the_charset_and_that_more_than_the_declaration() {
        assert_eq!(read(b"\xef\xbb\xbf<a/>", Some("iso-8859-1")), Ok(("<a/>".into(), true)));
        assert_eq!(read(b"\xef\xbb\xbf<a/>", None), Ok(("<a/>".into(), false)));
        let latin = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a b='\xe9'/>";
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a b='é'/>";
        assert_eq!(read(latin, Some("ISO-8859-1")), Ok((text.into(), false)));
        assert!(read(latin, None).unwrap_err().contains("not UTF-8 at byte 44"));
    }

    #[test]
    fn encodings_of_the_web() {
        assert_eq!(read(b"<\x80/>", Some("windows-1252")), Ok(("<€/>".into(), false)));
        assert_eq!(read(b"<\x80/>", Some("ISO-8859-1")), Ok(("<€/>".into(), true)));
        assert_eq!(read("<é/>".as_bytes(), Some("us-ascii")), Ok(("<é/>".into(), true)));
        assert_eq!(read(b"<a b='\x82\xa0'/>", Some("Shift_JIS")), Ok(("<a b='あ'/>".into(), false)));
        assert!(read(b"<a/>", Some("klingon")).unwrap_err().contains("\"klingon\" is not known"));
        for label in ["", "\"\"", "'utf-8'", "UTF-8,", " utf-8;"] {
            assert_eq!(read(b"<a/>", Some(label)), Ok(("<a/>".into(), false)), "{label}");
        }
    }

    #[test]
    fn what_xml_has_no_character_for_is_no_text() {
        assert_eq!(decode(b"<a/>\0\0", None, &mut Repairs::default()).unwrap(), "<a/>");
        for c in ['\0', '\u{1}', '\u{b}', '\u{1f}', '\u{fffe}'] {
            assert!(read(format!("<a{c}/>").as_bytes(), None).unwrap_err().contains("character 3"));
        }
        assert!(read("<a>\t\r\n\u{85}\u{10ffff}</a>".as_bytes(), None).is_ok());
    }
}
