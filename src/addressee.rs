//! Whom the address of a push names: the one place where an address becomes a user or a group.

use crate::ids::{GroupId, Target, UserId};
use crate::pap::address::{self, Address, Kind};

/// What an address may mean, the literal reading first; empty where nobody can be meant by it. A later one counts where
/// nothing of an earlier one's name is known (compatibility table, A1 and A2): a number without its `+`, a port behind a
/// name.
#[must_use]
pub fn meanings(raw: &str) -> Vec<Target> {
    match address::parse(raw) {
        Ok(Address::Client(client)) => match client.kind {
            Kind::Group => GroupId::parse(&client.value).ok().map(Target::Group).into_iter().collect(),
            Kind::Plmn => number(&client.value).into_iter().collect(),
            Kind::User => named(&client.value),
            Kind::Other(_) => Vec::new(),
        },
        Ok(Address::Bare(text)) => match text.strip_prefix("%24") {
            Some(group) => GroupId::parse(group).ok().map(Target::Group).into_iter().collect(),
            None => named(&text),
        },
        Err(_) => Vec::new(),
    }
}

/// `group:<id>` and `$<id>` are groups, `user:<id>` and anything else is a user; an international number is a `tel:` URI.
fn named(text: &str) -> Vec<Target> {
    if let Some(group) = text.strip_prefix("group:").or_else(|| text.strip_prefix('$')) {
        return GroupId::parse(group).ok().map(Target::Group).into_iter().collect();
    }
    let user = text.strip_prefix("user:").unwrap_or(text);
    if user.strip_prefix('+').is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit())) {
        return number(user).into_iter().collect();
    }
    let literal = UserId::parse(user).ok().map(Target::User);
    literal.into_iter().chain(without_port(user)).chain(national(user)).collect()
}

fn number(digits: &str) -> Option<Target> {
    UserId::parse(&format!("tel:{digits}")).ok().map(Target::User)
}

/// Digits alone: an MSISDN without its `+`.
fn national(user: &str) -> Option<Target> {
    let digits = user.len() >= 5 && user.bytes().all(|byte| byte.is_ascii_digit());
    number(&format!("+{user}")).filter(|_| digits)
}

/// `alice:100`: the port of an application behind a name. URIs keep what is theirs.
fn without_port(user: &str) -> Option<Target> {
    let (name, port) = user.rsplit_once(':')?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let scheme = user.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let is_uri = matches!(scheme.as_str(), "sip" | "sips" | "tel" | "urn");
    (is_port && !is_uri).then(|| UserId::parse(name).ok().map(Target::User))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(raw: &str) -> Vec<String> {
        let name = |target: &Target| match target {
            Target::Group(id) => format!("group {id}"),
            Target::User(id) => format!("user {id}"),
        };
        meanings(raw).iter().map(name).collect()
    }

    #[test]
    fn every_form_names_somebody() {
        for (raw, expected) in [
            ("group:news", &["group news"][..]),
            ("$IT", &["group IT"]),
            ("%24IT", &["group IT"]),
            ("WAPPUSH=news/TYPE=GROUP@p", &["group news"]),
            ("WAPPUSH=%24IT/TYPE=USER@p", &["group IT"]),
            ("WAPPUSH=group%3anews/TYPE=USER@p", &["group news"]),
            ("user:alice", &["user alice"]),
            ("alice", &["user alice"]),
            ("sip:alice@example.com:5060", &["user sip:alice@example.com:5060"]),
            ("+1-555-0100", &["user tel:+15550100"]),
            ("WAPPUSH=+15550100/TYPE=PLMN@p", &["user tel:+15550100"]),
            ("tel:+1 555 0100", &["user tel:+15550100"]),
        ] {
            assert_eq!(names(raw), expected, "{raw}");
        }
        for nobody in ["", "WAPPUSH=1.2.3.4/TYPE=IPv4@p", "WAPPUSH=abc/TYPE=PLMN@p", "group:"] {
            assert!(names(nobody).is_empty(), "{nobody}");
        }
    }

    #[test]
    fn what_initiators_bend_has_a_second_meaning() {
        for (raw, expected) in [
            ("15550100", &["user 15550100", "user tel:+15550100"][..]),
            ("WAPPUSH=15550100@p", &["user 15550100", "user tel:+15550100"]),
            ("WAPPUSH=alice%3A100/TYPE=USER@p", &["user alice:100", "user alice"]),
            ("bob@corp.example:7874", &["user bob@corp.example:7874", "user bob@corp.example"]),
            ("2100000A:100", &["user 2100000A:100", "user 2100000A"]),
            ("a:70000", &["user a:70000"]),
            ("1234", &["user 1234"]),
        ] {
            assert_eq!(names(raw), expected, "{raw}");
        }
    }
}
