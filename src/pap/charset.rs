//! The text of a control document. A byte order mark counts most, then the charset of MIME (RFC 7303 §3.2), then the
//! encoding of the XML declaration, then UTF-8. Other encodings are left to `encoding_rs`, which knows those of the web:
//! what calls itself ISO-8859-1 is read as windows-1252, which it mostly is.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// Decodes a control document; what is no text says why.
pub fn decode<'a>(bytes: &'a [u8], charset: Option<&str>) -> Result<Cow<'a, str>, String> {
    let text = match utf_16(bytes) {
        Some((encoding, mark)) => convert(encoding, &bytes[mark..])?,
        None => {
            let declared = charset.map(ToOwned::to_owned).or_else(|| declared(bytes));
            named(bytes, declared.as_deref().unwrap_or("utf-8").trim())?
        }
    };
    // In bytes first: that is many times faster, and nearly always the answer.
    let plain = text.bytes().all(|byte| byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r'));
    if plain && (text.is_ascii() || !text.contains(['\u{fffe}', '\u{ffff}'])) {
        return Ok(text);
    }
    let at = text.chars().take_while(|c| is_xml(*c)).count();
    Err(format!("character {} of the control document is none that XML has", at + 1))
}

/// The characters of XML 1.0 §2.2.
pub(super) fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// UTF-16 shows in its first bytes (XML 1.0 appendix F); with them the length of the byte order mark.
fn utf_16(bytes: &[u8]) -> Option<(&'static Encoding, usize)> {
    match bytes {
        [0xfe, 0xff, ..] => Some((UTF_16BE, 2)),
        [0xff, 0xfe, ..] => Some((UTF_16LE, 2)),
        [0, b'<', ..] => Some((UTF_16BE, 0)),
        [b'<', 0, ..] => Some((UTF_16LE, 0)),
        _ => None,
    }
}

fn named<'a>(bytes: &'a [u8], name: &str) -> Result<Cow<'a, str>, String> {
    let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    // A document whose first bytes are no UTF-16 is not in UTF-16, whatever it says of itself.
    if is(&["utf-8", "utf8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be"]) {
        let text = std::str::from_utf8(bytes).map(Cow::Borrowed);
        return text.map_err(|error| format!("the control document is not UTF-8 at byte {}", error.valid_up_to()));
    }
    let known = Encoding::for_label_no_replacement(name.as_bytes());
    let shown: String = name.chars().take(32).collect();
    convert(known.ok_or_else(|| format!("the encoding {shown:?} is not known: use UTF-8"))?, bytes)
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

    #[test]
    fn utf_16_in_both_orders_with_and_without_its_mark() {
        for mark in ["\u{feff}", ""] {
            let units: Vec<u16> = format!("{mark}{TEXT}").encode_utf16().collect();
            let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
            for bytes in [little, big] {
                for charset in [None, Some("UTF-16"), Some("utf-8")] {
                    assert_eq!(decode(&bytes, charset).as_deref(), Ok(TEXT));
                }
                assert!(decode(&bytes[..bytes.len() - 1], None).unwrap_err().contains("not in UTF-16"));
            }
        }
        assert_eq!(decode(TEXT.as_bytes(), None).as_deref(), Ok(TEXT), "UTF-8 that calls itself UTF-16");
    }

    #[test]
    fn the_charset_of_mime_counts_more_than_the_declaration() {
        let latin = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?><a b='\xe9\x80'/>";
        assert_eq!(
            decode(latin, Some("ISO-8859-1")).as_deref(),
            Ok("<?xml version=\"1.0\" encoding=\"UTF-8\"?><a b='é€'/>")
        );
        assert!(decode(latin, None).unwrap_err().contains("not UTF-8 at byte 44"));
        assert!(decode(b"<a/>", Some("klingon")).unwrap_err().contains("\"klingon\" is not known"));
        assert_eq!(decode(b"<a b='\x82\xa0'/>", Some("Shift_JIS")).as_deref(), Ok("<a b='あ'/>"));
    }

    #[test]
    fn what_xml_has_no_character_for_is_no_text() {
        for c in ['\0', '\u{1}', '\u{b}', '\u{1f}', '\u{fffe}'] {
            assert!(decode(format!("<a{c}/>").as_bytes(), None).unwrap_err().contains("character 3"));
        }
        assert!(decode("<a>\t\r\n\u{85}\u{10ffff}</a>".as_bytes(), None).is_ok());
    }
}
