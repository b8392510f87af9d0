//! The group of a group request that names only a user: the `[[groups.assign]]` rules of the configuration. Pure.

use crate::config::AssignRule;
use crate::ids::{GroupId, UserId};
use crate::pattern;

/// The group of the first rule whose pattern matches. Patterns and groups were checked with the configuration.
pub(super) fn assigned(rules: &[AssignRule], user: &UserId) -> Option<GroupId> {
    let rule = rules.iter().find(|rule| pattern::matches(&rule.pattern, user.as_str()));
    rule.and_then(|rule| GroupId::parse(&rule.group).ok())
}
