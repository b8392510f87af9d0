//! Decisions on joins that the one who asked has still to be told of.

use rusqlite::params;

use super::writer::Tx;
use super::{JoinOutcome, PendingReply, Result, Store, WaitingAnswer, destinations, pending_joins};
use crate::clock::Millis;
use crate::ids::{GroupId, UserId};
use crate::parcel::FlowId;

/// Answers that wait for one user at most, and for all of them; the oldest are forgotten.
const OF_USER: usize = 100;
const ALL: usize = 10_000;
/// Answers that one transaction forgets.
const STEP: usize = 500;

pub(super) fn record(
    tx: &Tx<'_>,
    user: FlowId,
    group: &str,
    outcome: JoinOutcome,
    reply: &PendingReply,
    now: Millis,
) -> Result<()> {
    tx.sql
        .prepare_cached(
            "INSERT INTO answers (user, group_name, outcome, request_id, response_topic, correlation, decided_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            user,
            group,
            outcome.number(),
            reply.request_id,
            reply.response_topic,
            reply.correlation.as_deref(),
            now
        ])?;
    tx.sql
        .prepare_cached(
            "DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE user = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute(params![user, OF_USER as i64])?;
    Ok(())
}

/// To be called once by each transaction that has recorded some.
pub(super) fn trim(tx: &Tx<'_>) -> Result<()> {
    tx.sql
        .prepare_cached("DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY id DESC LIMIT -1 OFFSET ?1)")?
        .execute([ALL as i64])?;
    Ok(())
}

/// Who is out of the group again need not hear that it was let in.
pub(super) fn withdraw(tx: &Tx<'_>, user: FlowId, group: &str) -> Result<()> {
    tx.sql.prepare_cached("DELETE FROM answers WHERE user = ?1 AND group_name = ?2")?.execute(params![user, group])?;
    Ok(())
}

impl Store {
    /// What waits to be told to a user, oldest first.
    pub async fn answers(&self, user: UserId) -> Result<Vec<WaitingAnswer>> {
        self.read(move |sql| {
            let Some(user) = destinations::find(sql, destinations::USER, user.as_str())? else { return Ok(Vec::new()) };
            let mut query = sql.prepare_cached(
                "SELECT id, group_name, outcome, request_id, response_topic, correlation FROM answers
                 WHERE user = ?1 ORDER BY id",
            )?;
            let mut rows = query.query([user])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let name: String = row.get(1)?;
                let Ok(group) = GroupId::parse(&name) else { continue };
                let outcome = JoinOutcome::from_number(row.get(2)?);
                found.push(WaitingAnswer { id: row.get(0)?, group, outcome, reply: pending_joins::reply(row, 3)? });
            }
            Ok(found)
        })
        .await
    }

    /// The user has been told.
    pub async fn told(&self, user: UserId, answers: Vec<i64>) -> Result<()> {
        self.write(move |tx| {
            let Some(user) = destinations::find(tx.sql, destinations::USER, user.as_str())? else { return Ok(()) };
            let mut statement = tx.sql.prepare_cached("DELETE FROM answers WHERE id = ?1 AND user = ?2")?;
            answers.iter().try_for_each(|id| statement.execute([*id, user]).map(drop))?;
            Ok(())
        })
        .await
    }

    /// Forgets decisions made before `until`; answers how many. Call again while it answers more than 0.
    pub async fn forget_answers(&self, until: Millis) -> Result<usize> {
        self.write(move |tx| {
            let mut statement = tx.sql.prepare_cached(
                "DELETE FROM answers WHERE id IN (SELECT id FROM answers WHERE decided_at < ?1 LIMIT ?2)",
            )?;
            Ok(statement.execute(params![until, STEP as i64])?)
        })
        .await
    }
}
