//! Layers: built-in < file < environment < flags. Every layer is checked as it is laid on, so that an error names the
//! layer it came from.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Config, effective, names};

/// The commented default, also printed by `papcast config default`.
pub const DEFAULT_TOML: &str = include_str!("../../broker.toml");

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{place}: not TOML: {message}")]
    Syntax { place: String, message: String },
    #[error("{place}: {key}: {message}")]
    Key { place: String, key: String, message: String },
}

/// Reads the configuration: the built-in defaults, then `file` if given, then `env` (pairs of name and value, of which
/// those that start with `PAPCAST_` count), then `flags` (pairs of dotted key and value).
pub fn load(
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    flags: &[(&str, String)],
) -> Result<Config, ConfigError> {
    let mut table = parse_table(DEFAULT_TOML, "the built-in broker.toml")?;
    let built_in = table.clone();
    let mut config = decode(&table, "the built-in broker.toml")?;
    let mut layers: Vec<(String, Table)> = Vec::new();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let place = path.display().to_string();
        let layer = parse_table(&text, &place)?;
        merge(&mut table, layer.clone());
        config = decode(&table, &place)?;
        layers.push((place, layer));
    }
    let defaults = table.clone();
    let mut variables: Vec<(String, String)> = env.into_iter().filter(|(name, _)| names::is_setting(name)).collect();
    variables.sort();
    for (name, text) in variables {
        let place = format!("environment variable {name}");
        config = lay_on(&mut table, &mut layers, &names::key_of(&name), &text, place)
            .map_err(|error| with_nearest(error, &name, &defaults))?;
    }
    for (key, text) in flags {
        config = lay_on(&mut table, &mut layers, key, text, "command line".to_owned())?;
    }
    // Only the whole can be checked for what is possible: a later layer may mend an earlier one.
    config.check().map_err(|(key, expected)| {
        let last = |key: &str| layers.iter().rev().find(|(_, layer)| sets(layer, key)).map(|(place, _)| place.clone());
        // A key may be impossible because of another one of its section.
        let section = key.split(['.', '[']).next().unwrap_or_default();
        let place = last(&key).or_else(|| last(section)).unwrap_or_else(|| "the built-in broker.toml".into());
        ConfigError::Key { place, key, message: format!("expected {expected}") }
    })?;
    reachable(&config, &layers)?;
    config.settings = effective::settings(&built_in, &table, &layers);
    Ok(config)
}

/// What is odd about a configuration, and stops nothing: variables that were meant to set something, limits that another
/// limit keeps from ever being reached.
#[must_use]
pub fn doubts(config: &Config, env: &[(String, String)]) -> Vec<String> {
    let Ok(defaults) = parse_table(DEFAULT_TOML, "the built-in broker.toml") else { return Vec::new() };
    let mut found: Vec<String> = env.iter().filter_map(|(name, _)| names::doubt(name, &defaults)).collect();
    found.sort();
    found.extend(super::exposure::exposures(config));
    if let Some((low, high)) = unreachable(config) {
        found.push(format!("{low} is smaller than {high}, which can never be reached"));
    }
    found
}

/// A size that cannot be reached because of another one: the smaller key and the larger one.
fn unreachable(config: &Config) -> Option<(&'static str, &'static str)> {
    let body = config.http.max_body;
    let pairs = [
        ("push.max_content", config.push.max_content),
        ("pap.max_value", config.pap.max_value),
        ("pap.max_header_line", config.pap.max_header_line),
    ];
    pairs.into_iter().find(|(_, size)| *size > body).map(|(key, _)| ("http.max_body", key))
}

/// Whoever sets a size means to reach it. A limit of the default that is not reached because another one was lowered is
/// only told, by [`doubts`].
fn reachable(config: &Config, layers: &[(String, Table)]) -> Result<(), ConfigError> {
    let Some((low, high)) = unreachable(config) else { return Ok(()) };
    match layers.iter().rev().find(|(_, layer)| sets(layer, high)) {
        None => Ok(()),
        Some((place, _)) => Err(ConfigError::Key {
            place: place.clone(),
            key: high.to_owned(),
            message: format!(
                "expected at most {low}, which is {}: raise that, too, or lower this",
                config.http.max_body
            ),
        }),
    }
}

