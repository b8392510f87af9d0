//! The group of a group request that names only a user: the `[[groups.assign]]` rules of the configuration. Pure.

use crate::config::AssignRule;
use crate::ids::{GroupId, UserId};

/// The group of the first rule whose pattern matches. Patterns and groups were checked with the configuration.
pub(super) fn assigned(rules: &[AssignRule], user: &UserId) -> Option<GroupId> {
    rules.iter().find(|rule| matches(&rule.pattern, user.as_str())).and_then(|rule| GroupId::parse(&rule.group).ok())
}

/// `*` matches any run of characters, everything else itself. Linear in practice and never worse than length × stars.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let middle: &str = middle;
            let Some(at) = rest.find(middle) else { return false };
            rest = &rest[at + middle.len()..];
        }
    }
    match last {
        None => rest.is_empty(),
        Some(end) => rest.ends_with(end),
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
}
