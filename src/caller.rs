//! Who is asking: the one answer that every door gives (MQTT, PAP, JSON API, console).

use crate::ids::UserId;

/// What a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Device,
    Initiator,
    Operator,
}

impl Kind {
    /// As commands and messages have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Initiator => "initiator",
            Self::Operator => "operator",
        }
    }
}

/// What an operator may do: look, or act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Viewer,
    Operator,
}

impl Role {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// Whose credential a connection has signed in with. It ends with that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Login {
    pub kind: Kind,
    /// None: whoever has that token.
    pub name: Option<String>,
    /// One token of it, or the key that has signed it; none means all.
    pub hash: Option<[u8; 32]>,
}

/// Who submits where nobody has to say who he is.
const ANONYMOUS: &str = "anonymous";

/// How operators name themselves towards MQTT, and what their own pushes are filed under.
pub const OPERATOR_PREFIX: &str = "$operator/";

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// `auth.mode = "open"`: everybody is believed. An initiator may have said its name.
    Anybody {
        initiator: Option<String>,
    },
    /// Nobody signed in, where that is required.
    Stranger,
    /// A terminal, for this user and no other.
    Device(UserId),
    Initiator(String),
    Operator {
        name: String,
        role: Role,
    },
}

impl Caller {
    /// The user that a device acts for.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        if let Self::Device(user) = self { Some(user) } else { None }
    }

    /// Whose push-ids these are: they are unique for each initiator.
    #[must_use]
    pub fn initiator(&self) -> String {
        match self {
            Self::Anybody { initiator: Some(name) } | Self::Initiator(name) => name.clone(),
            Self::Operator { name, .. } => format!("{OPERATOR_PREFIX}{name}"),
            Self::Anybody { initiator: None } | Self::Stranger | Self::Device(_) => ANONYMOUS.to_owned(),
        }
    }

    /// Who it is, for what is written down of his acts.
    #[must_use]
    pub fn hand(&self) -> String {
        match self {
            Self::Operator { name, .. } => name.clone(),
            Self::Device(user) => user.to_string(),
            other => other.initiator(),
        }
    }
}

/// Longest name of an initiator or an operator in bytes.
pub const NAME_MAX: usize = 64;

/// Whether this can be the name of an initiator or an operator. A colon would end it in HTTP Basic (RFC 7617 §2); what begins
/// with `$` is the gateway's own, and so is `anonymous`.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(format!("a name has 1 to {NAME_MAX} bytes"));
    }
    if name.contains(':') || name.starts_with('$') || name.chars().any(char::is_control) {
        return Err(format!("the name {name:?} has a colon, a control character or a \"$\" at its beginning"));
    }
    if name == "*" {
        return Err("\"*\" stands for all initiators".to_owned());
    }
    if name == ANONYMOUS {
        return Err(format!("{ANONYMOUS:?} stands for those who do not say who they are"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_colon_and_are_nobody_elses() {
        for good in ["billing", "Müller & Söhne", "a/b", &"x".repeat(64)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "*", "a:b", "$operator/x", "a\nb", "anonymous", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn operators_have_push_ids_of_their_own() {
        let operator = Caller::Operator { name: "ann".into(), role: Role::Operator };
        assert_eq!(operator.initiator(), "$operator/ann");
        assert_eq!(Caller::Initiator("ann".into()).initiator(), "ann");
        assert_eq!(Caller::Anybody { initiator: None }.initiator(), "anonymous");
    }
}
