//! Timestamps. The specification has one form, `YYYY-MM-DDThh:mm:ssZ` (WAP-247 §8.2); initiators have more.

use time::{Date, Month, PrimitiveDateTime, Time};

/// Seconds since 1970, UTC.
pub type Seconds = i64;

/// Reads a timestamp; with it comes whether it was bent. Accepted beyond the form: blanks around it, lower case, a blank
/// for the `T`, no seconds, a fraction, an offset, no zone at all (taken as UTC), and days that a month does not have (its
/// last day is meant).
/// Empty text is no timestamp and no error.
#[must_use]
pub fn parse(raw: &str) -> Option<(Seconds, bool)> {
    let text = raw.trim();
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 16 {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u16> {
        let digits = &text[from..to];
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let separators = bytes[4] == b'-' && bytes[7] == b'-' && bytes[13] == b':';
    if !separators || !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let has_seconds = bytes.get(16) == Some(&b':') && bytes.len() >= 19;
    let (second, rest) = if has_seconds { (number(17, 19)?, &text[19..]) } else { (0, &text[16..]) };
    let (hour, minute) = (number(11, 13)?, number(14, 16)?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let last = month.length(i32::from(year));
    let wanted = u8::try_from(day).ok().filter(|day| (1..=31).contains(day))?;
    let date = Date::from_calendar_date(i32::from(year), month, wanted.min(last)).ok()?;
    // A leap second is the second before it.
    let leap = second == 60;
    let time = Time::from_hms(
        u8::try_from(hour).ok()?,
        u8::try_from(minute).ok()?,
        if leap { 59 } else { u8::try_from(second).ok()? },
    )
    .ok()?;
    let offset = zone(rest)?;
    let at = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp() - offset;
    let exact = has_seconds && raw.len() == 20 && rest == "Z" && bytes[10] == b'T' && wanted <= last && !leap;
    Some((at, !exact))
}

/// What follows the seconds: a fraction, then `Z`, an offset in seconds, or nothing.
fn zone(text: &str) -> Option<i64> {
    let text = match text.strip_prefix(['.', ',']) {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => text,
    };
    if matches!(text, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let mut digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if digits.len() == 2 {
        digits.push_str("00");
    }
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Writes the one form.
#[must_use]
pub fn format(at: Seconds) -> String {
    let form = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let at = time::OffsetDateTime::from_unix_timestamp(at.clamp(0, 253_402_300_799));
    at.ok().and_then(|at| at.format(&form).ok()).unwrap_or_else(|| "1970-01-01T00:00:00Z".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_form() {
        assert_eq!(parse("2006-03-01T13:30:00Z"), Some((1_141_219_800, false)));
        assert_eq!(format(1_141_219_800), "2006-03-01T13:30:00Z");
    }

    #[test]
    fn the_wild() {
        assert_eq!(parse("2006-03-01t13:30:00z"), Some((1_141_219_800, true)));
        assert_eq!(parse("2006-03-01T13:30:00.123Z"), Some((1_141_219_800, true)));
        assert_eq!(parse("2006-03-01T15:30:00+02:00"), Some((1_141_219_800, true)));
        assert_eq!(parse("2006-03-01T13:30:00"), Some((1_141_219_800, true)));
        assert_eq!(parse("2009-09-31T00:00:00Z"), parse("2009-09-30T00:00:00Z").map(|(at, _)| (at, true)));
    }

    #[test]
    fn the_impossible() {
        for text in [
            "",
            "tomorrow",
            "2006-13-01T00:00:00Z",
            "2006-01-00T00:00:00Z",
            "2006-01-32T00:00:00Z",
            "2006-01-01T24:00:00Z",
            "2006-01-01T00:00:00Q",
            "2006-01-01T00:00:00+99:00",
            "２００６-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
