//! Wall-clock time as the rest of the program uses it: milliseconds since the Unix epoch, UTC.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// The latest instant we ever write down: 9999-12-31T23:59:59Z, the last one that RFC 3339 and PAP can express.
pub const END_OF_TIME: Millis = 253_402_300_799_000;

/// The current time. A clock set before 1970 counts as 1970.
#[must_use]
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(END_OF_TIME)
}

/// `2026-11-22T10:00:00Z`: whole seconds, UTC. This is the only form PAP knows (WAP-247 §8.2), and valid RFC 3339.
#[must_use]
pub fn format_utc(at: Millis) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    to_datetime(at).format(&form).unwrap_or_default()
}

/// `2026-11-22T10:00:00.123Z`: RFC 3339 with milliseconds, UTC.
#[must_use]
pub fn format_utc_millis(at: Millis) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let millis = at.clamp(0, END_OF_TIME) % 1000;
    to_datetime(at).format(&form).map(|text| format!("{text}.{millis:03}Z")).unwrap_or_default()
}

/// Reads an RFC 3339 timestamp (JSON API). `None` where it is not one.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Millis::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

fn to_datetime(at: Millis) -> OffsetDateTime {
    let seconds = at.clamp(0, END_OF_TIME) / 1000;
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_reads_back() {
        let at = 1_795_341_600_000;
        assert_eq!(format_utc(at), "2026-11-22T10:00:00Z");
        assert_eq!(parse_rfc3339("2026-11-22T10:00:00Z"), Some(at));
        assert_eq!(parse_rfc3339("2026-11-22T11:00:00.5+01:00"), Some(at + 500));
        assert_eq!(parse_rfc3339("tomorrow"), None);
    }

    #[test]
    fn times_outside_the_expressible_range_are_clamped() {
        assert_eq!(format_utc(-5), "1970-01-01T00:00:00Z");
        assert_eq!(format_utc(i64::MAX), "9999-12-31T23:59:59Z");
    }
}
