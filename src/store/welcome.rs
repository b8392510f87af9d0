//! A new member gets the last live push of its group, where the group says so. It goes to the member alone, as a dispatch of its
//! own flow that is no address of the push, and so it is never part of "n of m".

use std::collections::HashMap;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::delivery_state::{self, Content, Due};
use super::duplicates::original;
use super::numbers::UNCONFIRMED;
use super::writer::Tx;
use super::{Error, Event, Result, State, standing};
use crate::clock::Millis;
use crate::ids::{GroupId, Target, UserId};
use crate::parcel::{DispatchId, FlowId, PushKey, Seq, Siblings};

/// Behind all addresses of a push.
const POSITION: i64 = 1 << 32;

/// A push as it is given to a new member.
struct Last {
    push: PushKey,
    address: String,
    priority: i64,
    deadline: Millis,
}

/// Gives the user, who has just become a member, the last push of the group that is not over.
pub(super) fn give(tx: &mut Tx<'_>, group: (FlowId, &GroupId), user: (FlowId, &UserId), now: Millis) -> Result<()> {
    let Some(last) = last(tx, group.0, now)? else { return Ok(()) };
    if had(tx, &last, user.0)? {
        return Ok(());
    }
    let before: Seq =
        tx.sql.prepare_cached("SELECT last_seq FROM flows WHERE id = ?1")?.query_row([user.0], |row| row.get(0))?;
    let seq = before.next();
    tx.sql
        .prepare_cached(
            "INSERT INTO dispatches (push, position, address, flow, seq, priority, shared, due, deadline, state, code,
                recipients, welcome)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9, ?10, 1, ?11)",
        )?
        .execute(params![
            last.push,
            POSITION,
            last.address,
            user.0,
            seq,
            last.priority,
            now,
            last.deadline,
            State::Pending.number(),
            delivery_state::OK,
            group.0
        ])?;
    let row = tx.sql.last_insert_rowid();
    tx.sql.prepare_cached("UPDATE flows SET last_seq = ?2 WHERE id = ?1")?.execute(params![user.0, seq])?;
    announce(tx, &last, group.1, user, seq, now)?;
    standing::tell(tx, row, true)
}

/// None: the group gives none, or has none.
fn last(tx: &Tx<'_>, group: FlowId, now: Millis) -> Result<Option<Last>> {
    let mut query = tx.sql.prepare_cached(
        "SELECT push, address, priority, deadline FROM dispatches INDEXED BY dispatches_owed
         WHERE flow = ?1 AND (state IN (1, 2) OR (state = 7 AND held > 0)) AND state <> 7 AND deadline > ?2
            AND (SELECT welcome FROM flows WHERE id = ?1) = 1
         ORDER BY seq DESC LIMIT 1",
    )?;
    let last = query.query_row(params![group, now], |row| {
        Ok(Last { push: row.get(0)?, address: row.get(1)?, priority: row.get(2)?, deadline: row.get(3)? })
    });
    Ok(last.optional()?)
}

/// Whether the push is the user's by any of its addresses: it was a member when it went out, or has been given it before.
pub(super) const HAD: &str = "
    SELECT EXISTS (SELECT 1 FROM bindings b CROSS JOIN dispatches d INDEXED BY dispatches_push ON d.push = ?1 AND d.flow = b.flow
        WHERE b.user = ?2 AND b.joined_seq < d.seq AND (b.left_seq IS NULL OR d.seq <= b.left_seq))";

fn had(tx: &Tx<'_>, last: &Last, user: FlowId) -> Result<bool> {
    Ok(tx.sql.prepare_cached(HAD)?.query_row([last.push, user], |row| row.get(0))?)
}