/// A variable that sets nothing: which one was meant?
fn with_nearest(error: ConfigError, variable: &str, defaults: &Table) -> ConfigError {
    match error {
        ConfigError::Key { place, key, message } if message.starts_with("unknown field") => {
            let hint = names::nearest_variable(variable, defaults).map(|near| format!("; did you mean {near}?"));
            ConfigError::Key { place, key, message: message + &hint.unwrap_or_default() }
        }
        other => other,
    }
}

/// Lays one key on.
fn lay_on(
    table: &mut Table,
    layers: &mut Vec<(String, Table)>,
    key: &str,
    text: &str,
    place: String,
) -> Result<Config, ConfigError> {
    set(table, key, text, &place)?;
    let config = decode(table, &place)?;
    let mut layer = Table::new();
    set(&mut layer, key, text, &place)?;
    layers.push((place, layer));
    Ok(config)
}

/// Whether a layer says something about the section and entry that a faulty key is in.
fn sets(layer: &Table, key: &str) -> bool {
    let mut parts = key.split(['.', '[']);
    let section = parts.next().and_then(|section| layer.get(section));
    match (section, parts.next()) {
        (Some(Value::Table(section)), Some(entry)) => section.contains_key(entry.trim_matches('"')),
        (found, _) => found.is_some(),
    }
}

fn parse_table(text: &str, place: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        place: place.to_owned(),
        message: error.to_string().trim().to_owned(),
    })
}

fn decode(table: &Table, place: &str) -> Result<Config, ConfigError> {
    serde_path_to_error::deserialize(Value::Table(table.clone())).map_err(|error| ConfigError::Key {
        place: place.to_owned(),
        key: error.path().to_string(),
        message: error.inner().message().to_owned(),
    })
}

