//! MQTT sessions, as far as they must outlive a connection: the subscriptions that bind, and the right to be resumed.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::closing::Closing;
use super::writer::Tx;
use super::{
    Arrival, Bind, Bound, Fate, Hand, Result, SessionOwner, Source, Store, StoredSession, join, memberships, set_aside,
};
use crate::clock::Millis;
use crate::ids::UserId;
use crate::parcel::BindingId;

/// Why connections ended of which the last process could not say it.
const STOPPED: &str = "the gateway was stopped or killed";

/// Sessions that one transaction ends.
const PORTION: usize = 1_000;

/// A filter of a SUBSCRIBE.
#[derive(Debug, Clone)]
pub struct Wish {
    pub filter: String,
    /// Quality of service and No Local, as in SUBSCRIBE.
    pub options: u8,
    /// The group request that it is, where it is one.
    pub bind: Option<Bind>,
}

/// Records one subscription; answers what became of its group request, and the binding that it held before.
fn subscribe_in(
    tx: &mut Tx<'_>,
    client: &str,
    user: &UserId,
    wish: &Wish,
) -> Result<(Option<Bound>, Option<BindingId>)> {
    let bound = wish.bind.as_ref().map(|bind| join::bind_in(tx, bind)).transpose()?;
    let binding = match &bound {
        Some(Bound::Member { membership, .. }) => Some(membership.binding),
        Some(_) => return Ok((bound, None)),
        None => None,
    };
    let session = ensure(tx, client, user)?;
    let before = held(tx.sql, session, &wish.filter)?.filter(|held| Some(*held) != binding);
    tx.sql
        .prepare_cached("INSERT OR REPLACE INTO subscriptions (session, filter, qos, binding) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![session, wish.filter, wish.options, binding])?;
    Ok((bound, before))
}

impl Store {
    /// What a connection of this client for this user starts from.
    pub async fn arrive(&self, client: String, user: UserId, now: Millis) -> Result<Arrival> {
        self.read(move |sql| {
            let snapshot = sql.unchecked_transaction()?;
            let memberships = memberships::memberships(&snapshot, &user)?;
            let aside = set_aside::of_user(&snapshot, &user, &client)?;
            let answers = snapshot
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM answers WHERE user = (SELECT id FROM flows WHERE kind = 1 AND name = ?1))",
                )?
                .query_row([user.as_str()], |row| row.get(0))?;
            let mut query = snapshot.prepare_cached(
                "SELECT id, lasting AND coalesce(away_since + expiry > ?2, 1), user FROM sessions WHERE client = ?1",
            )?;
            let row: Option<(i64, bool, String)> =
                query.query_row(params![client, now], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
            let Some((id, lasting, user)) = row else { return Ok(Arrival { session: None, memberships, aside, answers }) };
            let mut query = snapshot.prepare_cached("SELECT filter, qos FROM subscriptions WHERE session = ?1")?;
            let subscriptions =
                query.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
            Ok(Arrival { session: Some(StoredSession { user, lasting, subscriptions }), memberships, aside, answers })
        })
        .await
    }

    /// The user a client's session belongs to.
    pub async fn session_owner(&self, client: String, now: Millis) -> Result<Option<SessionOwner>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT user, lasting AND coalesce(away_since + expiry > ?2, 1), by_jwt FROM sessions WHERE client = ?1",
            )?;
            let owner = |row: &rusqlite::Row<'_>| {
                Ok(SessionOwner { user: row.get(0)?, lasting: row.get(1)?, by_jwt: row.get(2)? })
            };
            Ok(query.query_row(params![client, now], owner).optional()?)
        })
        .await
    }

    /// Group subscriptions of a client's session whose bindings are another user's: its last connection acted for that one.
    pub async fn foreign_subscriptions(&self, client: String, user: UserId) -> Result<Vec<(String, u8, UserId)>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT s.filter, s.qos, f.name FROM sessions c JOIN subscriptions s ON s.session = c.id
                 JOIN bindings b ON b.id = s.binding JOIN flows f ON f.id = b.user
                 WHERE c.client = ?1 AND f.name <> ?2",
            )?;
            let rows = query.query_map(params![client, user.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
            })?;
            let rows: Vec<(String, u8, String)> = rows.collect::<rusqlite::Result<_>>()?;
            Ok(rows
                .into_iter()
                .filter_map(|(filter, qos, user)| Some((filter, qos, UserId::parse(&user).ok()?)))
                .collect())
        })
        .await
    }

    /// Begins or resumes a session; with an `expiry` it may be resumed after its connection ends. `false`: its user has `most`
    /// of them, and it is not stored.
    pub async fn keep_session(
        &self,
        client: String,
        user: UserId,
        expiry: Millis,
        by_jwt: bool,
        most: u32,
    ) -> Result<bool> {
        self.write(move |tx| {
            if find(tx.sql, &client)?.is_none() && count(tx.sql, &user, most)? >= i64::from(most) {
                return Ok(false);
            }
            let id = ensure(tx, &client, &user)?;
            tx.sql
                .prepare_cached(
                    "UPDATE sessions SET user = ?2, lasting = ?3, expiry = ?4, by_jwt = ?5, away_since = NULL WHERE id = ?1",
                )?
                .execute(params![id, user.as_str(), expiry > 0, expiry, by_jwt])?;
            Ok(true)
        })
        .await
    }

    /// Records the subscriptions of one SUBSCRIBE, in one transaction. One that binds is a group request and is answered
    /// like one. What the subscriptions had held before, bindings of another user, is given up.
    pub async fn subscribe(
        &self,
        client: String,
        user: UserId,
        wishes: Vec<Wish>,
        now: Millis,
    ) -> Result<Vec<Option<Bound>>> {
        self.write(move |tx| {
            let mut closing = Closing::new(now, Hand::Subscription);
            let mut answers = Vec::with_capacity(wishes.len());
            for wish in &wishes {
                let (bound, before) = subscribe_in(tx, &client, &user, wish)?;
                if let Some(before) = before {
                    release(tx, before, &mut closing)?;
                }
                answers.push(bound);
            }
            closing.finish(tx)?;
            Ok(answers)
        })
        .await
    }

    /// Forgets a subscription, and the binding it held if nothing else holds it. The user's cursors have to be settled
    /// before this.
    pub async fn unsubscribe(&self, client: String, filter: String, now: Millis) -> Result<()> {
        self.write(move |tx| {
            let Some(session) = find(tx.sql, &client)? else { return Ok(()) };
            let binding: Option<Option<i64>> = tx
                .sql
                .prepare_cached("SELECT binding FROM subscriptions WHERE session = ?1 AND filter = ?2")?
                .query_row(params![session, filter], |row| row.get(0))
                .optional()?;
            let Some(binding) = binding else { return Ok(()) };
            tx.sql
                .prepare_cached("DELETE FROM subscriptions WHERE session = ?1 AND filter = ?2")?
                .execute(params![session, filter])?;
            let mut closing = Closing::new(now, Hand::Subscription);
            if let Some(binding) = binding {
                release(tx, binding, &mut closing)?;
            }
            closing.finish(tx)
        })
        .await
    }

    /// The connection is gone and the session stays for now.
    pub async fn session_away(&self, client: String, expiry: Millis, now: Millis) -> Result<()> {
        self.write(move |tx| away(tx, &client, expiry, now)).await
    }

    /// The users of all bindings that the sessions of these clients hold.
    pub async fn session_users(&self, clients: Vec<String>) -> Result<Vec<UserId>> {
        self.read(move |sql| {
            let mut users = HashSet::new();
            for client in &clients {
                if let Some(session) = find(sql, client)? {
                    users.extend(holders(sql, session)?);
                }
            }
            Ok(users.iter().filter_map(|user| UserId::parse(user).ok()).collect())
        })
        .await
    }

    /// Deals with many sessions in one transaction. Those that hold a binding of somebody not among `users` are left for
    /// the next time, and so is what would be too much for one transaction. Nobody may join or leave for these users
    /// meanwhile, and their cursors have to be settled before this. Answers the clients of those it has dealt with.
    pub async fn end_sessions(
        &self,
        ends: Vec<(String, Fate)>,
        users: Vec<UserId>,
        now: Millis,
    ) -> Result<Vec<String>> {
        self.write(move |tx| {
            let users: HashSet<&str> = users.iter().map(UserId::as_str).collect();
            let mut closing = Closing::new(now, Hand::Subscription);
            let mut ended = Vec::new();
            for (client, fate) in ends {
                if closing.is_full() {
                    break;
                }
                if settle_fate(tx, &client, fate, &users, &mut closing)? {
                    ended.push(client);
                }
            }
            closing.finish(tx)?;
            Ok(ended)
        })
        .await
    }

    /// At start: no connection survived the last process, so sessions that ended with theirs are over, and the others
    /// are away from now on. Answers how many ended.
    pub async fn begin_sessions(&self, now: Millis) -> Result<usize> {
        let (mut ended, mut after) = (0, 0);
        loop {
            // In portions: one transaction for all would outgrow the cache, and each of its pages be looked for in a log
            // that gets longer and longer.
            let over = self
                .write(move |tx| {
                    let over = ids(
                        tx.sql,
                        "SELECT id FROM sessions WHERE lasting = 0 AND id > ?1 ORDER BY id LIMIT ?2",
                        params![after, PORTION as i64],
                    )?;
                    let mut closing = Closing::new(now, Hand::Subscription);
                    over.iter().try_for_each(|id| end(tx, *id, &mut closing))?;
                    closing.finish(tx)?;
                    Ok(over)
                })
                .await?;
            ended += over.len();
            match over.last() {
                Some(last) if over.len() == PORTION => after = *last,
                _ => break,
            }
        }
        self.write(move |tx| {
            tx.sql.execute("UPDATE sessions SET away_since = ?1 WHERE away_since IS NULL", [now])?;
            // Whoever was connected when the last process ended was here until then, as far as anybody knows.
            tx.sql.execute("UPDATE terminals SET seen_at = ?1, gone = ?2 WHERE gone IS NULL", params![now, STOPPED])?;
            Ok(ended)
        })
        .await
    }

    /// Clients whose sessions are this user's.
    pub async fn sessions_of(&self, user: UserId) -> Result<Vec<String>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached("SELECT client FROM sessions WHERE user = ?1")?;
            Ok(query.query_map([user.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Clients whose sessions have been away longer than they may, some at a time.
    pub async fn expired_sessions(&self, now: Millis, limit: usize) -> Result<Vec<(String, UserId)>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT client, user FROM sessions WHERE away_since IS NOT NULL AND away_since + expiry <= ?1 LIMIT ?2",
            )?;
            let rows: Vec<(String, String)> = query
                .query_map(params![now, limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(rows.into_iter().filter_map(|(client, user)| Some((client, UserId::parse(&user).ok()?))).collect())
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

/// Sessions of a user, counted as far as it matters.
fn count(sql: &Connection, user: &UserId, most: u32) -> Result<i64> {
    let mut query = sql.prepare_cached("SELECT count(*) FROM (SELECT 1 FROM sessions WHERE user = ?1 LIMIT ?2)")?;
    Ok(query.query_row(params![user.as_str(), most], |row| row.get(0))?)
}

/// The binding that a subscription holds.
fn held(sql: &Connection, session: i64, filter: &str) -> Result<Option<i64>> {
    let mut query = sql.prepare_cached("SELECT binding FROM subscriptions WHERE session = ?1 AND filter = ?2")?;
    Ok(query.query_row(params![session, filter], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten())
}

fn ensure(tx: &Tx<'_>, client: &str, user: &UserId) -> Result<i64> {
    if let Some(id) = find(tx.sql, client)? {
        return Ok(id);
    }
    tx.sql
        .prepare_cached("INSERT INTO sessions (client, user, lasting, expiry) VALUES (?1, ?2, 0, 0)")?
        .execute(params![client, user.as_str()])?;
    Ok(tx.sql.last_insert_rowid())
}

/// The users of the bindings that a session holds, as they are stored.
fn holders(sql: &Connection, session: i64) -> Result<Vec<String>> {
    let mut query = sql.prepare_cached(
        "SELECT DISTINCT f.name FROM subscriptions s CROSS JOIN bindings b ON b.id = s.binding CROSS JOIN flows f ON f.id = b.user
         WHERE s.session = ?1",
    )?;
    Ok(query.query_map([session], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Answers whether the session has been dealt with.
fn settle_fate(tx: &Tx<'_>, client: &str, fate: Fate, users: &HashSet<&str>, closing: &mut Closing) -> Result<bool> {
    let over = match fate {
        Fate::Present => {
            tx.sql.prepare_cached("UPDATE sessions SET away_since = NULL WHERE client = ?1")?.execute([client])?;
            return Ok(true);
        }
        Fate::Away { expiry } => {
            away(tx, client, expiry, closing.now())?;
            return Ok(true);
        }
        Fate::Over => find(tx.sql, client)?,
        Fate::Expired => ids(
            tx.sql,
            "SELECT id FROM sessions WHERE client = ?1 AND away_since IS NOT NULL AND away_since + expiry <= ?2",
            params![client, closing.now()],
        )?
        .pop(),
    };
    let Some(session) = over else { return Ok(true) };
    // Nobody can be asked to wait whose name is none.
    let waits = |user: &String| users.contains(user.as_str()) || UserId::parse(user).is_err();
    if !holders(tx.sql, session)?.iter().all(waits) {
        return Ok(false);
    }
    end(tx, session, closing)?;
    Ok(true)
}

fn away(tx: &Tx<'_>, client: &str, expiry: Millis, now: Millis) -> Result<()> {
    tx.sql
        .prepare_cached("UPDATE sessions SET away_since = ?2, expiry = ?3, lasting = 1 WHERE client = ?1")?
        .execute(params![client, now, expiry])?;
    Ok(())
}

fn end(tx: &Tx<'_>, session: i64, closing: &mut Closing) -> Result<()> {
    let held =
        ids(tx.sql, "SELECT binding FROM subscriptions WHERE session = ?1 AND binding IS NOT NULL", params![session])?;
    tx.sql.prepare_cached("DELETE FROM subscriptions WHERE session = ?1")?.execute([session])?;
    tx.sql.prepare_cached("DELETE FROM sessions WHERE id = ?1")?.execute([session])?;
    closing.add_row();
    held.into_iter().try_for_each(|binding| release(tx, binding, closing))
}

/// A subscription that held this binding is gone: unless another session's holds it too, so is that reason.
fn release(tx: &Tx<'_>, binding: i64, closing: &mut Closing) -> Result<()> {
    let mut query = tx.sql.prepare_cached("SELECT EXISTS (SELECT 1 FROM subscriptions WHERE binding = ?1)")?;
    if query.query_row([binding], |row| row.get(0))? {
        return Ok(());
    }
    if let Some(open) = memberships::find_open_by_id(tx.sql, binding)? {
        join::remove_sources(tx, open, Source::Subscribe.bit(), closing)?;
    }
    Ok(())
}
