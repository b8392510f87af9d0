//! What time does to pushes: those whose deliver-after has come are dispatched, those whose deadline has come end.

use bytes::Bytes;
use rusqlite::params;

use super::dispatch::{self, Content, Due};
use super::duplicates::original;
use super::submit::UNCONFIRMED;
use super::writer::Tx;
use super::{Error, Result, State, Store, flows};
use crate::clock::Millis;

/// Rows of one step: what a commit may hold the writer for.
const STEP: i64 = 500;

impl Store {
    /// Dispatches what is due, high priority first; answers how many. Call again while it answers more than 0.
    pub async fn release_due(&self, now: Millis) -> Result<usize> {
        self.write(move |tx| {
            let rows = due(tx, now)?;
            for row in &rows {
                match release(tx, *row, now) {
                    Err(Error::Unreadable(what)) => give_up(tx, *row, &what, now)?,
                    other => other?,
                }
            }
            Ok(rows.len())
        })
        .await
    }

    /// Ends what nobody may be sent any more; answers how many. All cursors have to be settled before this.
    pub async fn expire(&self, now: Millis) -> Result<usize> {
        self.write(move |tx| {
            Ok(tx
                .sql
                .prepare_cached(
                    "UPDATE dispatches SET state = ?2, code = ?3, event_at = ?1
                     WHERE id IN (SELECT id FROM dispatches WHERE state < 2 AND deadline <= ?1 LIMIT ?4)",
                )?
                .execute(params![now, State::Expired.number(), dispatch::EXPIRED, STEP])?)
        })
        .await
    }

    /// Whether [`Store::expire`] or [`Store::release_due`] would find something: a look at two indexes.
    pub async fn anything_due(&self, now: Millis) -> Result<bool> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM dispatches WHERE state < 2 AND deadline <= ?1)
                     OR EXISTS (SELECT 1 FROM dispatches WHERE state = 0 AND priority IN (0, 1, 2) AND due <= ?1)",
            )?;
            Ok(query.query_row([now], |row| row.get(0))?)
        })
        .await
    }
}

/// The next rows that are due, in order of priority and then of time.
fn due(tx: &Tx<'_>, now: Millis) -> Result<Vec<i64>> {
    let mut rows = Vec::new();
    for priority in 0..3 {
        let left = STEP - rows.len() as i64;
        let mut query = tx.sql.prepare_cached(
            "SELECT id FROM dispatches WHERE state = 0 AND priority = ?1 AND due <= ?2 AND deadline > ?2 ORDER BY due, id LIMIT ?3",
        )?;
        let found = query.query_map([priority, now, left], |row| row.get(0))?;
        rows.extend(found.collect::<rusqlite::Result<Vec<i64>>>()?);
    }
    Ok(rows)
}

/// One unreadable row must not keep the others from being dispatched.
fn give_up(tx: &Tx<'_>, row: i64, what: &str, now: Millis) -> Result<()> {
    tracing::error!(row, what, "a scheduled push could not be dispatched and was ended");
    tx.sql
        .prepare_cached("UPDATE dispatches SET state = ?2, code = ?3, event_at = ?4 WHERE id = ?1")?
        .execute(params![row, State::Undeliverable.number(), dispatch::NOBODY, now])?;
    Ok(())
}

/// A scheduled address as it is stored.
struct Scheduled {
    push: i64,
    flow: i64,
    kind: i64,
    name: String,
    address: String,
    shared: bool,
    replaces: Option<i64>,
    push_id: String,
    delivery: i64,
    deadline: Millis,
    content_type: String,
    headers: String,
    body: Vec<u8>,
}

fn release(tx: &mut Tx<'_>, row: i64, now: Millis) -> Result<()> {
    let scheduled = tx
        .sql
        .prepare_cached(
            "SELECT d.push, d.flow, f.kind, f.name, d.address, d.shared, p.push_id, p.delivery, d.deadline, p.content_type,
                p.headers, p.body, d.replaces FROM dispatches d JOIN pushes p ON p.id = d.push JOIN flows f ON f.id = d.flow WHERE d.id = ?1",
        )?
        .query_row([row], |row| {
            Ok(Scheduled {
                push: row.get(0)?,
                flow: row.get(1)?,
                kind: row.get(2)?,
                name: row.get(3)?,
                address: row.get(4)?,
                shared: row.get(5)?,
                push_id: original(row.get(6)?),
                delivery: row.get(7)?,
                deadline: row.get(8)?,
                content_type: row.get(9)?,
                headers: row.get(10)?,
                body: row.get(11)?,
                replaces: row.get(12)?,
            })
        })?;
    let headers: Vec<(String, String)> =
        serde_json::from_str(&scheduled.headers).map_err(|error| Error::Unreadable(error.to_string()))?;
    let content = Content {
        push_id: &scheduled.push_id,
        confirmed: scheduled.delivery != UNCONFIRMED,
        deadline: scheduled.deadline,
        content_type: &scheduled.content_type,
        headers: &headers,
        body: &Bytes::from(scheduled.body),
    };
    let due = Due {
        push: scheduled.push,
        flow: scheduled.flow,
        target: &flows::target(scheduled.kind, &scheduled.name)?,
        address: &scheduled.address,
        shared: scheduled.shared,
        replaces: scheduled.replaces,
        content: &content,
    };
    dispatch::dispatch(tx, row, &due, now)
}
