//! Result notifications that wait to be posted. A trigger in `schema.sql` puts them there.

use rusqlite::params;

use super::duplicates::original;
use super::submit::{UNCONFIRMED, priority};
use super::{Notification, Notify, Result, Store, views};
use crate::clock::Millis;

impl Store {
    /// The next notifications that are due, the longest waiting first.
    pub async fn due_notifications(&self, now: Millis, limit: usize) -> Result<Vec<Notification>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT d.address, d.state, d.code, d.recipients, d.delivered, d.refused, d.gone, d.event_at, o.dispatch,
                        p.notify, p.notify_form, p.sender, p.push_id, p.created_at, o.begun_at, o.attempts, p.delivery, p.priority
                 FROM outbox o JOIN dispatches d ON d.id = o.dispatch JOIN pushes p ON p.id = d.push
                 WHERE o.given_up = 0 AND o.next_at <= ?1 ORDER BY o.next_at LIMIT ?2",
            )?;
            let rows = query.query_map(params![now, limit as i64], |row| {
                Ok(Notification {
                    address: views::address_row(row)?,
                    dispatch: row.get(8)?,
                    notify: Notify { url: row.get(9)?, form: row.get(10)?, sender: row.get(11)? },
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
