//! Cancelling: what nobody has been promised an answer for any more (docs/ledger.md, rules 3 and 17).

use std::collections::HashSet;

use rusqlite::{OptionalExtension, params};

use super::{Cancelled, Result, State, Store, dispatch};
use crate::clock::Millis;

impl Store {
    /// Cancels a push for these addresses, or for all where none is named. `None` for an unknown push. All cursors have
    /// to be settled before this.
    pub async fn cancel(
        &self,
        initiator: String,
        push_id: String,
        addresses: Vec<String>,
        now: Millis,
    ) -> Result<Option<Cancelled>> {
        self.write(move |tx| {
            let push: Option<i64> = tx
                .sql
                .prepare_cached("SELECT id FROM pushes WHERE initiator = ?1 AND push_id = ?2")?
                .query_row([&initiator, &push_id], |row| row.get(0))
                .optional()?;
            let Some(push) = push else { return Ok(None) };
            let rows: Vec<(i64, String, Option<i64>, i64)> = tx
                .sql
                .prepare_cached("SELECT id, address, seq, state FROM dispatches WHERE push = ?1 ORDER BY position")?
                .query_map([push], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let wanted: HashSet<&str> = addresses.iter().map(String::as_str).collect();
            let mut cancelled = Cancelled::default();
            for (row, address, seq, state) in rows {
                if !wanted.is_empty() && !wanted.contains(address.as_str()) {
                    continue;
                }
                if !matches!(State::from_number(state), State::Scheduled | State::Pending) {
                    cancelled.too_late.push(address);
                    continue;
                }
                tx.sql
                    .prepare_cached("UPDATE dispatches SET state = ?2, code = ?3, event_at = ?4 WHERE id = ?1")?
                    .execute(params![row, State::Cancelled.number(), dispatch::OK, now])?;
                cancelled.seqs.extend(seq);
                cancelled.done.push(address);
            }
            let known: HashSet<&str> = cancelled.done.iter().chain(&cancelled.too_late).map(String::as_str).collect();
            cancelled.unknown = addresses.iter().filter(|address| !known.contains(address.as_str())).cloned().collect();
            Ok(Some(cancelled))
        })
        .await
    }
}
