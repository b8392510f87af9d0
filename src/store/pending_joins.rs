//! Joins that wait for an operator.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::writer::Tx;
use super::{Bind, JoinPlace, PendingReply, RequestView, Result, Source, Store, WaitingJoin, destinations};
use crate::clock::Millis;
use crate::ids::GroupId;
use crate::parcel::FlowId;

/// Requests that one transaction takes away.
pub(super) const STEP: usize = 500;

/// Asking again replaces the request: the newest asker gets the second answer, unless it is a SUBSCRIBE, which names no
/// place for one.
pub(super) fn record(tx: &mut Tx<'_>, flow: FlowId, user: FlowId, bind: &Bind) -> Result<()> {
    let known = exists(tx.sql, flow, user)?;
    let reply = &bind.reply;
    tx.sql
        .prepare_cached(
            "INSERT INTO requests (flow, user, request_id, response_topic, correlation, requested_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (flow, user) DO UPDATE SET request_id = ?3, response_topic = ?4, correlation = ?5
                WHERE ?7",
        )?
        .execute(params![
            flow,
            user,
            reply.request_id,
            reply.response_topic,
            reply.correlation.as_deref(),
            bind.now,
            bind.source != Source::Subscribe,
        ])?;
    tx.count_requests(i64::from(!known));
    Ok(())
}

pub(super) fn exists(sql: &Connection, flow: FlowId, user: FlowId) -> Result<bool> {
    let mut query = sql.prepare_cached("SELECT EXISTS (SELECT 1 FROM requests WHERE flow = ?1 AND user = ?2)")?;
    Ok(query.query_row([flow, user], |row| row.get(0))?)
}

/// How many decisions a user waits for.
pub(super) fn count(sql: &Connection, user: FlowId) -> Result<i64> {
    let mut query = sql.prepare_cached("SELECT count(*) FROM requests WHERE user = ?1")?;
    Ok(query.query_row([user], |row| row.get(0))?)
}

/// Takes a request away; answers where its second answer goes, if there was one.
pub(super) fn take(tx: &mut Tx<'_>, flow: FlowId, user: FlowId) -> Result<Option<PendingReply>> {
    let taken = tx
        .sql
        .prepare_cached(
            "DELETE FROM requests WHERE flow = ?1 AND user = ?2 RETURNING request_id, response_topic, correlation",
        )?
        .query_row([flow, user], |row| reply(row, 0))
        .optional()?;
    tx.count_requests(-i64::from(taken.is_some()));
    Ok(taken)
}

/// The same for some of the requests to a group, with those who asked.
pub(super) fn take_some(tx: &mut Tx<'_>, flow: FlowId) -> Result<Vec<(FlowId, PendingReply)>> {
    let users: Vec<FlowId> = tx
        .sql
        .prepare_cached("SELECT user FROM requests WHERE flow = ?1 LIMIT ?2")?
        .query_map(params![flow, STEP as i64], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut taken = Vec::with_capacity(users.len());
    for user in users {
        taken.extend(take(tx, flow, user)?.map(|reply| (user, reply)));
    }
    Ok(taken)
}

/// Columns request_id, response_topic and correlation, from `at` on.
pub(super) fn reply(row: &Row<'_>, at: usize) -> rusqlite::Result<PendingReply> {
    let correlation: Option<Vec<u8>> = row.get(at + 2)?;
    Ok(PendingReply {
        request_id: row.get(at)?,
        response_topic: row.get(at + 1)?,
        correlation: correlation.map(Bytes::from),
    })
}

impl Store {
    /// Forgets joins that have waited since before `until`; answers how many. Call again while it answers more than 0.
    pub async fn forget_requests(&self, until: Millis) -> Result<usize> {
        self.write(move |tx| {
            let forgotten = tx
                .sql
                .prepare_cached(
                    "DELETE FROM requests WHERE (flow, user) IN
                        (SELECT flow, user FROM requests INDEXED BY requests_age WHERE requested_at < ?1 LIMIT ?2)",
                )?
                .execute(params![until, STEP as i64])?;
            tx.count_requests(-(forgotten as i64));
            Ok(forgotten)
        })
        .await
    }

    /// Pending joins of all groups, those first that have waited longest, after the one of this place.
    pub async fn waiting_joins(&self, after: JoinPlace, limit: usize) -> Result<Vec<WaitingJoin>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT g.name, u.name, r.requested_at, r.flow, r.user
                 FROM requests r INDEXED BY requests_age JOIN flows g ON g.id = r.flow JOIN flows u ON u.id = r.user
                 WHERE (r.requested_at, r.flow, r.user) > (?1, ?2, ?3)
                 ORDER BY r.requested_at, r.flow, r.user LIMIT ?4",
            )?;
            let JoinPlace { requested_at, group, user } = after;
            let rows = query.query_map(params![requested_at, group, user, limit as i64], |row| {
                Ok(WaitingJoin {
                    group: row.get(0)?,
                    user: row.get(1)?,
                    place: JoinPlace { requested_at: row.get(2)?, group: row.get(3)?, user: row.get(4)? },
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Pending joins of a group, those of users that have been known for longest first, after the user of this key;
    /// `None` for an unknown group.
    pub async fn requests(&self, group: GroupId, after: FlowId, limit: usize) -> Result<Option<Vec<RequestView>>> {
        self.read(move |sql| {
            let Some(flow) = destinations::find(sql, destinations::GROUP, group.as_str())? else { return Ok(None) };
            let mut query = sql.prepare_cached(PAGE)?;
            let rows = query.query_map(params![flow, after, limit as i64], |row| {
                Ok(RequestView { user: row.get(0)?, key: row.get(1)?, requested_at: row.get(2)? })
            })?;
            Ok(Some(rows.collect::<rusqlite::Result<_>>()?))
        })
        .await
    }
}

/// One page, and no more of the group than that.
pub(super) const PAGE: &str =
    "SELECT f.name, r.user, r.requested_at FROM requests r CROSS JOIN flows f ON f.id = r.user
     WHERE r.flow = ?1 AND r.user > ?2 ORDER BY r.user LIMIT ?3";
