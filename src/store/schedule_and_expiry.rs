//! What time does to pushes: those whose deliver-after has come are dispatched, those whose deadline has come end.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::delivery_state::{self, Content, Due};
use super::duplicates::original;
use super::numbers::UNCONFIRMED;
use super::writer::Tx;
use super::{Error, Result, State, Store, destinations};
use crate::clock::Millis;
use crate::parcel::{PushKey, Seq, Siblings};

/// Rows of one step: what a commit may hold the writer for.
const STEP: i64 = 500;
/// Bytes of bodies that one step reads, and that wait in memory for its commit: the body of a push counts once.
const BYTES: usize = 4 << 20;

impl Store {
    /// Dispatches what is due, high priority first; answers how many. Call again while it answers more than 0.
    pub async fn release_due(&self, now: Millis) -> Result<usize> {
        self.write(move |tx| {
            let rows = due(tx, now)?;
            let mut loaded = HashMap::new();
            for &(row, push) in &rows {
                match release(tx, row, push, &mut loaded, now) {
                    Err(Error::Unreadable(what)) => give_up(tx, row, &what, now)?,
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
            let over: Vec<i64> = tx
                .sql
                .prepare_cached("SELECT id FROM dispatches WHERE state < 2 AND deadline <= ?1 LIMIT ?2")?
                .query_map([now, STEP], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for row in &over {
                delivery_state::end(tx, *row, State::Expired, delivery_state::EXPIRED, now)?;
            }
            Ok(over.len())
        })
        .await
    }

    /// Whether [`Store::release_due`] would find something: a look at an index.
    pub async fn anything_due(&self, now: Millis) -> Result<bool> {
        self.exists("SELECT 1 FROM dispatches WHERE state = 0 AND priority IN (0, 1, 2) AND due <= ?1", now).await
    }

    /// Whether [`Store::expire`] would find something: a look at an index.
    pub async fn anything_over(&self, now: Millis) -> Result<bool> {
        self.exists("SELECT 1 FROM dispatches WHERE state < 2 AND deadline <= ?1", now).await
    }

    async fn exists(&self, rows: &'static str, now: Millis) -> Result<bool> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(&format!("SELECT EXISTS ({rows})"))?;
            Ok(query.query_row([now], |row| row.get(0))?)
        })
        .await
    }
}

/// The next rows that are due with their pushes, in order of priority and then of time, as far as one step goes.
fn due(tx: &Tx<'_>, now: Millis) -> Result<Vec<(i64, PushKey)>> {
    let mut rows = Vec::new();
    let (mut pushes, mut bytes) = (HashSet::new(), 0);
    for priority in 0..3 {
        let left = STEP - rows.len() as i64;
        let mut query = tx.sql.prepare_cached(
            "SELECT d.id, d.push, length(p.body) FROM dispatches d CROSS JOIN pushes p ON p.id = d.push
             WHERE d.state = 0 AND d.priority = ?1 AND d.due <= ?2 AND d.deadline > ?2 ORDER BY d.due, d.id LIMIT ?3",
        )?;
        let mut found = query.query([priority, now, left])?;
        while let Some(row) = found.next()? {
            let (row, push, size): (i64, PushKey, usize) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if pushes.insert(push) {
                bytes += size;
            }
            if bytes > BYTES && !rows.is_empty() {
                return Ok(rows);
            }
            rows.push((row, push));
        }
    }
    Ok(rows)
}

/// One unreadable row must not keep the others from being dispatched.
fn give_up(tx: &mut Tx<'_>, row: i64, what: &str, now: Millis) -> Result<()> {
    tracing::error!(row, what, "a scheduled push could not be dispatched and was ended");
    delivery_state::end(tx, row, State::Undeliverable, delivery_state::NOBODY, now)
}

/// What all addresses of a push have in common, read once.
struct Loaded {
    push_id: String,
    confirmed: bool,
    content_type: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

fn load(tx: &Tx<'_>, push: PushKey) -> Result<Loaded> {
    let mut query =
        tx.sql.prepare_cached("SELECT push_id, delivery, content_type, headers, body FROM pushes WHERE id = ?1")?;
    let (headers, mut loaded) = query.query_row([push], |row| {
        let headers: String = row.get(3)?;
        let loaded = Loaded {
            push_id: original(row.get(0)?),
            confirmed: row.get::<_, i64>(1)? != UNCONFIRMED,
            content_type: row.get(2)?,
            headers: Vec::new(),
            body: Bytes::from(row.get::<_, Vec<u8>>(4)?),
        };
        Ok((headers, loaded))
    })?;
    loaded.headers = serde_json::from_str(&headers).map_err(|error| Error::Unreadable(error.to_string()))?;
    Ok(loaded)
}

/// A scheduled address as it is stored.
struct Scheduled {
    flow: i64,
    kind: i64,
    name: String,
    address: String,
    shared: bool,
    due: Millis,
    deadline: Millis,
    replaces: Option<Seq>,
}

fn release(tx: &mut Tx<'_>, row: i64, push: PushKey, loaded: &mut HashMap<PushKey, Loaded>, now: Millis) -> Result<()> {
    let scheduled = tx
        .sql
        .prepare_cached(
            "SELECT d.flow, f.kind, f.name, d.address, d.shared, d.deadline, d.replaces, d.due
             FROM dispatches d JOIN flows f ON f.id = d.flow WHERE d.id = ?1",
        )?
        .query_row([row], |row| {
            Ok(Scheduled {
                flow: row.get(0)?,
                kind: row.get(1)?,
                name: row.get(2)?,
                address: row.get(3)?,
                shared: row.get(4)?,
                deadline: row.get(5)?,
                replaces: row.get(6)?,
                due: row.get(7)?,
            })
        })?;
    let common = match loaded.entry(push) {
        std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::hash_map::Entry::Vacant(place) => place.insert(load(tx, push)?),
    };
    let content = Content {
        push_id: &common.push_id,
        confirmed: common.confirmed,
        since: scheduled.due,
        deadline: scheduled.deadline,
        content_type: &common.content_type,
        headers: &common.headers,
        body: &common.body,
    };
    let due = Due {
        push,
        flow: scheduled.flow,
        target: &destinations::target(scheduled.kind, &scheduled.name)?,
        address: &scheduled.address,
        siblings: if scheduled.shared { Siblings::Unknown } else { Siblings::None },
        replaces: scheduled.replaces,
        welcome: None,
        is_new: false,
        content: &content,
    };
    delivery_state::dispatch(tx, row, &due, now)
}
