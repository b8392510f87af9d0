//! Names of settings: which environment variables mean one, and what a name that means none was meant to be.

use toml::{Table, Value};

/// What environment variables of papcast begin with.
pub(super) const ENV_PREFIX: &str = "PAPCAST_";

/// Variables that are no settings of the gateway and still papcast's: the command line's, and the test harness's.
const OTHERS: [&str; 6] =
    ["PAPCAST_GATEWAY", "PAPCAST_TOKEN", "PAPCAST_TOKEN_FILE", "PAPCAST_CA", "PAPCAST_CLI_CONFIG", "PAPCAST_CRASH"];

/// The environment, as far as it may concern papcast. A value that is no Unicode is kept as well as it can be, so that it
/// is refused where it is read.
#[must_use]
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(ENV_PREFIX))
        .collect()
}

/// Whether this variable is laid on as a setting.
pub(super) fn is_setting(variable: &str) -> bool {
    variable.starts_with(ENV_PREFIX) && variable.contains("__")
}

/// The dotted key that a variable sets.
pub(super) fn key_of(variable: &str) -> String {
    variable.trim_start_matches(ENV_PREFIX).to_ascii_lowercase().replace("__", ".")
}

fn variable_of(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

/// What to say of a variable that sets nothing; nothing where it sets something, or is not papcast's.
pub(super) fn doubt(variable: &str, defaults: &Table) -> Option<String> {
    if !variable.starts_with(ENV_PREFIX) || is_setting(variable) || OTHERS.contains(&variable) {
        return None;
    }
    let hint = nearest_variable(variable, defaults).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Some(format!("the environment variable {variable} is no setting of papcast and is ignored{hint}"))
}

/// The variable of the setting whose name is nearest, where one is near.
pub(super) fn nearest_variable(variable: &str, defaults: &Table) -> Option<String> {
    let wanted = variable.trim_start_matches(ENV_PREFIX).to_ascii_lowercase().replace("__", "_");
    let near = |key: &String| distance(&wanted, &key.replace('.', "_"));
    let key = keys(defaults).into_iter().min_by_key(near)?;
    // A name may be wrong in a third of its letters.
    (near(&key) * 3 <= wanted.len()).then(|| variable_of(&key))
}

/// All keys that hold one value each.
fn keys(defaults: &Table) -> Vec<String> {
    let mut found = Vec::new();
    for (section, entries) in defaults {
        let Value::Table(entries) = entries else { continue };
        let single = entries.iter().filter(|(_, value)| !matches!(value, Value::Table(_) | Value::Array(_)));
        found.extend(single.map(|(entry, _)| format!("{section}.{entry}")));
    }
    found
}

/// How many letters have to be put in, left out or changed to make one text the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut above_left = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in to.iter().enumerate() {
            let changed = above_left + usize::from(letter != *other);
            above_left = row[column + 1];
            row[column + 1] = changed.min(above_left + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_with_one_underscore_was_ignored_in_silence() {
        let defaults: Table = super::super::DEFAULT_TOML.parse().unwrap();
        let near = |name: &str| nearest_variable(name, &defaults);
        assert_eq!(near("PAPCAST_HTTP_LISTEN").as_deref(), Some("PAPCAST_HTTP__LISTEN"));
        assert_eq!(near("PAPCAST_HTP__LISTEN").as_deref(), Some("PAPCAST_HTTP__LISTEN"));
        assert_eq!(near("PAPCAST_PUSH__MAX_CONTNET").as_deref(), Some("PAPCAST_PUSH__MAX_CONTENT"));
        assert_eq!(near("PAPCAST_SOMETHING_ELSE"), None);
        assert!(doubt("PAPCAST_HTTP_LISTEN", &defaults).unwrap().contains("did you mean PAPCAST_HTTP__LISTEN?"));
        assert!(doubt("PAPCAST_PORT_8080_TCP_PROTO", &defaults).unwrap().ends_with("ignored"));
        for silent in ["PATH", "PAPCAST_GATEWAY", "PAPCAST_TOKEN_FILE", "PAPCAST_CLI_CONFIG", "PAPCAST_HTTP__LISTEN"] {
            assert_eq!(doubt(silent, &defaults), None, "{silent}");
        }
        assert_eq!((distance("kitten", "sitting"), distance("", "ab"), distance("ab", "ab")), (3, 2, 0));
    }
}
