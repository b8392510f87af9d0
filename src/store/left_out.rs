//! Who is left out of a dispatch because it replaces another one (docs/ledger.md, rule 19): those who have the old one.
//! It follows from cursors and exceptions; there is no row for it.

use rusqlite::{Connection, OptionalExtension, params};

use super::Result;
use super::exception_kinds::{GOT, HELD, REFUSED};
use crate::parcel::{FlowId, Seq};

/// A dispatch and those it replaced, newest first.
pub(super) fn chain(sql: &Connection, flow: FlowId, newest: Seq) -> Result<Vec<Seq>> {
    let mut query = sql.prepare_cached("SELECT replaces FROM dispatches WHERE flow = ?1 AND seq = ?2")?;
    let mut seqs = vec![newest];
    let mut seq = newest;
    while let Some(Some(older)) = query.query_row(params![flow, seq], |row| row.get::<_, Option<Seq>>(0)).optional()? {
        seqs.push(older);
        seq = older;
    }
    Ok(seqs)
}

/// Whether the user is left out of what replaces `old`.
pub(super) fn is_left_out(sql: &Connection, flow: FlowId, user: FlowId, old: Seq) -> Result<bool> {
    has_any(sql, flow, user, &chain(sql, flow, old)?)
}

/// Whether the user is left out of what replaces the newest of `chain`: it got, refused or holds that dispatch, or one
/// that it replaced. What is known of it after it was final (late) does not count: the new push had been promised by then.
pub(super) fn has_any(sql: &Connection, flow: FlowId, user: FlowId, chain: &[Seq]) -> Result<bool> {
    let mut query = sql.prepare_cached(
        "SELECT 1 FROM bindings b INDEXED BY bindings_user WHERE b.user = ?1 AND b.flow = ?2 AND b.joined_seq < ?3
           AND (b.left_seq IS NULL OR ?3 <= b.left_seq)
           AND (EXISTS (SELECT 1 FROM exceptions e WHERE e.binding = b.id AND e.seq = ?3 AND e.kind IN (?4, ?5, ?6))
                OR (?3 <= b.acked_seq AND NOT EXISTS
                    (SELECT 1 FROM exceptions e WHERE e.binding = b.id AND e.seq <= ?3 AND ?3 <= e.upto)))
         LIMIT 1",
    )?;
    for &seq in chain {
        if query.query_row(params![user, flow, seq, GOT, REFUSED, HELD], |_| Ok(())).optional()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many of the present members are left out of what replaces `old`. Reckoned from the counters, which are final, and
/// those who left since: the members themselves are not looked at.
pub(super) fn left_out(sql: &Connection, flow: FlowId, old: Seq) -> Result<i64> {
    let chain = chain(sql, flow, old)?;
    let mut reached = 0;
    for seq in &chain {
        let mut query =
            sql.prepare_cached("SELECT delivered + refused + held FROM dispatches WHERE flow = ?1 AND seq = ?2")?;
        reached += query.query_row(params![flow, seq], |row| row.get::<_, i64>(0)).optional()?.unwrap_or(0);
    }
    let oldest = chain.last().copied().unwrap_or(old);
    let mut query = sql.prepare_cached(
        "SELECT DISTINCT user FROM bindings b WHERE flow = ?1 AND left_seq >= ?2 AND joined_seq < ?3
         AND NOT EXISTS (SELECT 1 FROM bindings o WHERE o.flow = ?1 AND o.user = b.user AND o.left_seq IS NULL)",
    )?;
    let gone: Vec<FlowId> =
        query.query_map(params![flow, oldest, old], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for user in gone {
        reached -= i64::from(has_any(sql, flow, user, &chain)?);
    }
    Ok(reached)
}
