//! Deleting a group. Its name is free at once; what it leaves behind, members above all, is cleared away in transactions of
//! bounded size, after a restart as well.

use rusqlite::params;

use super::closing::Closing;
use super::duplicates::original;
use super::writer::Tx;
use super::{
    Hand, JoinOutcome, Result, State, Store, delivery_state, destinations, late_answers, memberships, pending_joins,
};
use crate::clock::Millis;
use crate::ids::{GroupId, UserId};
use crate::parcel::{BindingId, FlowId};

/// Members that are unbound together at most.
const PORTION: i64 = 1_000;
/// Pushes with a deliver-after that one transaction ends.
const STEP: i64 = 500;

/// How far the deletion of a group without members has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cleared {
    /// Not to its end; these users wait to be told that the group is gone.
    Some(Vec<UserId>),
    All,
}

impl Store {
    /// Takes a group's name away: nobody can join it, push to it or find it any more. `None` for an unknown group.
    pub async fn delete_group(&self, group: GroupId, now: Millis) -> Result<Option<FlowId>> {
        self.write(move |tx| {
            let Some(flow) = destinations::find(tx.sql, destinations::GROUP, group.as_str())? else { return Ok(None) };
            // History (pushes to the group, closed bindings) keeps the row alive under a name nobody can use: group IDs
            // have no control characters. Housekeeping removes it with the last push.
            tx.sql
                .prepare_cached(
                    "UPDATE flows SET name = name || char(1) || id || char(1) || ?2, policy = ?3 WHERE id = ?1",
                )?
                .execute(params![flow, now, destinations::DELETED])?;
            tx.count_groups(-1);
            Ok(Some(flow))
        })
        .await
    }

    /// Groups whose deletion is not finished.
    pub async fn deleted_groups(&self) -> Result<Vec<FlowId>> {
        self.read(|sql| {
            let mut query =
                sql.prepare_cached("SELECT id FROM flows INDEXED BY flows_deleted WHERE policy = 3 LIMIT 100")?;
            Ok(query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Some of those who are still bound to a group that is being deleted.
    pub async fn remaining_members(&self, flow: FlowId) -> Result<Vec<(BindingId, UserId)>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT b.id, f.name FROM bindings b INDEXED BY bindings_open CROSS JOIN flows f ON f.id = b.user
                 WHERE b.flow = ?1 AND b.left_seq IS NULL LIMIT ?2",
            )?;
            let rows: Vec<(BindingId, String)> = query
                .query_map([flow, PORTION], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(rows.into_iter().filter_map(|(id, name)| Some((id, UserId::parse(&name).ok()?))).collect())
        })
        .await
    }

    /// Closes these bindings, as many of them as one transaction may; answers how many. The cursors of their users have to
    /// be settled before this.
    pub async fn unbind_all(&self, bindings: Vec<BindingId>, hand: Hand, now: Millis) -> Result<usize> {
        self.write(move |tx| {
            let mut closing = Closing::new(now, hand);
            let mut done = 0;
            for binding in bindings {
                if closing.is_full() {
                    break;
                }
                tx.sql.prepare_cached("DELETE FROM subscriptions WHERE binding = ?1")?.execute([binding])?;
                if let Some(open) = memberships::find_open_by_id(tx.sql, binding)? {
                    closing.close(tx, open)?;
                }
                done += 1;
            }
            closing.finish(tx)?;
            Ok(done)
        })
        .await
    }

    /// Clears away some of what else a deleted group leaves behind.
    pub async fn clear_group(&self, flow: FlowId, now: Millis) -> Result<Cleared> {
        self.write(move |tx| {
            let told = refuse_requests(tx, flow, now)?;
            let scheduled: Vec<i64> = tx
                .sql
                .prepare_cached("SELECT id FROM dispatches WHERE flow = ?1 AND seq IS NULL AND state = 0 LIMIT ?2")?
                .query_map([flow, STEP], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for row in &scheduled {
                delivery_state::end(tx, *row, State::Undeliverable, delivery_state::NOBODY, now)?;
            }
            if told.is_empty() && scheduled.is_empty() {
                tx.sql.prepare_cached("UPDATE flows SET policy = 2 WHERE id = ?1 AND policy = 3")?.execute([flow])?;
                return Ok(Cleared::All);
            }
            Ok(Cleared::Some(told))
        })
        .await
    }
}

/// Who asked to be let in hears that there is nothing left to be in.
fn refuse_requests(tx: &mut Tx<'_>, flow: FlowId, now: Millis) -> Result<Vec<UserId>> {
    let name: String =
        tx.sql.prepare_cached("SELECT name FROM flows WHERE id = ?1")?.query_row([flow], |row| row.get(0))?;
    let group = original(name);
    let mut told = Vec::new();
    for (user, reply) in pending_joins::take_some(tx, flow)? {
        late_answers::record(tx, user, &group, JoinOutcome::GroupDeleted, &reply, now)?;
        let name: String =
            tx.sql.prepare_cached("SELECT name FROM flows WHERE id = ?1")?.query_row([user], |row| row.get(0))?;
        told.extend(UserId::parse(&name));
    }
    late_answers::trim(tx)?;
    Ok(told)
}
