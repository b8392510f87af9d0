//! Who may use which topics beside papcast's own.

use super::topic_filters;
use crate::config::{AclAction, AclRule};
use crate::ids::{UserId, encode_level};

#[derive(Debug, Clone, Default)]
pub(super) struct Acl {
    publish: Vec<String>,
    subscribe: Vec<String>,
}

impl Acl {
    pub(super) fn new(rules: &[AclRule]) -> Self {
        let of = |action: AclAction| {
            let rules = rules.iter().filter(|rule| rule.allow.contains(&action));
            rules.flat_map(|rule| rule.topics.iter().cloned()).collect()
        };
        Self { publish: of(AclAction::Publish), subscribe: of(AclAction::Subscribe) }
    }

    pub(super) fn may_publish(&self, topic: &str, user: Option<&UserId>, client: &str) -> bool {
        !is_own(topic) && self.publish.iter().any(|rule| topic_filters::matches(&fill_in(rule, user, client), topic))
    }

    /// Whether every topic of this filter may be read.
    pub(super) fn may_subscribe(&self, filter: &str, user: Option<&UserId>, client: &str) -> bool {
        !is_own(filter) && self.subscribe.iter().any(|rule| topic_filters::covers(&fill_in(rule, user, client), filter))
    }
}

/// Topics of papcast's own: no rule opens them, `#` neither.
fn is_own(topic: &str) -> bool {
    topic.starts_with('$') || matches!(topic.split('/').next(), Some("groups" | "users"))
}

/// `%u` and `%c` become one encoded level each, so that an ID with a `/` or a `+` in it opens nothing else.
fn fill_in(rule: &str, user: Option<&UserId>, client: &str) -> String {
    let user = user.map_or(String::new(), |user| encode_level(user.as_str()));
    rule.replace("%u", &user).replace("%c", &encode_level(client))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_open_topics_and_nothing_else() {
        let acl = Acl::new(&[
            AclRule { allow: vec![AclAction::Publish], topics: vec!["status/%u".into()] },
            AclRule { allow: vec![AclAction::Subscribe], topics: vec!["status/#".into(), "own/%c".into()] },
        ]);
        let user = UserId::parse("a/b+").unwrap();
        assert!(acl.may_publish("status/a%2Fb%2B", Some(&user), "c"));
        assert!(!acl.may_publish("status/a/b+", Some(&user), "c"));
        assert!(!acl.may_publish("own/c", Some(&user), "c"));
        assert!(acl.may_subscribe("status/+", Some(&user), "c"));
        assert!(acl.may_subscribe("own/c", None, "c"));
        assert!(!acl.may_subscribe("own/+", None, "c"));
        assert!(!acl.may_subscribe("#", None, "c"));
    }

    /// `topics = ["#"]` was refused, so that all other topics could not be opened.
    #[test]
    fn everything_that_is_not_ours_can_be_opened_at_once() {
        let acl =
            Acl::new(&[AclRule { allow: vec![AclAction::Publish, AclAction::Subscribe], topics: vec!["#".into()] }]);
        for open in ["a", "/", "status/x", "groupsx/y"] {
            assert!(acl.may_publish(open, None, "c") && acl.may_subscribe(open, None, "c"), "{open}");
        }
        for ours in ["groups/news", "users/a", "groups", "$SYS/x", "$push/response"] {
            assert!(!acl.may_publish(ours, None, "c") && !acl.may_subscribe(ours, None, "c"), "{ours}");
        }
        assert!(acl.may_subscribe("#", None, "c") && acl.may_subscribe("+/x", None, "c"));
    }
}