fn announce(
    tx: &mut Tx<'_>,
    last: &Last,
    group: &GroupId,
    user: (FlowId, &UserId),
    seq: Seq,
    now: Millis,
) -> Result<()> {
    let mut query =
        tx.sql.prepare_cached("SELECT push_id, delivery, content_type, headers, body FROM pushes WHERE id = ?1")?;
    let (push_id, delivery, content_type, headers, body): (String, i64, String, String, Vec<u8>) =
        query.query_row([last.push], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
    drop(query);
    let headers: Vec<(String, String)> =
        serde_json::from_str(&headers).map_err(|error| Error::Unreadable(error.to_string()))?;
    let (push_id, body) = (original(push_id), Bytes::from(body));
    let content = Content {
        push_id: &push_id,
        confirmed: delivery != UNCONFIRMED,
        since: now,
        deadline: last.deadline,
        content_type: &content_type,
        headers: &headers,
        body: &body,
    };
    let due = Due {
        push: last.push,
        flow: user.0,
        target: &Target::User(user.1.clone()),
        address: &last.address,
        siblings: Siblings::None,
        replaces: None,
        welcome: Some(group),
        is_new: true,
        content: &content,
    };
    delivery_state::announce(tx, &due, seq);
    Ok(())
}

/// The push is taken back from a group: who has not got it as a new member does not get it either. Any number of them in one
/// statement; nobody is told of each.
pub(super) fn cancel(tx: &Tx<'_>, push: PushKey, group: FlowId, now: Millis) -> Result<Vec<DispatchId>> {
    let mut query = tx.sql.prepare_cached(
        "UPDATE dispatches SET state = ?3, code = ?4, event_at = ?5 WHERE push = ?1 AND welcome = ?2 AND state = 1
         RETURNING flow, seq",
    )?;
    let ended = query.query_map(params![push, group, State::Cancelled.number(), delivery_state::OK, now], |row| {
        Ok(DispatchId { flow: row.get(0)?, seq: row.get(1)? })
    })?;
    Ok(ended.collect::<rusqlite::Result<_>>()?)
}

/// A user is a member no more: what it was to be given as a new one it does not get.
pub(super) fn withdraw(tx: &mut Tx<'_>, user: FlowId, group: FlowId, now: Millis) -> Result<()> {
    let mut query = tx.sql.prepare_cached(
        "SELECT id, seq FROM dispatches INDEXED BY dispatches_owed
         WHERE flow = ?1 AND (state IN (1, 2) OR (state = 7 AND held > 0)) AND state = 1 AND welcome = ?2",
    )?;
    let open: Vec<(i64, Seq)> =
        query.query_map([user, group], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    drop(query);
    for &(row, _) in &open {
        delivery_state::end(tx, row, State::Undeliverable, delivery_state::NOBODY, now)?;
    }
    if !open.is_empty() {
        tx.emit(Event::Cancelled(open.into_iter().map(|(_, seq)| DispatchId { flow: user, seq }).collect()));
    }
    Ok(())
}

/// How many new members of each of a push's groups have it.
pub(super) fn counts(sql: &Connection, push: PushKey) -> Result<HashMap<FlowId, u64>> {
    let mut query = sql.prepare_cached(
        "SELECT welcome, count(*) FROM dispatches INDEXED BY dispatches_welcome
         WHERE push = ?1 AND welcome IS NOT NULL AND state = 2 GROUP BY welcome",
    )?;
    let rows = query.query_map([push], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks that walked over all dispatches of a push for each of its addresses held the readers up.
    #[test]
    fn what_is_asked_of_welcomes_is_found_by_an_index() {
        let sql = Connection::open_in_memory().unwrap();
        sql.execute_batch(include_str!("../../schema.sql")).unwrap();
        let plan = |text: &str| -> Vec<String> {
            let mut query = sql.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
            let count = query.parameter_count();
            let rows =
                query.query_map(rusqlite::params_from_iter(vec![1; count]), |row| row.get::<_, String>(3)).unwrap();
            rows.map(|row| row.unwrap()).collect()
        };
        let steps = plan(HAD);
        assert!(steps.iter().any(|step| step.contains("dispatches_push (push=? AND flow=?)")), "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN b") || step.starts_with("SCAN d")), "{steps:?}");
    }
}
