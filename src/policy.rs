//! Who may do what: one table, and the rules of the configuration about groups and users.

use crate::caller::{Caller, Role};
use crate::config::{DeviceRule, InitiatorRule};
use crate::ids::{GroupId, Target, UserId};
use crate::pattern;

/// Something that a caller wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Submit pushes; look at, cancel and replace the caller's own; ask what terminals can do.
    Push,
    /// Look at the pushes of every initiator.
    SeeAllPushes,
    /// Cancel the pushes of every initiator.
    CancelAllPushes,
    /// Look at groups, members, users and connections.
    SeeGroups,
    /// Make, change and delete groups, bind and unbind members, decide on joins.
    ChangeGroups,
    /// Join, leave and list groups for the caller's own user.
    JoinGroups,
    /// The same for any user.
    JoinGroupsForOthers,
    /// Watch pushes with wildcard subscriptions.
    Watch,
    /// Read `/metrics`.
    SeeMetrics,
}

impl Action {
    /// In words: "… is for operators".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Push => "submitting and following pushes",
            Self::SeeAllPushes => "looking at the pushes of others",
            Self::CancelAllPushes => "cancelling the pushes of others",
            Self::SeeGroups => "looking at groups and users",
            Self::ChangeGroups => "changing groups and members",
            Self::JoinGroups => "joining groups",
            Self::JoinGroupsForOthers => "joining groups for another user",
            Self::Watch => "watching",
            Self::SeeMetrics => "reading metrics",
        }
    }
}

/// The table. Whoever is not named may not.
#[must_use]
pub fn may(caller: &Caller, action: Action) -> bool {
    match caller {
        Caller::Anybody { .. } | Caller::Operator { role: Role::Operator, .. } => true,
        Caller::Stranger => false,
        Caller::Device(_) => matches!(action, Action::JoinGroups),
        Caller::Initiator(_) => matches!(action, Action::Push),
        Caller::Operator { role: Role::Viewer, .. } => {
            matches!(action, Action::SeeAllPushes | Action::SeeGroups | Action::Watch | Action::SeeMetrics)
        }
    }
}

/// How many pushes somebody may submit; none: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    pub per_minute: Option<u32>,
    /// A day of UTC.
    pub per_day: Option<u32>,
}

/// The rules of the configuration: which groups and users an initiator reaches, and which groups a device joins.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    initiators: Vec<InitiatorRule>,
    devices: Vec<DeviceRule>,
}

impl Policy {
    #[must_use]
    pub fn new(initiators: Vec<InitiatorRule>, devices: Vec<DeviceRule>) -> Self {
        Self { initiators, devices }
    }

    fn rule_of(&self, initiator: &str) -> Option<&InitiatorRule> {
        self.initiators.iter().find(|rule| pattern::matches(&rule.pattern, initiator))
    }

    /// How many pushes this caller may submit: those of an initiator by its rule, all others as many as they like.
    #[must_use]
    pub fn quota(&self, caller: &Caller) -> Quota {
        let Caller::Initiator(name) = caller else { return Quota::default() };
        let rule = self.rule_of(name);
        Quota {
            per_minute: rule.and_then(|rule| rule.pushes_per_minute),
            per_day: rule.and_then(|rule| rule.pushes_per_day),
        }
    }

    /// Whether a push of this caller may go there. The first rule whose pattern matches the initiator counts; without one
    /// everything may be reached.
    #[must_use]
    pub fn may_reach(&self, caller: &Caller, target: &Target) -> bool {
        let Caller::Initiator(name) = caller else { return may(caller, Action::Push) };
        let Some(to) = self.rule_of(name).and_then(|rule| rule.to.as_ref()) else { return true };
        let (kind, id) = match target {
            Target::Group(group) => ("group:", group.as_str()),
            Target::User(user) => ("user:", user.as_str()),
        };
        to.iter().filter_map(|to| to.strip_prefix(kind)).any(|to| pattern::matches(to, id))
    }

