//! Names on the command line: checked before anything is sent, so that an empty one does not become another path.

use crate::ids::{GroupId, UserId};

pub(super) fn group(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a group needs a name".into());
    }
    GroupId::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

pub(super) fn user(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a user needs a name".into());
    }
    UserId::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A number of things in words: "1 push", "50 pushes".
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
