//! What each initiator has under way and has submitted today: counted as pushes are taken, and by a trigger as they end.

use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Tx;
use super::{Limit, Result, Store, Submission};
use crate::clock::Millis;

/// Milliseconds of a day.
const DAY: Millis = 86_400_000;
/// Rows that one step forgets.
const STEP: i64 = 1_000;

/// The day of UTC.
fn day(now: Millis) -> i64 {
    now.div_euclid(DAY)
}

/// The limit that this push would exceed.
pub(super) fn over_limit(tx: &Tx<'_>, push: &Submission) -> Result<Option<Limit>> {
    let limits = &push.limits;
    if limits.size > 0 && tx.size()? > limits.size {
        return Ok(Some(Limit::Size));
    }
    let mut query = tx.sql.prepare_cached("SELECT pending, day, pushes FROM initiators WHERE name = ?1")?;
    let known = query.query_row([&push.initiator], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let (pending, of, pushes): (i64, i64, i64) = known.unwrap_or_default();
    let addresses = i64::try_from(push.addresses.len()).unwrap_or(i64::MAX);
    // What replaces a push takes the place of its addresses.
    if push.replace.is_none() && pending.saturating_add(addresses) > limits.pending {
        return Ok(Some(Limit::PendingOfInitiator));
    }
    let today = if of == day(push.now) { pushes } else { 0 };
    let is_too_much = |most: u32| today >= i64::from(most);
    Ok(limits.per_day.is_some_and(is_too_much).then_some(Limit::PushesOfDay))
}

/// A push was taken.
pub(super) fn count(tx: &Tx<'_>, push: &Submission) -> Result<()> {
    let addresses = i64::try_from(push.addresses.len()).unwrap_or(i64::MAX);
    tx.sql
        .prepare_cached(
            "INSERT INTO initiators (name, pending, day, pushes) VALUES (?1, ?2, ?3, 1)
             ON CONFLICT (name) DO UPDATE SET pending = pending + ?2, pushes = iif(day = ?3, pushes + 1, 1), day = ?3",
        )?
        .execute(params![push.initiator, addresses, day(push.now)])?;
    Ok(())
}

impl Store {
    /// Forgets initiators that have nothing under way and have submitted nothing today, some at a time; answers how many.
    pub async fn forget_initiators(&self, now: Millis) -> Result<usize> {
        const IDLE: &str = "pending <= 0 AND day < ?1";
        let find = move |sql: &Connection| {
            let mut query = sql.prepare_cached(&format!("SELECT name FROM initiators WHERE {IDLE} LIMIT ?2"))?;
            let rows = query.query_map([day(now), STEP], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<Vec<String>>>()?)
        };
        let found = self.read(find).await?;
        let count = found.len();
        if count > 0 {
            self.write(move |tx| {
                let mut delete =
                    tx.sql.prepare_cached(&format!("DELETE FROM initiators WHERE {IDLE} AND name = ?2"))?;
                found.iter().try_for_each(|name| delete.execute(params![day(now), name]).map(|_| ()))?;
                Ok(())
            })
            .await?;
        }
        Ok(count)
    }
}
