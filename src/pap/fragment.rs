//! The beginning of a request that could not be read, for the `bad-message-fragment` of its answer: short, and without
//! the secrets that initiators put into bodies and URLs. Answers are logged and mailed around.

/// Longest fragment, in characters.
pub const FRAGMENT: usize = 256;

const MASK: &str = "***";

/// Words behind which a secret stands, in lower case.
const SECRET: [&str; 6] = ["password", "passwd", "pwd", "secret", "token", "authorization"];

/// The beginning of `bytes`.
#[must_use]
pub fn of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(FRAGMENT * 4)]);
    mask_values(&mask_user_info(&text)).chars().take(FRAGMENT).collect()
}

/// `http://user:secret@host/` (RFC 3986 §3.2.1).
fn mask_user_info(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, authority) = rest.split_at(at + 3);
        out.push_str(before);
        let end = authority.find(|c: char| c.is_whitespace() || "/?#\"'<>".contains(c)).unwrap_or(authority.len());
        let host = authority[..end].rfind('@').unwrap_or(0);
        if host > 0 {
            out.push_str(MASK);
        }
        rest = &authority[host..];
    }
    out + rest
}

/// What stands behind a word that announces a secret: `password=x`, `"token": "x"`, a form field, a header.
fn mask_values(text: &str) -> String {
    // Of the same length as `text`, byte for byte.
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some((from, word)) =
        SECRET.iter().filter_map(|word| Some((lower[at..].find(word)? + at, word))).min_by_key(|(from, _)| *from)
    {
        let behind = from + word.len();
        let value = text[behind..].find(|c: char| !c.is_whitespace() && !"=:\"'".contains(c)).map(|skip| behind + skip);
        let Some(value) = value.filter(|value| *value > behind) else {
            out.push_str(&text[at..behind]);
            at = behind;
            continue;
        };
        let end = text[value..].find(|c: char| "&\"'<>;\r\n".contains(c)).map_or(text.len(), |length| value + length);
        out.push_str(&text[at..value]);
        out.push_str(MASK);
        at = end;
    }
    out + &text[at..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out() {
        for (sent, shown) in [
            ("username=bob&password=secret&xml=<pap", "username=bob&password=***&xml=<pap"),
            ("a=\"http://u:geheim@x/\" b", "a=\"http://***@x/\" b"),
            ("name=\"Password\"\r\n\r\ns3cret\r\n--b", "name=\"Password\"\r\n\r\n***\r\n--b"),
            ("Authorization: Basic Ym9iOng=\r\n<pap/>", "Authorization: ***\r\n<pap/>"),
            ("{\"token\": \"x\", \"pwd\":\"y\"}", "{\"token\": \"***\", \"pwd\":\"***\"}"),
            ("http://a.example/b@c http://d", "http://a.example/b@c http://d"),
            ("no password", "no password"),
            ("passwords are secret things", "passwords are secret ***"),
        ] {
            assert_eq!(of(sent.as_bytes()), shown);
        }
    }

    #[test]
    fn it_is_short_and_bytes_that_are_no_text_do_no_harm() {
        assert_eq!(of(&[b'x'; 5_000]).len(), FRAGMENT);
        assert_eq!(of("\u{e9}".repeat(5_000).as_bytes()).chars().count(), FRAGMENT);
        assert_eq!(of(b"a\xffb://\xff@c"), "a\u{fffd}b://***@c");
    }
}
