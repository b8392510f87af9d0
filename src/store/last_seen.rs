//! What is known of the terminals of a user: the one that was seen last counts.

use rusqlite::{Connection, OptionalExtension};

use super::{LastSeen, Result};

/// The terminal of a user that was seen last, and whether it has a session.
const LAST_SEEN: &str = "
    SELECT t.seen_at, t.gone, t.maximum_packet, t.seen_at IS NOT NULL OR EXISTS (SELECT 1 FROM sessions WHERE user = ?1)
    FROM (SELECT 1) LEFT JOIN
        (SELECT seen_at, gone, maximum_packet FROM terminals WHERE user = ?1 ORDER BY seen_at DESC LIMIT 1) t";

/// `has_answered`: a terminal of the user has acknowledged something.
pub(super) fn of_user(sql: &Connection, user: &str, has_answered: bool) -> Result<LastSeen> {
    let mut query = sql.prepare_cached(LAST_SEEN)?;
    let seen = query.query_row([user], |row| {
        let was_here: bool = row.get(3)?;
        Ok(LastSeen {
            at: row.get(0)?,
            gone: row.get(1)?,
            maximum_packet: row.get(2)?,
            was_here: was_here || has_answered,
        })
    });
    Ok(seen?)
}

/// Whether a terminal of the user was ever here, as far as it is remembered.
pub(super) fn was_here(sql: &Connection, user: &str) -> Result<bool> {
    let mut query = sql.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM terminals WHERE user = ?1) OR EXISTS (SELECT 1 FROM sessions WHERE user = ?1)",
    )?;
    Ok(query.query_row([user], |row| row.get(0))?)
}

/// The MQTT version of the terminal that was seen last.
pub(super) fn protocol(sql: &Connection, user: &str) -> Result<Option<String>> {
    let mut query =
        sql.prepare_cached("SELECT protocol FROM terminals WHERE user = ?1 ORDER BY seen_at DESC LIMIT 1")?;
    Ok(query.query_row([user], |row| row.get(0)).optional()?)
}
