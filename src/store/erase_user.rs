//! Erasing a user: memberships, sessions, credentials and what was to be sent to it alone. What has to stay (numbers of pushes,
//! the history of groups) names a pseudonym instead.

use rusqlite::params;

use super::closing::Closing;
use super::writer::Tx;
use super::{Erased, Hand, Result, State, Store, delivery_state, destinations, memberships, pending_joins};
use crate::clock::Millis;
use crate::ids::UserId;
use crate::parcel::FlowId;

impl Store {
    /// Erases a user; `None` where there is none of this name. Nobody may act for it, and its cursors have to be settled
    /// before this. `pseudonym` must be nobody's name.
    pub async fn erase_user(
        &self,
        user: UserId,
        pseudonym: String,
        operator: String,
        now: Millis,
    ) -> Result<Option<Erased>> {
        self.write(move |tx| {
            let mut erased = Erased { credentials: forget_by_name(tx, &user)?, ..Erased::default() };
            let flow = destinations::find(tx.sql, destinations::USER, user.as_str())?;
            if let Some(flow) = flow {
                erased.pushes = end_scheduled(tx, flow, now)?;
                erased.memberships = leave_all(tx, flow, operator, now)?;
                forget_requests(tx, flow)?;
                tx.sql
                    .prepare_cached("UPDATE dispatches SET address = 'user:' || ?2 WHERE flow = ?1")?
                    .execute(params![flow, pseudonym])?;
                tx.sql.prepare_cached("UPDATE flows SET name = ?2 WHERE id = ?1")?.execute(params![flow, pseudonym])?;
            }
            erased.sessions =
                tx.sql.prepare_cached("DELETE FROM sessions WHERE user = ?1")?.execute([user.as_str()])? as u64;
            let known = tx
                .sql
                .prepare_cached("UPDATE history SET user = ?2 WHERE user = ?1")?
                .execute(params![user.as_str(), pseudonym])?;
            let mut audit = tx.sql.prepare_cached(
                "UPDATE audit SET object = iif(object = ?1, ?2, object), detail = iif(detail = ?1, ?2, detail)
                 WHERE object = ?1 OR detail = ?1",
            )?;
            // All the ways in which an act names a user.
            for words in ["user ", "member ", "the join of "] {
                audit.execute([format!("{words}{user}"), format!("{words}{pseudonym}")])?;
            }
            drop(audit);
            let was_there = flow.is_some() || erased.credentials > 0 || erased.sessions > 0 || known > 0;
            Ok(was_there.then_some(erased))
        })
        .await
    }
}

/// Subscriptions, terminals and credentials; answers how many credentials there were.
fn forget_by_name(tx: &Tx<'_>, user: &UserId) -> Result<u64> {
    for text in [
        "DELETE FROM subscriptions WHERE session IN (SELECT id FROM sessions WHERE user = ?1)",
        "DELETE FROM terminals WHERE user = ?1",
    ] {
        tx.sql.prepare_cached(text)?.execute([user.as_str()])?;
    }
    // 0: a device.
    let mut query = tx.sql.prepare_cached("DELETE FROM credentials WHERE kind = 0 AND name = ?1")?;
    Ok(query.execute([user.as_str()])? as u64)
}

/// Pushes to this user alone that are not due yet.
fn end_scheduled(tx: &mut Tx<'_>, flow: FlowId, now: Millis) -> Result<u64> {
    let open: Vec<(i64, bool)> = tx
        .sql
        .prepare_cached("SELECT id, state = 0 FROM dispatches WHERE flow = ?1 AND state < 2")?
        .query_map([flow], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (row, _) in open.iter().filter(|(_, scheduled)| *scheduled) {
        delivery_state::end(tx, *row, State::Undeliverable, delivery_state::NOBODY, now)?;
    }
    Ok(open.len() as u64)
}

/// Answers how many groups it was in. Its own pushes that are under way end as its own membership does.
fn leave_all(tx: &mut Tx<'_>, user: FlowId, operator: String, now: Millis) -> Result<u64> {
    let bindings: Vec<i64> = tx
        .sql
        .prepare_cached("SELECT id FROM bindings WHERE user = ?1 AND left_seq IS NULL")?
        .query_map([user], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut closing = Closing::new(now, Hand::Operator(operator));
    let mut left = 0;
    for binding in bindings {
        tx.sql.prepare_cached("DELETE FROM subscriptions WHERE binding = ?1")?.execute([binding])?;
        if let Some(open) = memberships::find_open_by_id(tx.sql, binding)? {
            left += u64::from(open.flow != open.user);
            closing.close(tx, open)?;
        }
    }
    closing.finish(tx)?;
    Ok(left)
}

fn forget_requests(tx: &mut Tx<'_>, user: FlowId) -> Result<()> {
    let groups: Vec<FlowId> = tx
        .sql
        .prepare_cached("SELECT flow FROM requests WHERE user = ?1")?
        .query_map([user], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for group in groups {
        pending_joins::take(tx, group, user)?;
    }
    tx.sql.prepare_cached("DELETE FROM answers WHERE user = ?1")?.execute([user])?;
    Ok(())
}
