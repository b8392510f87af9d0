//! Joins that wait for an operator.

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, params};

use super::writer::Tx;
use super::{Bind, Decided, PendingReply, RequestView, Result, Source, Store, bindings, flows};
use crate::clock::Millis;
use crate::ids::{GroupId, UserId};
use crate::parcel::FlowId;

/// Asking again replaces the request: the newest asker gets the second answer, unless it is a SUBSCRIBE, which names no
/// place for one.
pub(super) fn record(tx: &Tx<'_>, flow: FlowId, user: FlowId, bind: &Bind) -> Result<()> {
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
    Ok(())
}

/// Takes a request away; answers where its second answer goes, if there was one.
pub(super) fn take(tx: &Tx<'_>, flow: FlowId, user: FlowId) -> Result<Option<PendingReply>> {
    let mut query = tx.sql.prepare_cached(
        "DELETE FROM requests WHERE flow = ?1 AND user = ?2 RETURNING request_id, response_topic, correlation",
    )?;
    Ok(query.query_row([flow, user], reply).optional()?)
}

/// The same for all requests to a group, with those who asked.
pub(super) fn take_all(tx: &Tx<'_>, flow: FlowId) -> Result<Vec<(UserId, PendingReply)>> {
    let mut query = tx.sql.prepare_cached(
        "SELECT r.request_id, r.response_topic, r.correlation, f.name FROM requests r JOIN flows f ON f.id = r.user
         WHERE r.flow = ?1",
    )?;
    let mut rows = query.query([flow])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(3)?;
        if let Ok(user) = UserId::parse(&name) {
            found.push((user, reply(row)?));
        }
    }
    tx.sql.prepare_cached("DELETE FROM requests WHERE flow = ?1")?.execute([flow])?;
    Ok(found)
}

/// Columns request_id, response_topic, correlation.
fn reply(row: &Row<'_>) -> rusqlite::Result<PendingReply> {
    let correlation: Option<Vec<u8>> = row.get(2)?;
    Ok(PendingReply { request_id: row.get(0)?, response_topic: row.get(1)?, correlation: correlation.map(Bytes::from) })
}

impl Store {
    /// Decides a pending join; `None` where there is none. An approval makes a lasting binding.
    pub async fn decide(&self, group: GroupId, user: UserId, approve: bool, now: Millis) -> Result<Option<Decided>> {
        self.write(move |tx| {
            let Some(flow) = flows::find(tx.sql, flows::GROUP, group.as_str())? else { return Ok(None) };
            let Some(user_flow) = flows::find(tx.sql, flows::USER, user.as_str())? else { return Ok(None) };
            let Some(reply) = take(tx, flow, user_flow)? else { return Ok(None) };
            if !approve {
                return Ok(Some(Decided { membership: None, reply }));
            }
            let binding = match bindings::find_open(tx.sql, &user, &group)? {
                Some(open) => {
                    bindings::add_source(tx, &open, Source::Join)?;
                    open.id
                }
                None => bindings::insert(tx, flow, user_flow, Source::Join, now)?,
            };
            let membership = bindings::membership(tx.sql, binding)?;
            Ok(Some(Decided { membership, reply }))
        })
        .await
    }

    /// Pending joins of a group in order of user ID; `None` for an unknown group.
    pub async fn requests(
        &self,
        group: GroupId,
        after: Option<String>,
        limit: usize,
    ) -> Result<Option<Vec<RequestView>>> {
        self.read(move |sql| {
            let Some(flow) = flows::find(sql, flows::GROUP, group.as_str())? else { return Ok(None) };
            let mut query = sql.prepare_cached(
                "SELECT f.name, r.requested_at FROM requests r JOIN flows f ON f.id = r.user
                 WHERE r.flow = ?1 AND f.name > ?2 ORDER BY f.name LIMIT ?3",
            )?;
            let rows = query.query_map(params![flow, after.unwrap_or_default(), limit as i64], |row| {
                Ok(RequestView { user: row.get(0)?, requested_at: row.get(1)? })
            })?;
            Ok(Some(rows.collect::<rusqlite::Result<_>>()?))
        })
        .await
    }
}
