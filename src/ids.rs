//! The two names papcast knows, user ID and group ID, and the one MQTT topic each of them maps to.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Longest user ID in bytes of UTF-8.
pub const USER_MAX: usize = 255;
/// Longest group ID in bytes of UTF-8.
pub const GROUP_MAX: usize = 128;

/// First topic level of pushes to a group.
pub const GROUP_PREFIX: &str = "groups/";
/// First topic level of pushes to a user.
pub const USER_PREFIX: &str = "users/";

/// What is written raw in a topic level; everything else is percent-encoded, so `/ + # % $`, blanks and non-ASCII
/// never appear in one.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'!')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b',')
    .remove(b';')
    .remove(b'=');

/// Why a text is not an ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("a {0} ID is empty")]
    Empty(&'static str),
    #[error("a {kind} ID has {length} bytes, more than the limit of {limit}")]
    TooLong { kind: &'static str, length: usize, limit: usize },
    #[error("a {0} ID has a control character in it")]
    Control(&'static str),
}

/// A subscriber: a SIP URI, a `tel:` number, or any plain text of 1 to 255 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

/// A group: 1 to 128 bytes of UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(Arc<str>);

impl UserId {
    /// Checks and normalises: visual separators are removed from what starts with `tel:` (RFC 3966 §5.1.1), so that
    /// every spelling of a number is one subscriber.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let number = text.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("tel:")).map(|_| &text[4..]);
        let normal: Arc<str> = match number {
            Some(number) => {
                let kept: String = number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect();
                format!("tel:{kept}").into()
            }
            None => text.into(),
        };
        check("user", &normal, USER_MAX)?;
        Ok(Self(normal))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GroupId {
    pub fn parse(text: &str) -> Result<Self, IdError> {
        check("group", text, GROUP_MAX)?;
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The topic of this group, for example `groups/news`.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("{GROUP_PREFIX}{}", encode_level(&self.0))
    }
}

fn check(kind: &'static str, text: &str, limit: usize) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty(kind));
    }
    if text.len() > limit {
        return Err(IdError::TooLong { kind, length: text.len(), limit });
    }
    if text.chars().any(char::is_control) {
        return Err(IdError::Control(kind));
    }
    Ok(())
}

macro_rules! shown_as_text {
    ($($id:ty),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    )*};
}
shown_as_text!(UserId, GroupId);

/// Who may join a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JoinPolicy {
    /// Everybody.
    Open,
    /// Whom an operator lets in, one by one.
    Approval,
    /// Nobody; only an operator binds.
    Closed,
}

impl JoinPolicy {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approval => "approval",
            Self::Closed => "closed",
        }
    }
}

/// What a submission is whose push-id its initiator has used before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// Refused while the first push is kept.
    Reject,
    /// Refused until the first push is over.
    RejectPending,
    /// Another push; the first one goes on.
    Accept,
}

/// Where a push can go: to the members of a group or to one user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    Group(GroupId),
    User(UserId),
}

impl Target {
    /// The MQTT topic terminals see for this target.
    #[must_use]
    pub fn topic(&self) -> String {
        match self {
            Self::Group(id) => id.topic(),
            Self::User(id) => format!("{USER_PREFIX}{}", encode_level(id.as_str())),
        }
    }

    /// The bare ID.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Group(id) => id.as_str(),
            Self::User(id) => id.as_str(),
        }
    }

    /// Reads a topic back. `None` where it is not `groups/<level>` or `users/<level>` with the level encoded exactly as
    /// [`Target::topic`] does: two spellings of one group would be two topics to a client that compares strings.
    #[must_use]
    pub fn from_topic(topic: &str) -> Option<Self> {
        let target = if let Some(level) = topic.strip_prefix(GROUP_PREFIX) {
            Self::Group(GroupId::parse(&decode_level(level)?).ok()?)
        } else {
            Self::User(UserId::parse(&decode_level(topic.strip_prefix(USER_PREFIX)?)?).ok()?)
        };
        (target.topic() == topic).then_some(target)
    }
}

/// Percent-encodes an ID into one topic level.
#[must_use]
pub fn encode_level(id: &str) -> String {
    utf8_percent_encode(id, ENCODED).to_string()
}

fn decode_level(level: &str) -> Option<String> {
    percent_decode_str(level).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_becomes_one_topic_level() {
        let topic = |id: &str| GroupId::parse(id).unwrap().topic();
        assert_eq!(topic("news"), "groups/news");
        assert_eq!(topic("a/b+c#d%e$f g"), "groups/a%2Fb%2Bc%23d%25e%24f%20g");
        assert_eq!(topic("é"), "groups/%C3%A9");
        assert_eq!(topic("-._~:@!'()*,;="), "groups/-._~:@!'()*,;=");
    }

    #[test]
    fn a_topic_reads_back_only_in_its_one_spelling() {
        for id in ["news", "a/b", "é", "100%", "sip:a@b.c"] {
            let target = Target::Group(GroupId::parse(id).unwrap());
            assert_eq!(Target::from_topic(&target.topic()), Some(target));
        }
        for bad in
            ["groups/", "groups/a/b", "groups/é", "groups/a%2fb", "groups/%41", "groups/%zz", "groups/a b", "x/y"]
        {
            assert_eq!(Target::from_topic(bad), None, "{bad}");
        }
    }

    #[test]
    fn telephone_numbers_lose_their_separators() {
        assert_eq!(UserId::parse("TEL:+49 (151) 12-34.5").unwrap().as_str(), "tel:+4915112345");
        assert_eq!(UserId::parse("sip:a-b@c").unwrap().as_str(), "sip:a-b@c");
    }

    #[test]
    fn limits_are_bytes() {
        assert!(GroupId::parse(&"x".repeat(128)).is_ok());
        assert_eq!(GroupId::parse(&"é".repeat(65)), Err(IdError::TooLong { kind: "group", length: 130, limit: 128 }));
        assert_eq!(UserId::parse(""), Err(IdError::Empty("user")));
        assert_eq!(UserId::parse("a\0b"), Err(IdError::Control("user")));
    }
}
