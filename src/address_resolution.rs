//! Whom the address of a push names: the one place where an address becomes a user or a group.

use std::borrow::Cow;

use crate::ids::{GroupId, Target, UserId};
use crate::pap::address::{self, Address, AddressError, Kind};

/// What an address may mean, the literal reading first; empty where nobody can be meant by it. A later one counts where
/// nothing of an earlier one's name is known (compatibility table, A1 and A2): a number without its `+`, a group that is
/// named like a user, and all of them without the port that stands behind the value.
#[must_use]
pub fn meanings(raw: &str) -> Vec<Target> {
    let Ok(Some(named)) = Named::read(raw) else { return Vec::new() };
    let mut targets = named.whole();
    if let Some(front) = address::without_port(&named.value) {
        for target in (Named { by: named.by, value: front.into() }).whole() {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    targets
}

/// What an address says and nothing else.
#[must_use]
pub fn to_the_letter(raw: &str) -> Option<Target> {
    Named::read(raw).ok().flatten()?.literal()
}

/// Why an address names nobody that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// It cannot be read.
    Unreadable(AddressError),
    /// Addresses of this type are not served.
    Type(String),
    /// There is nobody of this name, which may have been meant for that of a group.
    Word(String),
    /// There is nobody of this name.
    Nobody,
}

/// What is to be said of an address that nobody has.
#[must_use]
pub fn why_unknown(raw: &str) -> Unknown {
    match Named::read(raw) {
        Err(error) => Unknown::Unreadable(error),
        Ok(None) => match address::parse(raw) {
            Ok(Address::Client(address::Client { kind: Kind::Other(kind), .. })) => {
                Unknown::Type(kind.chars().take(32).collect())
            }
            _ => Unknown::Nobody,
        },
        Ok(Some(Named { by: By::Word | By::User, value })) if !value.contains(['@', ':']) => {
            Unknown::Word(value.chars().take(64).collect())
        }
        Ok(Some(_)) => Unknown::Nobody,
    }
}

/// What the value of an address is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Group,
    /// A telephone number with its `+`.
    Number,
    /// `user:<id>`: said twice, and meant.
    Explicit,
    User,
    /// Text that says neither: a user, or else a group.
    Word,
}

struct Named<'a> {
    by: By,
    value: Cow<'a, str>,
}

impl<'a> Named<'a> {
    /// `None` for a type that is not served.
    fn read(raw: &'a str) -> Result<Option<Self>, AddressError> {
        let (by, value) = match address::parse(raw)? {
            Address::Client(client) => match client.kind {
                Kind::Group => return Ok(Some(Self { by: By::Group, value: client.value })),
                Kind::Plmn => return Ok(Some(Self { by: By::Number, value: client.value })),
                Kind::User => (By::User, client.value),
                Kind::Other(_) => return Ok(None),
            },
            Address::Bare(text) => (By::Word, text),
        };
        let strip = |prefix: &str| value.strip_prefix(prefix).map(|rest| Cow::Owned(rest.to_owned()));
        let encoded = if by == By::Word { strip("%24") } else { None };
        let (by, value) = match (strip("group:").or_else(|| strip("$")).or(encoded), strip("user:")) {
            (Some(group), _) => return Ok(Some(Self { by: By::Group, value: group })),
            (None, Some(user)) => (By::Explicit, user),
            (None, None) => (by, value),
        };
        Ok(Some(Self { by: if is_number(&value) { By::Number } else { by }, value }))
    }

    fn literal(&self) -> Option<Target> {
        match self.by {
            By::Group => GroupId::parse(&self.value).ok().map(Target::Group),
            By::Number => number(&self.value),
            By::Explicit | By::User | By::Word => UserId::parse(&self.value).ok().map(Target::User),
        }
    }

    /// All that the whole value may be the name of.
    fn whole(&self) -> Vec<Target> {
        let is_user = matches!(self.by, By::Explicit | By::User | By::Word);
        let number = is_user.then(|| national(&self.value)).flatten();
        let group = (self.by == By::Word && !is_uri(&self.value)).then(|| GroupId::parse(&self.value).ok()).flatten();
        self.literal().into_iter().chain(number).chain(group.map(Target::Group)).collect()
    }
}

