//! Durations as people write them: `"90s"`, `"24h"`, `"7days"`.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|_| D::Error::custom(format!("{text:?} is not a duration such as \"90s\" or \"24h\"")))
}
