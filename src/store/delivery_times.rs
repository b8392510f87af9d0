//! When each member had a push that was for several: one row for each flush, not for each member. What a flush settled has
//! one time, which is at most one flush (store.flush_interval) after the acknowledgement.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};

use super::writer::Tx;
use super::{Result, Store};
use crate::clock::Millis;
use crate::parcel::{BindingId, DispatchId};

/// Rows that one transaction removes.
const STEP: i64 = 500;

/// These bindings had it by now.
pub(super) fn record(tx: &Tx<'_>, id: DispatchId, bindings: &[BindingId], now: Millis) -> Result<()> {
    tx.sql
        .prepare_cached(
            "INSERT INTO delivery_times (flow, seq, at, bindings) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET bindings = CAST(bindings || excluded.bindings AS BLOB)",
        )?
        .execute(params![id.flow, id.seq, now, encode(bindings)])?;
    Ok(())
}

/// When these bindings had it, as far as that is kept.
pub(super) fn find(
    sql: &Connection,
    id: DispatchId,
    wanted: &HashSet<BindingId>,
) -> Result<HashMap<BindingId, Millis>> {
    let mut query = sql.prepare_cached("SELECT at, bindings FROM delivery_times WHERE flow = ?1 AND seq = ?2")?;
    let mut rows = query.query(params![id.flow, id.seq])?;
    let mut found = HashMap::new();
    while let Some(row) = rows.next()? {
        let at: Millis = row.get(0)?;
        let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        found.extend(decode(bytes).filter(|binding| wanted.contains(binding)).map(|binding| (binding, at)));
    }
    Ok(found)
}

/// When how many had it, as far as that is kept.
pub(super) fn counts(sql: &Connection, id: DispatchId) -> Result<Vec<(Millis, u64)>> {
    let mut query =
        sql.prepare_cached("SELECT at, bindings FROM delivery_times WHERE flow = ?1 AND seq = ?2 ORDER BY at")?;
    let rows = query.query_map(params![id.flow, id.seq], |row| {
        let bytes = row.get_ref(1)?.as_blob()?;
        // Each number has one last byte.
        Ok((row.get(0)?, bytes.iter().filter(|byte| **byte & 0x80 == 0).count() as u64))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl Store {
    /// Up to when times have to go, so that all that are left together have no more bytes than this; none where they have not.
    pub async fn delivery_times_cut(&self, most: u64) -> Result<Option<Millis>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached("SELECT coalesce(sum(length(bindings) + 32), 0) FROM delivery_times")?;
            let all: u64 = query.query_row([], |row| row.get(0))?;
            let mut excess = all.saturating_sub(most);
            let mut query = sql.prepare_cached("SELECT at, length(bindings) + 32 FROM delivery_times ORDER BY at")?;
            let mut rows = query.query([])?;
            let mut cut = None;
            while excess > 0
                && let Some(row) = rows.next()?
            {
                cut = Some(row.get(0)?);
                excess = excess.saturating_sub(row.get(1)?);
            }
            Ok(cut)
        })
        .await
    }

    /// Removes some of the times up to this one; answers how many. Call again while it answers more than 0.
    pub async fn trim_delivery_times(&self, until: Millis) -> Result<usize> {
        self.write(move |tx| {
            let oldest = "DELETE FROM delivery_times WHERE (flow, seq, at) IN
                (SELECT flow, seq, at FROM delivery_times WHERE at <= ?1 ORDER BY at LIMIT ?2)";
            Ok(tx.sql.prepare_cached(oldest)?.execute([until, STEP])?)
        })
        .await
    }
}

/// LEB128, one after the other: what two flushes say of the same millisecond can be joined.
fn encode(bindings: &[BindingId]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bindings.len() * 3);
    for binding in bindings {
        let mut left = binding.unsigned_abs();
        while left > 0x7f {
            out.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        out.push(left as u8);
    }
    out
}

fn decode(bytes: &[u8]) -> impl Iterator<Item = BindingId> {
    let mut rest = bytes.iter();
    std::iter::from_fn(move || {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = *rest.next()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            shift += 7;
            if byte & 0x80 == 0 {
                return BindingId::try_from(value).ok();
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_come_back_as_they_were_written() {
        let all = [1, 127, 128, 300, 16_384, 1 << 40, i64::MAX];
        assert_eq!(decode(&encode(&all)).collect::<Vec<_>>(), all);
        assert_eq!(decode(&[0x80, 0x80]).count(), 0, "cut off");
        assert_eq!(decode(&[0xff; 40]).count(), 0);
    }
}
