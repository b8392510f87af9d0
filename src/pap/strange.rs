//! What a text is that cannot be read as PAP, in words that help whoever sent it: a form, JSON, nothing at all, or a sample
//! that was copied from a page with typographic quotes and dashes.

use super::multipart::MediaType;

/// Bytes of a text that are looked at.
const LOOK: usize = 16 * 1024;

const QUOTES: [char; 10] = ['“', '”', '„', '‟', '‘', '’', '‚', '«', '»', '″'];
const DASHES: [char; 6] = ['–', '—', '‐', '‑', '‒', '−'];

/// A body that is neither XML nor multipart.
pub(super) fn body(media: Option<&MediaType>, body: &[u8]) -> &'static str {
    let body = body.trim_ascii();
    let essence = media.map_or("", |media| media.essence.as_str());
    if body.is_empty() {
        "the body is empty: PAP is posted as XML, a push submission as multipart/related"
    } else if essence == "application/x-www-form-urlencoded" && !matches!(body[0], b'{' | b'[') || is_form(body) {
        "the body is a form: PAP is posted as it is, as XML or as multipart/related, and not as a field of a form"
    } else if essence.ends_with("json") || matches!(body[0], b'{' | b'[') {
        "the body is JSON, and this path takes PAP: XML or multipart/related"
    } else {
        "the body is neither PAP XML nor multipart/related"
    }
}

/// `name=value&…`, whatever it calls itself.
fn is_form(body: &[u8]) -> bool {
    let name = body.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.%+".contains(byte)).count();
    name > 0 && body.get(name) == Some(&b'=') && !body.contains(&b'\n')
}

/// What a word processor or a rendered page has put in the place of quotes and hyphens. Texts that can be read are never
/// asked about: in content and in names such characters are at home.
pub(super) fn typography(text: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(&text[..text.len().min(LOOK)]);
    if text.is_ascii() {
        return None;
    }
    let (quotes, dashes) = (has_quotes(&text), has_dashes(&text));
    match (quotes, dashes) {
        (true, true) => Some("typographic quotes and dashes: PAP is written with \" and -"),
        (true, false) => Some("typographic quotes: a value stands in \" or '"),
        (false, true) => Some("typographic dashes: PAP is written with -"),
        (false, false) => None,
    }
}

/// A quote where the value of an attribute or a parameter begins.
fn has_quotes(text: &str) -> bool {
    text.match_indices('=').any(|(at, _)| text[at + 1..].trim_start_matches([' ', '\t']).starts_with(QUOTES))
}

/// A dash at the beginning of a line, where a delimiter has two hyphens, or in the name of an element or attribute.
fn has_dashes(text: &str) -> bool {
    let delimiter = text.lines().any(|line| line.trim_start().starts_with(DASHES));
    delimiter
        || text.char_indices().filter(|(_, c)| DASHES.contains(c)).take(64).any(|(at, c)| {
            let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            let (before, after) = (&text[..at], &text[at + c.len_utf8()..]);
            let in_tag = before.rfind('<').is_some_and(|open| {
                let tag = &before[open..];
                !tag.contains('>') && tag.matches(['"', '\'']).count() % 2 == 0
            });
            let in_comment = before.ends_with("<!");
            (in_tag && is_letter(before.chars().next_back()) && is_letter(after.chars().next())) || in_comment
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_no_pap_is_called_what_it_is() {
        let said = |kind: Option<&str>, text: &str| body(kind.map(MediaType::parse).as_ref(), text.as_bytes());
        for (kind, text, word) in [
            (Some("application/xml"), " \r\n", "the body is empty"),
            (None, "", "the body is empty"),
            (Some("application/json"), "{\"to\":[]}", "the body is JSON"),
            (Some("application/x-www-form-urlencoded"), "{\"to\":[]}", "the body is JSON"),
            (Some("application/x-www-form-urlencoded"), "xml=%3Cpap%3E", "the body is a form"),
            (None, "username=a&password=b", "the body is a form"),
            (Some("text/plain"), "hello = you", "the body is neither PAP XML nor multipart/related"),
        ] {
            assert!(said(kind, text).starts_with(word), "{text:?}: {}", said(kind, text));
        }
    }

    #[test]
    fn typography_is_seen_where_it_hurts_and_nowhere_else() {
        for (text, said) in [
            ("<pap product-name=“x”/>", "typographic quotes:"),
            ("boundary= „b“", "typographic quotes:"),
            ("<push–message push-id=\"1\"/>", "typographic dashes:"),
            ("<push-message push—id=\"1\"/>", "typographic dashes:"),
            ("—b\r\nContent-Type: application/xml", "typographic dashes:"),
            ("<!—- a comment -->", "typographic dashes:"),
            ("<push–message push–id=”1”/>", "typographic quotes and dashes:"),
        ] {
            let found = typography(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert!(found.starts_with(said), "{text}: {found}");
        }
        for text in ["<pap product-name=\"“x” – y\"/>", "<a b=\"1–2\"/>", "a – b", "caf\u{e9}", "hello"] {
            assert_eq!(typography(text.as_bytes()), None, "{text}");
        }
    }
}