fn is_number(value: &str) -> bool {
    value.strip_prefix('+').is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_uri(value: &str) -> bool {
    let scheme = value.split_once(':').map_or("", |(scheme, _)| scheme);
    ["sip", "sips", "tel", "urn"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

fn number(digits: &str) -> Option<Target> {
    UserId::parse(&format!("tel:{digits}")).ok().map(Target::User)
}

/// Digits alone: an MSISDN without its `+`.
fn national(user: &str) -> Option<Target> {
    let digits = user.len() >= 5 && user.bytes().all(|byte| byte.is_ascii_digit());
    number(&format!("+{user}")).filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(targets: impl IntoIterator<Item = Target>) -> Vec<String> {
        let name = |target: Target| match target {
            Target::Group(id) => format!("group {id}"),
            Target::User(id) => format!("user {id}"),
        };
        targets.into_iter().map(name).collect()
    }

    #[test]
    fn every_form_names_somebody() {
        for (raw, expected) in [
            ("group:news", "group news"),
            ("$IT", "group IT"),
            ("%24IT", "group IT"),
            ("WAPPUSH=news/TYPE=GROUP@p", "group news"),
            ("WAPPUSH=%24IT/TYPE=USER@p", "group IT"),
            ("WAPPUSH=group%3anews/TYPE=USER@p", "group news"),
            ("user:alice", "user alice"),
            ("alice", "user alice"),
            ("WAPPUSH=alice/TYPE=USER@p", "user alice"),
            ("sip:alice@example.com:5060", "user sip:alice@example.com:5060"),
            ("+1-555-0100", "user tel:+15550100"),
            ("user:+1-555-0100", "user tel:+15550100"),
            ("WAPPUSH=+15550100/TYPE=PLMN@p", "user tel:+15550100"),
            ("tel:+1 555 0100", "user tel:+15550100"),
        ] {
            assert_eq!(names(to_the_letter(raw)), [expected], "{raw}");
            assert_eq!(names(meanings(raw))[0], expected, "{raw}");
        }
        for nobody in ["", "WAPPUSH=1.2.3.4/TYPE=IPv4@p", "WAPPUSH=abc/TYPE=PLMN@p", "group:"] {
            assert!(meanings(nobody).is_empty() && to_the_letter(nobody).is_none(), "{nobody}");
        }
    }

    #[test]
    fn what_initiators_bend_has_a_second_meaning() {
        for (raw, expected) in [
            ("15550100", &["user 15550100", "user tel:+15550100", "group 15550100"][..]),
            ("WAPPUSH=15550100@p", &["user 15550100", "user tel:+15550100"]),
            ("WAPPUSH=alice%3A100/TYPE=USER@p", &["user alice:100", "user alice"]),
            ("WAPPUSH=bob%40corp.example%3A7874/TYPE=USER@p", &["user bob@corp.example:7874", "user bob@corp.example"]),
            ("2100000A:100", &["user 2100000A:100", "group 2100000A:100", "user 2100000A", "group 2100000A"]),
            ("a:70000", &["user a:70000", "group a:70000"]),
            ("user:1234", &["user 1234"]),
            ("sip:alice@example.com:5060", &["user sip:alice@example.com:5060", "user sip:alice@example.com"]),
            ("tel:123", &["user tel:123"]),
            ("user:100", &["user 100"]),
            ("group:100", &["group 100"]),
        ] {
            assert_eq!(names(meanings(raw)), expected, "{raw}");
        }
    }

    /// RIM's samples put one behind everything.
    #[test]
    fn a_port_behind_the_name_of_a_group_or_a_number_hid_it() {
        for (raw, whole, front) in [
            ("WAPPUSH=%24kit%3A7874/TYPE=USER@rim.net", "group kit:7874", "group kit"),
            ("WAPPUSH=group%3akit%3A100/TYPE=USER", "group kit:100", "group kit"),
            ("WAPPUSH=kit%3A100/TYPE=GROUP", "group kit:100", "group kit"),
            ("WAPPUSH=%2b15550100%3A100/TYPE=PLMN", "user tel:+15550100:100", "user tel:+15550100"),
            ("group:kit:100", "group kit:100", "group kit"),
            ("$kit%3A100", "group kit%3A100", "group kit"),
            ("+1-555-0100:100", "user tel:+15550100:100", "user tel:+15550100"),
        ] {
            assert_eq!(names(meanings(raw)), [whole, front], "{raw}");
            assert_eq!(names(to_the_letter(raw)), [whole], "{raw}");
        }
    }

    #[test]
    fn the_name_of_a_group_without_a_word_for_group_named_nobody() {
        assert_eq!(names(meanings("kit")), ["user kit", "group kit"]);
        for explicit in ["user:kit", "WAPPUSH=kit/TYPE=USER@p"] {
            assert_eq!(names(meanings(explicit)), ["user kit"], "{explicit}");
        }
        assert_eq!(names(to_the_letter("kit")), ["user kit"]);
    }

    #[test]
    fn what_is_wrong_with_an_unknown_address_can_be_said() {
        assert_eq!(why_unknown("kit"), Unknown::Word("kit".into()));
        assert_eq!(why_unknown("WAPPUSH=kit/TYPE=USER@p"), Unknown::Word("kit".into()));
        assert_eq!(why_unknown("WAPPUSH=1.2.3.4/TYPE=IPv4@p"), Unknown::Type("IPv4".into()));
        assert_eq!(why_unknown("WAPPUSH=abc/TYPE=PLMN@p"), Unknown::Unreadable(AddressError::NotANumber("abc".into())));
        for nobody in ["group:kit", "user:kit", "a@b.c", "sip:a@b.c", "+1555"] {
            assert_eq!(why_unknown(nobody), Unknown::Nobody, "{nobody}");
        }
    }
}
