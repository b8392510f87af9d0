//! What operators changed: appended, never changed, and removed when it is old (history.keep).

use rusqlite::params;

use super::{AuditEntry, Result, Store};
use crate::clock::Millis;

impl Store {
    /// Writes down that somebody changed something.
    pub async fn record_act(
        &self,
        hand: String,
        act: &'static str,
        object: String,
        detail: String,
        now: Millis,
    ) -> Result<()> {
        self.write(move |tx| {
            tx.sql
                .prepare_cached("INSERT INTO audit (at, hand, act, object, detail) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![now, hand, act, object, detail])?;
            Ok(())
        })
        .await
    }

    /// What was changed, newest first, before this row.
    pub async fn audit(&self, before: i64, limit: usize) -> Result<Vec<AuditEntry>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT id, at, hand, act, object, detail FROM audit WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let rows = query.query_map(params![before, limit as i64], |row| {
                Ok(AuditEntry {
                    id: row.get(0)?,
                    at: row.get(1)?,
                    hand: row.get(2)?,
                    act: row.get(3)?,
                    object: row.get(4)?,
                    detail: row.get(5)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}
