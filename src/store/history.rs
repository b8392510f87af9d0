//! Who was in a group, and who came and went, by whose hand. Rows are appended with each membership that begins or ends, and
//! removed when they are old (history.keep) or too many (history.max_rows).

use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Tx;
use super::{Hand, HistoryEntry, Result, Store};
use crate::clock::Millis;
use crate::ids::{GroupId, UserId};

/// Rows that one transaction removes.
const STEP: i64 = 1_000;

/// What became of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Joined,
    Left,
}

impl Act {
    const fn number(self) -> i64 {
        match self {
            Self::Joined => 0,
            Self::Left => 1,
        }
    }
}

/// A subscription that ends and begins again within so long, in milliseconds, counts as one that went on: a device that subscribes
/// anew with each connection would push everything else out of the history.
const SAME: Millis = 60_000;

/// Whether the user had left the group just now by the end of a subscription; that it left is forgotten then.
fn goes_on(tx: &Tx<'_>, group: &GroupId, user: &UserId, hand: &Hand, now: Millis) -> Result<bool> {
    if *hand != Hand::Subscription {
        return Ok(false);
    }
    let mut query = tx.sql.prepare_cached(
        "DELETE FROM history WHERE act = 1 AND hand = ?3 AND at > ?4 AND id =
            (SELECT id FROM history WHERE user = ?1 AND group_name = ?2 ORDER BY at DESC, id DESC LIMIT 1)",
    )?;
    Ok(query.execute(params![user.as_str(), group.as_str(), hand.to_string(), now - SAME])? > 0)
}

pub(super) fn record(tx: &Tx<'_>, act: Act, group: &GroupId, user: &UserId, hand: &Hand, now: Millis) -> Result<()> {
    if act == Act::Joined && goes_on(tx, group, user, hand, now)? {
        return Ok(());
    }
    tx.sql
        .prepare_cached("INSERT INTO history (at, group_name, user, act, hand) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![now, group.as_str(), user.as_str(), act.number(), hand.to_string()])?;
    Ok(())
}

/// Who is in the group now and has neither come nor gone since, and whose first act since then was to leave. What happened at
/// that very millisecond had happened.
pub(super) const MEMBERS_AT: &str = "
    SELECT name FROM (
        SELECT f.name AS name FROM bindings b INDEXED BY bindings_open CROSS JOIN flows f ON f.id = b.user
        WHERE b.flow = (SELECT id FROM flows WHERE kind = 0 AND name = ?1) AND b.left_seq IS NULL AND b.joined_at <= ?2
            AND NOT EXISTS (SELECT 1 FROM history h WHERE h.user = f.name AND h.group_name = ?1 AND h.at > ?2)
        UNION
        SELECT h.user FROM history h WHERE h.group_name = ?1 AND h.at > ?2 AND h.act = 1 AND NOT EXISTS
            (SELECT 1 FROM history e WHERE e.user = h.user AND e.group_name = ?1 AND e.at > ?2 AND e.id < h.id))
    WHERE name > ?3 ORDER BY name LIMIT ?4";

impl Store {
    /// Who was in a group at a moment, by name, after this one.
    pub async fn members_at(&self, group: GroupId, at: Millis, after: String, limit: usize) -> Result<Vec<String>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(MEMBERS_AT)?;
            let rows = query.query_map(params![group.as_str(), at, after, limit as i64], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Who came into a group and who left it, newest first, before this row.
    pub async fn group_history(&self, group: GroupId, before: i64, limit: usize) -> Result<Vec<HistoryEntry>> {
        self.read(move |sql| {
            let condition = "group_name = ?1 AND (at, id) <
                (coalesce((SELECT at FROM history WHERE id = ?2), iif(?2 = ?4, ?4, 0)), ?2)";
            entries(sql, condition, &[&group.as_str(), &before, &(limit as i64), &i64::MAX])
        })
        .await
    }

    /// The groups that a user came into and left, newest first.
    pub async fn user_history(&self, user: UserId, limit: usize) -> Result<Vec<HistoryEntry>> {
        self.read(move |sql| entries(sql, "user = ?1 AND ?2 = ?2", &[&user.as_str(), &0_i64, &(limit as i64)])).await
    }

    /// Removes some of the rows that are older than this, and some of those that are too many; answers how many went. Call
    /// again while it answers more than 0. Rows are in order of time: only the lowest ones are looked at.
    pub async fn trim_history(&self, until: Millis, most: u64) -> Result<usize> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut removed = 0;
        for table in ["history", "audit"] {
            let cut = self.read(move |sql| cut(sql, table, until, most)).await?;
            let Some(cut) = cut else { continue };
            removed += self
                .write(move |tx| {
                    let text = format!("DELETE FROM {table} WHERE id <= ?1");
                    Ok(tx.sql.prepare_cached(&text)?.execute([cut])?)
                })
                .await?;
        }
        Ok(removed)
    }

    /// Since when the history is whole; none where nothing was ever removed from it.
    pub async fn history_begins(&self) -> Result<Option<Millis>> {
        self.read(|sql| {
            let mut query = sql.prepare_cached("SELECT id, at FROM history ORDER BY id LIMIT 1")?;
            let first: Option<(i64, Millis)> = query.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            Ok(first.filter(|(id, _)| *id > 1).map(|(_, at)| at))
        })
        .await
    }
}

/// The last row of those that go now, some at a time.
fn cut(sql: &Connection, table: &str, until: Millis, most: i64) -> Result<Option<i64>> {
    let mut query = sql.prepare_cached(&format!("SELECT coalesce(max(id), 0) FROM {table}"))?;
    let newest: i64 = query.query_row([], |row| row.get(0))?;
    let mut query = sql.prepare_cached(&format!("SELECT id, at FROM {table} ORDER BY id LIMIT ?1"))?;
    let mut rows = query.query([STEP])?;
    let mut cut = None;
    while let Some(row) = rows.next()? {
        let (id, at): (i64, Millis) = (row.get(0)?, row.get(1)?);
        if at >= until && id > newest.saturating_sub(most) {
            break;
        }
        cut = Some(id);
    }
    Ok(cut)
}

/// Parameter 3 is how many.
fn entries(sql: &Connection, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<HistoryEntry>> {
    let text = format!(
        "SELECT id, at, group_name, user, act, hand FROM history WHERE {condition} ORDER BY at DESC, id DESC LIMIT ?3"
    );
    let mut query = sql.prepare_cached(&text)?;
    let rows = query.query_map(values, |row| {
        Ok(HistoryEntry {
            id: row.get(0)?,
            at: row.get(1)?,
            group: row.get(2)?,
            user: row.get(3)?,
            joined: row.get::<_, i64>(4)? == Act::Joined.number(),
            hand: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
