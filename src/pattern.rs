//! Patterns of the configuration: `*` matches any run of characters, everything else itself.

/// Linear in practice, and never worse than length times stars.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    matches_with(pattern, "", "", text)
}

/// The same, where `name` in the pattern stands for `value`, whatever characters that has.
#[must_use]
pub fn matches_with(pattern: &str, name: &str, value: &str, text: &str) -> bool {
    let literal = |part: &str| if name.is_empty() { part.to_owned() } else { part.replace(name, value) };
    let mut parts = pattern.split('*').map(literal);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(&*first) else { return false };
    let mut last: Option<String> = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some(at) = rest.find(&*middle) else { return false };
            rest = &rest[at + middle.len()..];
        }
    }
    match last {
        None => rest.is_empty(),
        Some(end) => rest.ends_with(&*end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_like_a_shell_star() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("sip:*@factory.example", "sip:a@factory.example", true),
            ("sip:*@factory.example", "sip:a@other.example", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab", "ab", true),
            ("ab", "abc", false),
            ("*ab*ab", "xab", false),
            ("*ab*ab", "ab-ab", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_name_stands_for_its_value_to_the_letter() {
        assert!(matches_with("own/%u/*", "%u", "a*", "own/a*/x"));
        assert!(!matches_with("own/%u/*", "%u", "a*", "own/abc/x"));
    }
}
