//! Topic names and filters as MQTT defines them (3.1.1 and 5.0 §4.7).

/// Whether a text may be published to. Control characters (§1.5.4) are allowed by the specification and refused here:
/// clients end on them.
pub(super) fn is_name(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= 65_535 && !topic.contains(['+', '#']) && !topic.contains(char::is_control)
}

/// Whether a text is a filter; without control characters, like a name.
pub(super) fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    let mut valid = !filter.is_empty() && filter.len() <= 65_535 && !filter.contains(char::is_control);
    while let Some(level) = levels.next() {
        valid &= match level {
            "#" => levels.peek().is_none(),
            "+" => true,
            other => !other.contains(['+', '#']),
        };
    }
    valid
}

pub(super) fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

/// Whether a filter takes a topic. Wildcards at the start do not take topics that begin with `$`.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    for level in filter.split('/') {
        match (level, topic.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

/// Whether every topic that `inner` takes is taken by `outer` as well.
pub(super) fn covers(outer: &str, inner: &str) -> bool {
    let mut inner = inner.split('/');
    for level in outer.split('/') {
        match (level, inner.next()) {
            ("#", _) => return true,
            ("+", Some(level)) if level != "#" => {}
            (outer, Some(inner)) if outer == inner => {}
            _ => return false,
        }
    }
    inner.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for good in ["#", "+", "a/#", "+/b", "a//b", "/", "$SYS/#"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a#", "#/a", "a/#/b", "a+", "a/+b", "a\0", "a\u{1}", "a/\u{85}/#"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }

    #[test]
    fn names_have_no_wildcards_and_no_control_characters() {
        for good in ["a", "/", "\u{e9}/x", "a b", "$x"] {
            assert!(is_name(good), "{good:?}");
        }
        for bad in ["", "a/+", "#", "a\0b", "a\u{1}b", "a\u{7f}b", "a\u{9f}b"] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn matching() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/+", "$SYS/x", true),
            ("a/b", "a/b/c", false),
            ("+", "/", false),
            ("+/+", "/", true),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn covering() {
        for (outer, inner, expected) in [
            ("a/#", "a/+/b", true),
            ("a/#", "a/#", true),
            ("a/+", "a/#", false),
            ("a/+", "a/+", true),
            ("a/b", "a/+", false),
            ("#", "x/y", true),
        ] {
            assert_eq!(covers(outer, inner), expected, "{outer} {inner}");
        }
    }
}
