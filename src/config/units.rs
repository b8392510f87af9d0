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

/// One address, or a list of them.
pub(super) fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Said {
        One(String),
        Many(Vec<String>),
    }
    let said = Said::deserialize(deserializer)
        .map_err(|_| D::Error::custom("expected an address such as \"127.0.0.1:8080\", or a list of addresses"))?;
    match said {
        // The default of what is off.
        Said::One(text) if text.is_empty() => Ok(Vec::new()),
        Said::One(text) => parse(&text).map(|address| vec![address]),
        Said::Many(texts) => texts.iter().map(|text| parse(text)).collect(),
    }
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
