//! Users as their devices show them: when they were last here, and what they have not answered.

use rusqlite::{Connection, OptionalExtension, params};

use super::closing;
use super::duplicates::original;
use super::exception_kinds::REFUSED;
use super::{DeviceView, OwedPush, RefusedPush, Result, Store, destinations, last_seen, left_out, set_aside};
use crate::clock::Millis;
use crate::ids::UserId;
use crate::parcel::{BindingId, FlowId, Seq};

/// Pushes of one user that are counted at most: beyond that it does not matter how many it lags behind.
const COUNTED: usize = 1_000;

impl Store {
    /// Users whose names have this text in them, in order of their names, after this one. Capital and small letters of ASCII
    /// count as the same in what is searched for. Users that were erased are none.
    pub async fn devices(&self, search: String, after: String, limit: usize) -> Result<Vec<DeviceView>> {
        self.read(move |sql| {
            let snapshot = sql.unchecked_transaction()?;
            let mut query = snapshot.prepare_cached(
                "SELECT id, name FROM flows WHERE kind = 1 AND name > ?1 AND (?3 = '' OR instr(lower(name), lower(?3)) > 0)
                    AND NOT (name GLOB 'erased-*' AND NOT EXISTS (SELECT 1 FROM terminals t WHERE t.user = flows.name)
                        AND NOT EXISTS (SELECT 1 FROM bindings b
                            WHERE b.user = flows.id AND b.flow <> b.user AND b.left_seq IS NULL))
                 ORDER BY name LIMIT ?2",
            )?;
            let rows = query.query_map(params![after, limit as i64, search], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let users: Vec<(FlowId, String)> = rows.collect::<rusqlite::Result<_>>()?;
            users.into_iter().map(|(id, user)| device(&snapshot, id, user)).collect()
        })
        .await
    }

    /// What is known of the devices of one user.
    pub async fn device(&self, user: UserId) -> Result<Option<DeviceView>> {
        self.read(move |sql| {
            let snapshot = sql.unchecked_transaction()?;
            let id = destinations::find(&snapshot, destinations::USER, user.as_str())?;
            id.map(|id| device(&snapshot, id, user.to_string())).transpose()
        })
        .await
    }

    /// Bindings to groups of a user who was last seen before this, and that were made before it.
    pub async fn old_memberships(&self, user: UserId, until: Millis) -> Result<Vec<BindingId>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT b.id FROM flows f JOIN bindings b ON b.user = f.id AND b.flow <> f.id AND b.left_seq IS NULL
                 WHERE f.kind = 1 AND f.name = ?1 AND b.joined_at < ?2
                    AND NOT EXISTS (SELECT 1 FROM terminals t WHERE t.user = f.name AND t.seen_at >= ?2)",
            )?;
            let rows = query.query_map(params![user.as_str(), until], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Pushes that a user has not answered, oldest first.
    pub async fn owed_pushes(&self, user: UserId, limit: usize) -> Result<Vec<OwedPush>> {
        self.read(move |sql| {
            let snapshot = sql.unchecked_transaction()?;
            let Some(id) = destinations::find(&snapshot, destinations::USER, user.as_str())? else {
                return Ok(Vec::new());
            };
            let mut found = Vec::new();
            for (flow, seq) in owed(&snapshot, id, limit)? {
                found.extend(push(&snapshot, flow, seq)?);
            }
            found.sort_by_key(|push: &OwedPush| push.created_at);
            Ok(found)
        })
        .await
    }
}

impl Store {
    /// Pushes that a user has not got and will not get, because its terminals refused them or cannot take them; newest first.
    pub async fn refused_pushes(&self, user: UserId, limit: usize) -> Result<Vec<RefusedPush>> {
        self.read(move |sql| {
            let snapshot = sql.unchecked_transaction()?;
            let Some(id) = destinations::find(&snapshot, destinations::USER, user.as_str())? else {
                return Ok(Vec::new());
            };
            let mut query = snapshot.prepare_cached(
                "SELECT p.push_id, p.initiator, d.address, e.code, e.at FROM bindings b
                 JOIN exceptions e ON e.binding = b.id AND e.kind = ?2
                 JOIN dispatches d ON d.flow = b.flow AND d.seq = e.seq JOIN pushes p ON p.id = d.push
                 WHERE b.user = ?1 ORDER BY e.at DESC LIMIT ?3",
            )?;
            let rows = query.query_map(params![id, REFUSED, limit as i64], |row| {
                Ok(RefusedPush {
                    push_id: original(row.get(0)?),
                    initiator: row.get(1)?,
                    address: row.get(2)?,
                    code: row.get(3)?,
                    at: row.get(4)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}

fn device(sql: &Connection, id: FlowId, user: String) -> Result<DeviceView> {
    let (groups, answered): (u64, bool) = sql
        .prepare_cached(
            "SELECT coalesce(sum(flow <> user), 0), coalesce(max(acked_seq > joined_seq), 0)
             FROM bindings WHERE user = ?1 AND left_seq IS NULL",
        )?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let seen = last_seen::of_user(sql, &user, answered)?;
    let protocol = last_seen::protocol(sql, &user)?;
    let owed = owed(sql, id, COUNTED)?;
    let mut owed_since: Option<Millis> = None;
    // The oldest of each flow comes first.
    let mut flow = None;
    for (of, seq) in &owed {
        if flow.replace(*of) != Some(*of)
            && let Some(push) = push(sql, *of, *seq)?
        {
            owed_since = Some(owed_since.map_or(push.created_at, |known| known.min(push.created_at)));
        }
    }
    Ok(DeviceView { id, user, groups, seen, protocol, owed: owed.len() as u64, owed_since })
}

/// An open binding of a flow that has something beyond its cursor.
struct Behind {
    binding: BindingId,
    flow: FlowId,
    cursor: Seq,
}

/// What a user owes an answer, in order of flows and of dispatches.
fn owed(sql: &Connection, user: FlowId, limit: usize) -> Result<Vec<(FlowId, Seq)>> {
    let mut query = sql.prepare_cached(
        "SELECT b.id, b.flow, max(b.joined_seq, b.acked_seq) FROM bindings b JOIN flows f ON f.id = b.flow
         WHERE b.user = ?1 AND b.left_seq IS NULL AND (f.last_seq > max(b.joined_seq, b.acked_seq) OR b.exceptions = 1)
         ORDER BY b.flow",
    )?;
    let rows =
        query.query_map([user], |row| Ok(Behind { binding: row.get(0)?, flow: row.get(1)?, cursor: row.get(2)? }))?;
    let mut found = Vec::new();
    for behind in rows.collect::<rusqlite::Result<Vec<_>>>()? {
        let mut seqs = set_aside::owed_below(sql, behind.flow, behind.binding, behind.cursor)?;
        let mut query = sql.prepare_cached(closing::OWED)?;
        let mut rows = query.query(params![behind.flow, behind.cursor, behind.binding])?;
        while seqs.len() + found.len() < limit
            && let Some(row) = rows.next()?
        {
            seqs.push((row.get(0)?, row.get(1)?));
        }
        for (seq, replaces) in seqs {
            if !replaces.map_or(Ok(false), |old| left_out::is_left_out(sql, behind.flow, user, old))? {
                found.push((behind.flow, seq));
            }
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

fn push(sql: &Connection, flow: FlowId, seq: Seq) -> Result<Option<OwedPush>> {
    let mut query = sql.prepare_cached(
        "SELECT p.push_id, p.initiator, d.address, p.created_at, d.deadline
         FROM dispatches d JOIN pushes p ON p.id = d.push WHERE d.flow = ?1 AND d.seq = ?2",
    )?;
    let found = query.query_row(params![flow, seq], |row| {
        Ok(OwedPush {
            push_id: original(row.get(0)?),
            initiator: row.get(1)?,
            address: row.get(2)?,
            created_at: row.get(3)?,
            deadline: row.get(4)?,
        })
    });
    Ok(found.optional()?)
}
