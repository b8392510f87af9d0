//! Result notifications that wait to be posted. A trigger in `schema.sql` puts them there.

use rusqlite::params;

use super::duplicates::original;
use super::numbers::{UNCONFIRMED, priority};
use super::{FailingReceiver, Notification, Notify, Result, Store, views};
use crate::clock::Millis;

/// Notifications that are looked at in one go, for however many receivers.
const PORTION: usize = 1_024;

impl Store {
    /// Notifications that are due: of each receiver the `share` that have waited longest. The first of every receiver come
    /// before the second of any, and those that were never tried before the others.
    pub async fn due_notifications(&self, now: Millis, share: usize) -> Result<Vec<Notification>> {
        self.read(move |sql| {
            // From one receiver to the next through the index, over whatever waits for each.
            let mut query = sql.prepare_cached(
                "WITH RECURSIVE receivers (name) AS (
                     SELECT min(receiver) FROM outbox WHERE given_up = 0
                     UNION ALL
                     SELECT (SELECT min(receiver) FROM outbox WHERE given_up = 0 AND receiver > name)
                     FROM receivers WHERE name IS NOT NULL),
                 due AS (
                     SELECT o.*, row_number() OVER (PARTITION BY o.receiver ORDER BY o.next_at) AS place
                     FROM receivers r JOIN outbox o ON o.dispatch IN (
                         SELECT dispatch FROM outbox WHERE given_up = 0 AND receiver = r.name AND next_at <= ?1
                         ORDER BY next_at LIMIT ?2)
                     ORDER BY place, o.attempts > 0, o.next_at LIMIT ?3)
                 SELECT d.address, d.state, d.code, d.recipients, d.delivered, d.refused, d.gone, d.event_at, o.dispatch,
                        p.notify, p.notify_form, p.sender, p.push_id, p.created_at, o.begun_at, o.attempts, p.delivery, p.priority,
                        o.receiver
                 FROM due o JOIN dispatches d ON d.id = o.dispatch JOIN pushes p ON p.id = d.push
                 ORDER BY o.place, o.attempts > 0, o.next_at",
            )?;
            let rows = query.query_map(params![now, share as i64, PORTION as i64], |row| {
                Ok(Notification {
                    address: views::address_row(row)?,
                    dispatch: row.get(8)?,
                    notify: Notify {
                        url: row.get(9)?,
                        receiver: row.get(18)?,
                        form: row.get(10)?,
                        sender: row.get(11)?,
                    },
                    push_id: original(row.get(12)?),
                    created_at: row.get(13)?,
                    begun_at: row.get(14)?,
                    attempts: row.get(15)?,
                    confirmed: row.get::<_, i64>(16)? != UNCONFIRMED,
                    priority: priority(row.get(17)?),
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Who has not received what it was to be told: receivers with notifications that wait after a failure or were given up,
    /// those with the most first.
    pub async fn failing_receivers(&self, limit: usize) -> Result<Vec<FailingReceiver>> {
        self.read(move |sql| {
            // With max() beside them, the other columns are those of the row that has it.
            let mut query = sql.prepare_cached(
                "SELECT receiver, sum(given_up = 0), sum(given_up), max(begun_at), failure, min(CASE WHEN given_up = 0 THEN next_at END)
                 FROM outbox WHERE attempts > 0 GROUP BY receiver ORDER BY count(*) DESC, receiver LIMIT ?1",
            )?;
            let rows = query.query_map([limit as i64], |row| {
                Ok(FailingReceiver {
                    receiver: row.get(0)?,
                    waiting: row.get(1)?,
                    given_up: row.get(2)?,
                    failure: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
                    next_at: row.get(5)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// It was received.
    pub async fn notified(&self, dispatch: i64) -> Result<()> {
        self.write(move |tx| {
            tx.sql.prepare_cached("DELETE FROM outbox WHERE dispatch = ?1")?.execute([dispatch])?;
            Ok(())
        })
        .await
    }

    /// It was not. `next_at`: when to try again; none: never.
    pub async fn not_notified(&self, dispatch: i64, failure: String, next_at: Option<Millis>) -> Result<()> {
        self.write(move |tx| {
            tx.sql
                .prepare_cached(
                    "UPDATE outbox SET attempts = attempts + 1, failure = ?2, next_at = coalesce(?3, next_at),
                        given_up = ?3 IS NULL WHERE dispatch = ?1",
                )?
                .execute(params![dispatch, failure, next_at])?;
            Ok(())
        })
        .await
    }
}
