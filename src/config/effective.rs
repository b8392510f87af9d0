//! The settings as they are in force, for operators: each with its default, and with the place that has set it.

use toml::{Table, Value};

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Dotted, such as `http.listen`.
    pub key: String,
    /// In TOML.
    pub value: String,
    /// None where there is no such key by default, such as a further path for PAP.
    pub default: Option<String>,
    /// A file, a variable or the command line; none where it is the default.
    pub set_by: Option<String>,
    /// The gateway runs with another value, until a restart.
    pub needs_restart: bool,
}

/// All settings in order of their keys. `layers`: what was laid on the defaults, by its place, the last one counting most.
pub(super) fn settings(defaults: &Table, table: &Table, layers: &[(String, Table)]) -> Vec<Setting> {
    let defaults = leaves(defaults);
    let layers: Vec<(&str, Vec<(String, String)>)> =
        layers.iter().map(|(place, layer)| (place.as_str(), leaves(layer))).collect();
    let find =
        |all: &[(String, String)], key: &str| all.iter().find(|(of, _)| of == key).map(|(_, value)| value.clone());
    let setting = |(key, value): (String, String)| Setting {
        default: find(&defaults, &key),
        set_by: layers
            .iter()
            .rev()
            .find(|(_, layer)| find(layer, &key).is_some())
            .map(|(place, _)| (*place).to_owned()),
        needs_restart: false,
        key,
        value,
    };
    leaves(table).into_iter().map(setting).collect()
}

/// Marks those that a reload leaves as they are; `keys` are keys, and sections, of which those are meant that somebody sets. One that
/// nobody sets any more has changed, too.
#[must_use]
pub fn mark_for_restart(mut settings: Vec<Setting>, keys: &[&str]) -> Vec<Setting> {
    let is_one = |setting: &Setting| {
        keys.iter().any(|key| {
            let rest = setting.key.strip_prefix(key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.') && setting.set_by.is_some())
        })
    };
    for setting in &mut settings {
        setting.needs_restart = is_one(setting);
    }
    settings
}

/// Every key that has a value of its own, and the value in TOML.
fn leaves(table: &Table) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect("", table, &mut found);
    found.sort();
    found
}

fn collect(section: &str, table: &Table, found: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        let name = if plain && !name.is_empty() { name.clone() } else { Value::String(name.clone()).to_string() };
        let key = if section.is_empty() { name } else { format!("{section}.{name}") };
        match value {
            Value::Table(inner) => collect(&key, inner, found),
            value => found.push((key, value.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn each_setting_says_who_set_it() {
        let defaults = table("[http]\nlisten = \"a\"\nmax_body = 1\n");
        let file = table("[http]\nmax_body = 2\n[pap.endpoints.\"/x\"]\nstrict = true\n");
        let variable = table("[http]\nmax_body = 3\n");
        let whole = table("[http]\nlisten = \"a\"\nmax_body = 3\n[pap.endpoints.\"/x\"]\nstrict = true\n");
        let found = settings(&defaults, &whole, &[("my.toml".into(), file), ("environment".into(), variable)]);
        let shown: Vec<_> = found
            .iter()
            .map(|one| (one.key.as_str(), one.value.as_str(), one.default.as_deref(), one.set_by.as_deref()))
            .collect();
        assert_eq!(
            shown,
            [
                ("http.listen", "\"a\"", Some("\"a\""), None),
                ("http.max_body", "3", Some("1"), Some("environment")),
                ("pap.endpoints.\"/x\".strict", "true", None, Some("my.toml")),
            ]
        );
        let waiting = |keys: &[&str]| {
            let marked = mark_for_restart(found.clone(), keys).into_iter().filter(|one| one.needs_restart);
            marked.map(|one| one.key).collect::<Vec<_>>()
        };
        assert_eq!(waiting(&["http", "pap.endpoint"]), ["http.max_body"]);
        // It was taken out of the file: the gateway still runs with what stood there.
        assert_eq!(waiting(&["http.listen"]), ["http.listen"]);
    }
}
