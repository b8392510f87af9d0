//! How much there is of everything: for metrics, and for whoever asks how the gateway stands.

use super::{Result, Store};
use crate::clock::Millis;

/// Counts of what is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub users: i64,
    pub groups: i64,
    /// Users in groups, each counted once for each group.
    pub memberships: i64,
    /// Addresses of pushes that are not over.
    pub pending: i64,
    /// Those among them that are not due yet.
    pub scheduled: i64,
    /// Deliveries that are still owed.
    pub backlog: i64,
    /// Since when the oldest of them may be delivered.
    pub oldest: Option<Millis>,
    pub pending_joins: i64,
    pub notifications_waiting: i64,
    /// Bytes of the file.
    pub bytes: i64,
}

impl Store {
    /// Counts everything. It reads what is pending, and all memberships.
    pub async fn totals(&self) -> Result<Totals> {
        self.read(|sql| {
            let snapshot = sql.unchecked_transaction()?;
            let mut totals = snapshot
                .prepare_cached(
                    "SELECT user_count, group_count, request_count,
                        (SELECT count(*) FROM bindings WHERE left_seq IS NULL AND flow <> user),
                        (SELECT count(*) FROM outbox WHERE given_up = 0),
                        (SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size())
                     FROM counter",
                )?
                .query_row([], |row| {
                    Ok(Totals {
                        users: row.get(0)?,
                        groups: row.get(1)?,
                        pending_joins: row.get(2)?,
                        memberships: row.get(3)?,
                        notifications_waiting: row.get(4)?,
                        bytes: row.get(5)?,
                        ..Totals::default()
                    })
                })?;
            let mut query = snapshot.prepare_cached(
                "SELECT count(*), coalesce(sum(state = 0), 0), min(CASE WHEN state = 1 THEN d.due_at END),
                    coalesce(sum(CASE WHEN state = 1 THEN recipients - delivered - refused - gone END), 0)
                 FROM (SELECT d.state, d.recipients, d.delivered, d.refused, d.gone, max(d.due, p.created_at) AS due_at
                       FROM dispatches d JOIN pushes p ON p.id = d.push WHERE d.state < 2 AND d.welcome IS NULL) d",
            )?;
            query.query_row([], |row| {
                totals.pending = row.get(0)?;
                totals.scheduled = row.get(1)?;
                totals.oldest = row.get(2)?;
                totals.backlog = row.get(3)?;
                Ok(())
            })?;
            Ok(totals)
        })
        .await
    }
}