/// Tables are merged key by key; anything else, lists too, replaces what was there.
fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(over)) => merge(inner, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Sets one dotted key from text. The text is read as what the key holds today; a new key is taken as text.
fn set(table: &mut Table, key: &str, text: &str, place: &str) -> Result<(), ConfigError> {
    let fault =
        |message: &str| ConfigError::Key { place: place.to_owned(), key: key.to_owned(), message: message.to_owned() };
    let mut at = table;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_some() {
            let inner = at.entry(part).or_insert_with(|| Value::Table(Table::new()));
            at = inner.as_table_mut().ok_or_else(|| fault("is not a section"))?;
            continue;
        }
        let value = match at.get(part) {
            Some(Value::Integer(_)) => {
                text.parse().map(Value::Integer).map_err(|_| fault("expected a whole number"))?
            }
            Some(Value::Boolean(_)) => text.parse().map(Value::Boolean).map_err(|_| fault("expected true or false"))?,
            Some(Value::Array(_) | Value::Table(_)) => {
                return Err(fault("a list or section cannot be set here; use a file"));
            }
            _ => Value::String(text.to_owned()),
        };
        at.insert(part.to_owned(), value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my.toml");
        std::fs::write(&path, text).unwrap();
        load(Some(&path), [], &[]).map_err(|error| error.to_string().replace(&path.display().to_string(), "my.toml"))
    }

    fn env(name: &str, value: &str) -> Result<Config, String> {
        load(None, [(name.to_owned(), value.to_owned())], &[]).map_err(|error| error.to_string())
    }

    #[test]
    fn the_built_in_default_is_valid() {
        let config = load(None, [], &[]).unwrap();
        assert_eq!(config.http.listen[0].port(), 8080);
        assert_eq!(config.store.path, Path::new("papcast.db"));
    }

    #[test]
    fn layers_override_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my.toml");
        std::fs::write(&path, "[http]\nlisten = \"127.0.0.1:1\"\n[mqtt]\nlisten = \"127.0.0.1:2\"\n").unwrap();
        let env = [("PAPCAST_MQTT__LISTEN".to_owned(), "127.0.0.1:3".to_owned())];
        let config = load(Some(&path), env, &[("store.path", "x.db".to_owned())]).unwrap();
        assert_eq!(config.http.listen[0].port(), 1);
        assert_eq!(config.mqtt.listen[0].port(), 3);
        assert_eq!(config.store.path, Path::new("x.db"));
    }

    #[test]
    fn errors_name_layer_key_and_expectation() {
        let error = load_text("[http]\nlissten = \"127.0.0.1:1\"\n").unwrap_err();
        assert!(
            error.starts_with("my.toml: http.lissten: unknown field `lissten`, expected one of `listen`"),
            "{error}"
        );
        let error = load_text("[push]\ndefault_ttl = \"soon\"\n").unwrap_err();
        assert_eq!(error, "my.toml: push.default_ttl: \"soon\" is not a duration such as \"90s\" or \"24h\"");
        let error = load_text("[mqtt]\ninflight = 0\n").unwrap_err();
        assert_eq!(error, "my.toml: mqtt.inflight: expected a value from 1 to 1024, found 0");
        let error = load_text("[auth]\nmode = \"maybe\"\n").unwrap_err();
        assert!(error.starts_with("my.toml: auth.mode: unknown variant `maybe`"), "{error}");
        let error = load_text("[mqtt\n").unwrap_err();
        assert!(error.starts_with("my.toml: not TOML"), "{error}");
        let error = env("PAPCAST_STORE__READERS", "two").unwrap_err();
        assert_eq!(error, "environment variable PAPCAST_STORE__READERS: store.readers: expected a whole number");
        let error = env("PAPCAST_MQTT__INFLIGHT", "0").unwrap_err();
        assert_eq!(
            error,
            "environment variable PAPCAST_MQTT__INFLIGHT: mqtt.inflight: expected a value from 1 to 1024, found 0"
        );
        let error = env("PAPCAST_PUSH__MAX_TTL", "1h").unwrap_err();
        assert_eq!(
            error,
            "environment variable PAPCAST_PUSH__MAX_TTL: push.default_ttl: expected at most push.max_ttl"
        );
        let error = env("PAPCAST_HTTP__LISTEN", "nowhere").unwrap_err();
        assert!(error.starts_with("environment variable PAPCAST_HTTP__LISTEN: http.listen: "), "{error}");
    }

    #[test]
    fn values_that_are_wrong_were_valid() {
        for level in ["loud", "info,loud", "papcast=noisy", "", "=info"] {
            let error = load_text(&format!("[log]\nlevel = \"{level}\"\n")).unwrap_err();
            assert!(error.starts_with("my.toml: log.level: expected error, warn, info, debug, trace"), "{error}");
            assert!(error.contains(&format!("found {level:?}")), "{error}");
        }
        for level in ["off", "WARN", "papcast::mqtt=debug,info", "info,papcast::store=trace"] {
            assert!(load_text(&format!("[log]\nlevel = \"{level}\"\n")).is_ok(), "{level}");
        }
        let error = load_text("[push]\nmax_content = 99_999_999\n").unwrap_err();
        assert_eq!(
            error,
            "my.toml: push.max_content: expected at most http.max_body, which is 1048576: raise that, too, or lower this"
        );
        assert!(load_text("[push]\nmax_content = 99_999_999\n[http]\nmax_body = 100_000_000\n").is_ok());
        let error = env("PAPCAST_HTP__LISTEN", "127.0.0.1:0").unwrap_err();
        assert!(error.ends_with("did you mean PAPCAST_HTTP__LISTEN?"), "{error}");
    }

    #[test]
    fn a_limit_that_another_one_keeps_from_being_reached_is_told() {
        let lowered = load_text("[http]\nmax_body = 100000\n").unwrap();
        assert_eq!(
            doubts(&lowered, &[]),
            ["http.max_body is smaller than push.max_content, which can never be reached"]
        );
        assert_eq!(doubts(&load(None, [], &[]).unwrap(), &[]), Vec::<String>::new());
    }

    #[test]
    fn an_address_that_is_none_is_shown_with_an_example() {
        for bad in ["127.0.0.1:99999", "localhost:8080", "8080", ":8080"] {
            let error = load_text(&format!("[mqtt]\nlisten = {bad:?}\n")).unwrap_err();
            assert_eq!(
                error,
                format!(
                    "my.toml: mqtt.listen: {bad:?} is not an IP address with a port (0 to 65535) such as \"127.0.0.1:8080\" or \"[::1]:8080\""
                )
            );
        }
    }

    #[test]
    fn an_open_gateway_stays_on_loopback_unless_told() {
        let error = env("PAPCAST_MQTT__LISTEN", "0.0.0.0:1883").unwrap_err();
        assert!(error.contains("mqtt.listen: expected a loopback address"), "{error}");
        let text = "[mqtt]\nlisten = \"0.0.0.0:1883\"\n[auth]\nallow_open_on_network = true\n";
        assert!(load_text(text).is_ok());
    }
}
