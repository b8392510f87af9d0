//! Values as people write them: durations (`"90s"`, `"24h"`, `"7days"`), addresses to listen on, and paths.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|_| D::Error::custom(format!("{text:?} is not a duration such as \"90s\" or \"24h\"")))
}

/// One text, or a list of them; an empty one is what stands for nothing.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D, what: &str) -> Result<Vec<String>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Said {
        One(String),
        Many(Vec<String>),
    }
    match Said::deserialize(deserializer).map_err(|_| D::Error::custom(format!("expected {what}")))? {
        Said::One(text) if text.is_empty() => Ok(Vec::new()),
        Said::One(text) => Ok(vec![text]),
        Said::Many(texts) => Ok(texts),
    }
}

/// One address, or a list of them.
pub(super) fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts = one_or_many(deserializer, "an address such as \"127.0.0.1:8080\", or a list of addresses")?;
    texts.iter().map(|text| parse(text)).collect()
}

/// One path, or a list of them.
pub(super) fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let texts = one_or_many(deserializer, "a path, or a list of paths")?;
    Ok(texts.into_iter().map(PathBuf::from).collect())
}

fn parse<E: Error>(text: &str) -> Result<SocketAddr, E> {
    text.parse().map_err(|_| {
        E::custom(format!(
            "{text:?} is not an IP address with a port (0 to 65535) such as \"127.0.0.1:8080\" or \"[::1]:8080\""
        ))
    })
}

/// A path; none where it is empty.
pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| text.into()))
}
