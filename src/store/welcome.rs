//! A new member gets the last live push of its group, where the group says so. It goes to the member alone, as a dispatch of its
//! own flow that is no address of the push, and so it is never part of "n of m".

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use super::delivery_state::{self, Content, Due};
use super::duplicates::original;
use super::numbers::UNCONFIRMED;
use super::writer::Tx;
use super::{Error, Result, State, standing};
use crate::clock::Millis;
use crate::ids::{GroupId, Target, UserId};
use crate::parcel::{DispatchId, FlowId, PushKey, Seq, Siblings};

/// Behind all addresses of a push.
const POSITION: i64 = 1 << 32;

/// A push as it is given to a new member.
struct Last {
    push: PushKey,
    seq: Seq,
    address: String,
    priority: i64,
    deadline: Millis,
}

/// Gives the user, who has just become a member, the last push of the group that is not over.
pub(super) fn give(tx: &mut Tx<'_>, group: (FlowId, &GroupId), user: (FlowId, &UserId), now: Millis) -> Result<()> {
    let Some(last) = last(tx, group.0, now)? else { return Ok(()) };
    if had(tx, &last, group.0, user.0)? {
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
        "SELECT push, seq, address, priority, deadline FROM dispatches INDEXED BY dispatches_owed
         WHERE flow = ?1 AND (state IN (1, 2) OR (state = 7 AND held > 0)) AND state <> 7 AND deadline > ?2
            AND (SELECT welcome FROM flows WHERE id = ?1) = 1
         ORDER BY seq DESC LIMIT 1",
    )?;
    let last = query.query_row(params![group, now], |row| {
        Ok(Last {
            push: row.get(0)?,
            seq: row.get(1)?,
            address: row.get(2)?,
            priority: row.get(3)?,
            deadline: row.get(4)?,
        })
    });
    Ok(last.optional()?)
}

/// Whether the user was a member when it was sent, or has been given it before.
fn had(tx: &Tx<'_>, last: &Last, group: FlowId, user: FlowId) -> Result<bool> {
    let mut query = tx.sql.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM bindings WHERE user = ?2 AND flow = ?1 AND joined_seq < ?3
                AND left_seq IS NOT NULL AND left_seq >= ?3)
            OR EXISTS (SELECT 1 FROM dispatches WHERE push = ?4 AND flow = ?2)",
    )?;
    Ok(query.query_row(params![group, user, last.seq, last.push], |row| row.get(0))?)
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

/// The push is taken back from a group: who has not got it as a new member does not get it either.
pub(super) fn cancel(tx: &mut Tx<'_>, push: PushKey, group: FlowId, now: Millis) -> Result<Vec<DispatchId>> {
    let open: Vec<(i64, FlowId, Seq)> = tx
        .sql
        .prepare_cached("SELECT id, flow, seq FROM dispatches WHERE push = ?1 AND welcome = ?2 AND state = 1")?
        .query_map([push, group], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut ended = Vec::with_capacity(open.len());
    for (row, flow, seq) in open {
        delivery_state::end(tx, row, State::Cancelled, delivery_state::OK, now)?;
        ended.push(DispatchId { flow, seq });
    }
    Ok(ended)
}
