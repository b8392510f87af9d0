//! What a binding is owed, in order of dispatch and in portions.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::duplicates::original;
use super::numbers::UNCONFIRMED;
use super::{Error, Fetch, Owed, Portion, Result, Settled, Store, destinations, left_out};
use crate::ids::GroupId;
use crate::parcel::{FlowId, Parcel, Seq, Siblings};

impl Store {
    /// The next portion for a binding; `None` once the binding is closed, or its group deleted.
    pub async fn fetch(&self, fetch: Fetch) -> Result<Option<Portion>> {
        self.read(move |sql| {
            let snapshot = sql.unchecked_transaction()?;
            fetch_in(&snapshot, fetch)
        })
        .await
    }
}

/// State 2 (delivered) as well: another terminal of this user may have settled what this one has not been sent yet. And
/// what was replaced (7, cancelled) while it was under way to this member, who keeps it. What has expired is not in the
/// index, whose condition stands here word for word: who was away for long does not walk over it.
pub(super) const OWED: &str =
    "SELECT d.seq, d.flow, f.kind, f.name, d.push, d.shared, p.delivery, d.deadline, p.push_id, d.address,
            p.content_type, p.headers, p.body, d.replaces, d.state = 7, max(p.created_at, d.due),
            (SELECT name FROM flows w WHERE w.id = d.welcome)
     FROM dispatches d INDEXED BY dispatches_owed CROSS JOIN pushes p ON p.id = d.push CROSS JOIN flows f ON f.id = d.flow
     WHERE d.flow = ?1 AND d.seq > ?2 AND d.deadline > ?3 AND (d.state IN (1, 2) OR (d.state = 7 AND d.held > 0))
       AND (d.state <> 7 OR EXISTS (SELECT 1 FROM exceptions e WHERE e.binding = ?4 AND e.seq = d.seq AND e.kind = 5))
     ORDER BY d.seq";

struct Binding {
    flow: FlowId,
    user: FlowId,
    rows: bool,
    head: Seq,
}

pub(super) fn fetch_in(sql: &Connection, fetch: Fetch) -> Result<Option<Portion>> {
    let binding = sql
        .prepare_cached(
            "SELECT b.flow, b.user, b.exceptions, f.last_seq FROM bindings b JOIN flows f ON f.id = b.flow
             WHERE b.id = ?1 AND b.left_seq IS NULL AND f.policy <> 3",
        )?
        .query_row([fetch.binding], |row| {
            Ok(Binding { flow: row.get(0)?, user: row.get(1)?, rows: row.get(2)?, head: row.get(3)? })
        })
        .optional()?;
    let Some(binding) = binding else { return Ok(None) };
    let resolved = if binding.rows { resolved(sql, &fetch)? } else { BTreeSet::new() };
    let mut portion = Portion::default();
    let mut bytes = 0;
    let mut query = sql.prepare_cached(OWED)?;
    let mut rows = query.query(params![binding.flow, fetch.after, fetch.now, fetch.binding])?;
    while let Some(row) = rows.next()? {
        let seq: Seq = row.get(0)?;
        if resolved.contains(&seq) {
            continue;
        }
        if portion.parcels.len() >= fetch.limit || bytes >= fetch.max_bytes {
            portion.more = true;
            break;
        }
        let replaces: Option<Seq> = row.get(13)?;
        if replaces.map_or(Ok(false), |old| left_out::is_left_out(sql, binding.flow, binding.user, old))? {
            continue;
        }
        let mut parcel = parcel(row)?;
        bytes += parcel.body.len();
        portion.scanned = seq;
        let settled = if parcel.siblings.exist() { sibling(sql, &parcel, binding.user)? } else { None };
        if replaces.is_some() {
            parcel.siblings = Siblings::Unknown;
        }
        portion.parcels.push(Owed { parcel: Arc::new(parcel), settled, held: row.get(14)? });
    }
    if !portion.more {
        portion.scanned = binding.head.max(fetch.after);
    }
    Ok(Some(portion))
}

/// What was answered above the cursor, or refused: not to be sent again.
fn resolved(sql: &Connection, fetch: &Fetch) -> Result<BTreeSet<Seq>> {
    let rows = sql
        .prepare_cached("SELECT seq FROM exceptions WHERE binding = ?1 AND seq > ?2 AND kind IN (1, 2, 4)")?
        .query_map(params![fetch.binding, fetch.after], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// What became of this push at the user by another of its addresses: got or belatedly got, refused, or nothing yet.
/// Closed bindings count too.
fn sibling(sql: &Connection, parcel: &Parcel, user: FlowId) -> Result<Option<Settled>> {
    // The order of the join is given: by flow alone a long history would be walked for every look.
    let mut query = sql.prepare_cached(
        "SELECT coalesce((SELECT max(e.code) FROM exceptions e WHERE e.binding = b.id AND e.seq = d.seq AND e.kind IN (2, 4)), 0)
         FROM bindings b CROSS JOIN dispatches d INDEXED BY dispatches_push ON d.push = ?1 AND d.flow = b.flow
         WHERE b.user = ?2 AND NOT (d.flow = ?3 AND d.seq = ?4) AND b.joined_seq < d.seq AND (b.left_seq IS NULL OR d.seq <= b.left_seq)
           AND (EXISTS (SELECT 1 FROM exceptions e WHERE e.binding = b.id AND e.seq = d.seq AND e.kind IN (1, 2, 4))
                OR (d.seq <= b.acked_seq AND NOT EXISTS
                    (SELECT 1 FROM exceptions e WHERE e.binding = b.id AND e.kind IN (3, 5, 6) AND d.seq BETWEEN e.seq AND e.upto)))
         ORDER BY 1 LIMIT 1",
    )?;
    let code: Option<u16> =
        query.query_row(params![parcel.push, user, parcel.flow, parcel.seq], |row| row.get(0)).optional()?;
    Ok(code.map(|code| if code == 0 { Settled::Got } else { Settled::Refused { code } }))
}

fn parcel(row: &Row<'_>) -> Result<Parcel> {
    let headers = row.get_ref(11)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(Parcel {
        seq: row.get(0)?,
        flow: row.get(1)?,
        target: destinations::target(row.get(2)?, row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?,
        push: row.get(4)?,
        siblings: if row.get(5)? { Siblings::Unknown } else { Siblings::None },
        confirmed: row.get::<_, i64>(6)? != UNCONFIRMED,
        since: row.get(15)?,
        deadline: row.get(7)?,
        welcome: row.get::<_, Option<String>>(16)?.and_then(|name| GroupId::parse(&original(name)).ok()),
        push_id: original(row.get(8)?),
        address: row.get(9)?,
        content_type: row.get(10)?,
        headers: serde_json::from_str(headers).map_err(|error| Error::Unreadable(error.to_string()))?,
        body: Bytes::copy_from_slice(row.get_ref(12)?.as_blob().map_err(rusqlite::Error::from)?),
    })
}