    /// Whether a device may join a group; for others their own rules hold. `%u` in a rule stands for the user ID.
    #[must_use]
    pub fn may_join(&self, caller: &Caller, user: &UserId, group: &GroupId) -> bool {
        if !matches!(caller, Caller::Device(_)) {
            return may(caller, Action::JoinGroupsForOthers);
        }
        let rule = self.devices.iter().find(|rule| pattern::matches(&rule.pattern, user.as_str()));
        rule.is_none_or(|rule| {
            rule.join.iter().any(|join| pattern::matches_with(join, "%u", user.as_str(), group.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    const ACTIONS: [Action; 9] = [
        Action::Push,
        Action::SeeAllPushes,
        Action::CancelAllPushes,
        Action::SeeGroups,
        Action::ChangeGroups,
        Action::JoinGroups,
        Action::JoinGroupsForOthers,
        Action::Watch,
        Action::SeeMetrics,
    ];

    /// Every action and every role, as docs/security.md has them.
    #[test]
    fn every_role_may_do_its_own_things_and_nothing_else() {
        let (yes, no) = (true, false);
        let operator = |role| Caller::Operator { name: "o".into(), role };
        for (caller, expected) in [
            (Caller::Anybody { initiator: None }, [yes; 9]),
            (operator(Role::Operator), [yes; 9]),
            (operator(Role::Viewer), [no, yes, no, yes, no, no, no, yes, yes]),
            (Caller::Initiator("i".into()), [yes, no, no, no, no, no, no, no, no]),
            (Caller::Device(user("u")), [no, no, no, no, no, yes, no, no, no]),
            (Caller::Stranger, [no; 9]),
        ] {
            for (action, expected) in ACTIONS.into_iter().zip(expected) {
                assert_eq!(may(&caller, action), expected, "{caller:?} {action:?}");
            }
        }
    }

    #[test]
    fn an_initiator_reaches_what_its_first_rule_names() {
        let rule = |pattern: &str, to: &[&str]| InitiatorRule {
            pattern: pattern.into(),
            to: Some(to.iter().map(|to| (*to).to_owned()).collect()),
            pushes_per_minute: Some(60),
            pushes_per_day: None,
        };
        let policy =
            Policy::new(vec![rule("bill*", &["group:bills-*", "user:sip:*"]), rule("*", &["group:news"])], vec![]);
        let reaches = |name: &str, target: Target| policy.may_reach(&Caller::Initiator(name.into()), &target);
        let group = |name: &str| Target::Group(GroupId::parse(name).unwrap());
        assert!(reaches("billing", group("bills-may")) && reaches("billing", Target::User(user("sip:a@b"))));
        assert!(!reaches("billing", group("news")), "the first rule counts");
        assert!(!reaches("billing", Target::User(user("tel:+1"))));
        assert!(reaches("press", group("news")) && !reaches("press", Target::User(user("sip:a@b"))));
        assert!(Policy::default().may_reach(&Caller::Initiator("x".into()), &group("any")));
        assert!(!policy.may_reach(&Caller::Device(user("u")), &group("news")));
        let limited = Quota { per_minute: Some(60), per_day: None };
        assert_eq!(policy.quota(&Caller::Initiator("billing".into())), limited);
        assert_eq!(policy.quota(&Caller::Anybody { initiator: Some("billing".into()) }), Quota::default());
        let open = InitiatorRule { to: None, ..rule("*", &[]) };
        assert!(Policy::new(vec![open], vec![]).may_reach(&Caller::Initiator("x".into()), &group("any")));
    }

    #[test]
    fn a_device_joins_what_its_first_rule_names() {
        let rule = DeviceRule { pattern: "sip:*".into(), join: vec!["news".into(), "own/%u/*".into()] };
        let policy = Policy::new(vec![], vec![rule]);
        let joins = |name: &str, group: &str| {
            policy.may_join(&Caller::Device(user(name)), &user(name), &GroupId::parse(group).unwrap())
        };
        assert!(joins("sip:a*", "news") && joins("sip:a*", "own/sip:a*/x"));
        assert!(!joins("sip:a*", "own/sip:abc/x"), "the user's own star is a star");
        assert!(!joins("sip:a", "own/sip:b/x") && !joins("sip:a", "other"));
        assert!(joins("tel:+1", "other"), "no rule is about it");
    }
}
