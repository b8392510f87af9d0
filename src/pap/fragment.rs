//! The beginning of a request that could not be read, for the `bad-message-fragment` of its answer: short, and without
//! the secrets that initiators put into bodies and URLs. Answers are logged and mailed around.

use std::ops::Range;

/// Longest fragment, in characters.
pub const FRAGMENT: usize = 256;

const MASK: &str = "***";

/// Words behind which a secret stands, in lower case.
const SECRET: [&str; 6] = ["password", "passwd", "pass", "pwd", "secret", "token"];
const HEADER: &str = "authorization";

/// The beginning of `bytes`.
#[must_use]
pub fn of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(FRAGMENT * 4)]);
    mask_values(&mask_user_info(&text)).chars().take(FRAGMENT).collect()
}

/// Some characters before a fault are shown.
const BEFORE: usize = 64;
/// So many bytes before them may announce a secret.
const CONTEXT: usize = 1_024;

/// What stands around `place`; the beginning of `bytes` where that shows it.
#[must_use]
pub fn around(bytes: &[u8], place: usize) -> String {
    if place + BEFORE <= FRAGMENT {
        return of(bytes);
    }
    let from = place.min(bytes.len()).saturating_sub(BEFORE);
    let text = |end: usize| {
        let part = &bytes[from.saturating_sub(CONTEXT)..end];
        mask_values(&mask_user_info(&String::from_utf8_lossy(part)))
    };
    // Masked as a whole, so that no secret is shown whose announcement is cut off.
    let (before, whole) = (text(from), text(bytes.len().min(from + FRAGMENT * 4)));
    let shared = before.chars().zip(whole.chars()).take_while(|(a, b)| a == b).count();
    "…".chars().chain(whole.chars().skip(shared)).take(FRAGMENT).collect()
}

/// `http://user:secret@host/` (RFC 3986 §3.2.1).
#[must_use]
pub fn mask_user_info(text: &str) -> String {
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

/// What stands behind a word that announces a secret: `password=x`, `"token": "x"`, an element, a form field, a header.
fn mask_values(text: &str) -> String {
    // Of the same length as `text`, byte for byte.
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some((from, word)) = next_word(&lower, at) {
        let behind = from + word.len();
        let value = value_behind(text, behind, word);
        out.push_str(&text[at..value.start]);
        if !value.is_empty() {
            out.push_str(MASK);
        }
        at = value.end;
    }
    out + &text[at..]
}

/// The first word from `at` on, the longest where several begin there.
fn next_word(lower: &str, at: usize) -> Option<(usize, &'static str)> {
    let words = SECRET.iter().chain([&HEADER]);
    let found = words.filter_map(|word| Some((lower[at..].find(word)? + at, *word)));
    found.min_by_key(|(from, word)| (*from, usize::MAX - word.len()))
}

/// Where the value lies that a word announces; empty where none does.
fn value_behind(text: &str, behind: usize, word: &str) -> Range<usize> {
    let rest = &text[behind..];
    let separators = |c: char| c.is_whitespace() || "=:\"'>".contains(c);
    let line_ends = |c: char| c == '\r' || c == '\n';
    let quoted = rest.trim_start_matches(['"', '\'']);
    // A field of a form: its headers, an empty line, its value.
    if quoted.len() < rest.len() && quoted.starts_with(line_ends) {
        let blank = ["\r\n\r\n", "\n\n"].iter().filter_map(|end| Some(rest.find(end)? + end.len())).min();
        let start = blank.map_or(text.len(), |blank| behind + blank);
        let end = text[start..].find(line_ends).map_or(text.len(), |length| start + length);
        return start..end;
    }
    let start = behind + rest.len() - rest.trim_start_matches(separators).len();
    if start == behind {
        return behind..behind;
    }
    let quote = text[..start].chars().next_back().filter(|c| matches!(c, '"' | '\''));
    let ends = |c: char| match quote {
        Some(quote) => c == quote,
        // A header goes to the end of its line, blanks and all.
        None if word == HEADER => line_ends(c),
        None => c.is_whitespace() || "&<>\"".contains(c),
    };
    start..text[start..].find(ends).map_or(text.len(), |length| start + length)
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
            (
                "name=\"password\"\r\nContent-Type: text/plain\r\n\r\ns3cret\r\n--b",
                "name=\"password\"\r\nContent-Type: text/plain\r\n\r\n***\r\n--b",
            ),
            ("<password>x</password>", "<password>***</password>"),
            ("pass=x&a=b", "pass=***&a=b"),
            ("password=\"a'b&c;d\" e", "password=\"***\" e"),
            ("password=\"\"", "password=\"\""),
        ] {
            assert_eq!(of(sent.as_bytes()), shown);
        }
    }

    #[test]
    fn what_stands_around_a_fault_has_no_secrets_either() {
        let long = "x".repeat(1_000);
        for (sent, shown) in [
            ("<a b=c/>", "<a b=c/>"),
            ("password=\"s3cret\" <a b=c/>", "<a b=c/>"),
            ("http://u:s3cret@host/ <a b=c/>", "<a b=c/>"),
        ] {
            let text = format!("{long} {sent} {long}");
            for back in 0..90 {
                let place = (text.find("<a").unwrap() - back).min(text.len());
                let fragment = around(text.as_bytes(), place);
                assert!(fragment.contains(shown) && fragment.starts_with('…'), "{fragment}");
                assert!(!fragment.contains("cret"), "{back}: {fragment}");
                assert_eq!(fragment.chars().count(), FRAGMENT);
            }
        }
        assert_eq!(around(b"<pap", 3), "<pap");
        assert_eq!(around("\u{e9}".repeat(2_000).as_bytes(), 1_001).chars().count(), FRAGMENT);
        assert_eq!(around(&[b'x'; 300], 300), format!("…{}", "x".repeat(64)));
    }

    #[test]
    fn it_is_short_and_bytes_that_are_no_text_do_no_harm() {
        assert_eq!(of(&[b'x'; 5_000]).len(), FRAGMENT);
        assert_eq!(of("\u{e9}".repeat(5_000).as_bytes()).chars().count(), FRAGMENT);
        assert_eq!(of(b"a\xffb://\xff@c"), "a\u{fffd}b://***@c");
    }
}
