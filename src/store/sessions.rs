//! MQTT sessions, as far as they must outlive a connection: the subscriptions that bind, and the right to be resumed.

use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Tx;
use super::{Bind, Bound, CursorMove, Result, Source, Store, StoredSession, bindings, cursors};
use crate::clock::Millis;
use crate::ids::UserId;

impl Store {
    /// What is stored of a client's session, and the user it acted for.
    pub async fn session(&self, client: String) -> Result<Option<StoredSession>> {
        self.read(move |sql| {
            let Some(id) = find(sql, &client)? else { return Ok(None) };
            let mut query = sql.prepare_cached("SELECT filter, qos FROM subscriptions WHERE session = ?1")?;
            let subscriptions =
                query.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
            Ok(Some(StoredSession { subscriptions }))
        })
        .await
    }

    /// Begins or resumes a session. `lasting`: it may be resumed after its connection ends, for `expiry`.
    pub async fn keep_session(&self, client: String, user: UserId, lasting: bool, expiry: Millis) -> Result<()> {
        self.write(move |tx| ensure(tx, &client, &user, lasting, expiry).map(drop)).await
    }

    /// Records a subscription; one that binds is a group request and is answered like one.
    pub async fn subscribe(
        &self,
        client: String,
        user: UserId,
        filter: String,
        qos: u8,
        bind: Option<Bind>,
    ) -> Result<Option<Bound>> {
        self.write(move |tx| {
            let bound = bind.map(|bind| bindings::bind_in(tx, &bind)).transpose()?;
            let binding = match &bound {
                Some(Bound::Member { membership, .. }) => Some(membership.binding),
                Some(_) => return Ok(bound),
                None => None,
            };
            let session = ensure(tx, &client, &user, false, 0)?;
            tx.sql
                .prepare_cached("INSERT OR REPLACE INTO subscriptions (session, filter, qos, binding) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![session, filter, qos, binding])?;
            Ok(bound)
        })
        .await
    }

    /// Forgets a subscription, and the binding it held if nothing else holds it. Answers whether it was there.
    pub async fn unsubscribe(&self, client: String, filter: String, moves: Vec<CursorMove>, now: Millis) -> Result<bool> {
        self.write(move |tx| {
            cursors::settle_in(tx, &moves, now)?;
            let Some(session) = find(tx.sql, &client)? else { return Ok(false) };
            let binding: Option<Option<i64>> = tx
                .sql
                .prepare_cached("SELECT binding FROM subscriptions WHERE session = ?1 AND filter = ?2")?
                .query_row(params![session, filter], |row| row.get(0))
                .optional()?;
            let Some(binding) = binding else { return Ok(false) };
            tx.sql
                .prepare_cached("DELETE FROM subscriptions WHERE session = ?1 AND filter = ?2")?
                .execute(params![session, filter])?;
            if let Some(binding) = binding {
                release(tx, binding, now)?;
            }
            Ok(true)
        })
        .await
    }

    /// The connection is gone and the session stays for now.
    pub async fn session_away(&self, client: String, expiry: Millis, now: Millis) -> Result<()> {
        self.write(move |tx| {
            tx.sql
                .prepare_cached("UPDATE sessions SET away_since = ?2, expiry = ?3, lasting = 1 WHERE client = ?1")?
                .execute(params![client, now, expiry])?;
            Ok(())
        })
        .await
    }

    /// The session is over, with all that it held.
    pub async fn end_session(&self, client: String, now: Millis) -> Result<()> {
        self.write(move |tx| match find(tx.sql, &client)? {
            Some(id) => end(tx, id, now),
            None => Ok(()),
        })
        .await
    }

    /// At start: no connection survived the last process, so sessions that ended with theirs are over, and the others
    /// are away from now on. Answers how many ended.
    pub async fn begin_sessions(&self, now: Millis) -> Result<usize> {
        self.write(move |tx| {
            let over = ids(tx.sql, "SELECT id FROM sessions WHERE lasting = 0", params![])?;
            for id in &over {
                end(tx, *id, now)?;
            }
            tx.sql.execute("UPDATE sessions SET away_since = ?1 WHERE away_since IS NULL", [now])?;
            Ok(over.len())
        })
        .await
    }

    /// Ends sessions that have been away longer than they may, some at a time.
    pub async fn expire_sessions(&self, now: Millis) -> Result<usize> {
        self.write(move |tx| {
            let text = "SELECT id FROM sessions WHERE away_since IS NOT NULL AND away_since + expiry <= ?1 LIMIT 500";
            let over = ids(tx.sql, text, params![now])?;
            for id in &over {
                end(tx, *id, now)?;
            }
            Ok(over.len())
        })
        .await
    }
}

fn ids(sql: &Connection, text: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<i64>> {
    Ok(sql.prepare_cached(text)?.query_map(values, |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

fn find(sql: &Connection, client: &str) -> Result<Option<i64>> {
    let mut query = sql.prepare_cached("SELECT id FROM sessions WHERE client = ?1")?;
    Ok(query.query_row([client], |row| row.get(0)).optional()?)
}

fn ensure(tx: &Tx<'_>, client: &str, user: &UserId, lasting: bool, expiry: Millis) -> Result<i64> {
    if let Some(id) = find(tx.sql, client)? {
        tx.sql
            .prepare_cached(
                "UPDATE sessions SET user = ?2, lasting = max(lasting, ?3), expiry = max(expiry, ?4), away_since = NULL WHERE id = ?1",
            )?
            .execute(params![id, user.as_str(), lasting, expiry])?;
        return Ok(id);
    }
    tx.sql
        .prepare_cached("INSERT INTO sessions (client, user, lasting, expiry) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![client, user.as_str(), lasting, expiry])?;
    Ok(tx.sql.last_insert_rowid())
}

fn end(tx: &mut Tx<'_>, session: i64, now: Millis) -> Result<()> {
    let held = ids(tx.sql, "SELECT binding FROM subscriptions WHERE session = ?1 AND binding IS NOT NULL", params![session])?;
    tx.sql.prepare_cached("DELETE FROM subscriptions WHERE session = ?1")?.execute([session])?;
    tx.sql.prepare_cached("DELETE FROM sessions WHERE id = ?1")?.execute([session])?;
    for binding in held {
        release(tx, binding, now)?;
    }
    Ok(())
}

/// A subscription that held this binding is gone: unless another session's holds it too, so is that reason.
fn release(tx: &mut Tx<'_>, binding: i64, now: Millis) -> Result<()> {
    let others: i64 = tx
        .sql
        .prepare_cached("SELECT count(*) FROM subscriptions WHERE binding = ?1")?
        .query_row([binding], |row| row.get(0))?;
    if others == 0
        && let Some(open) = bindings::find_open_by_id(tx.sql, binding)?
    {
        bindings::remove_sources(tx, &open, Source::Subscribe.bit(), now)?;
    }
    Ok(())
}
