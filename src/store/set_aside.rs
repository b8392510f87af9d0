//! Pushes that a client cannot take, for now: it closes on them, or never answers them while it answers later ones. They must
//! not keep the rest from it (docs/ledger.md, rule 20).
//!
//! The row in `exceptions` says that the user has not got the push although its cursor may have passed it; the row in
//! `set_aside` says which client could not take it, and how often that was tried.

use rusqlite::{Connection, OptionalExtension, params};

use super::delivery_state::{self, Counts};
use super::exception_kinds::{ASIDE, GOT, LATE, REFUSED};
use super::writer::Tx;
use super::{Result, State, Store, destinations};
use crate::clock::Millis;
use crate::ids::UserId;
use crate::parcel::{BindingId, DispatchId, FlowId, PushKey, Seq};

/// Pushes of one binding that are set aside at most; further ones wait, and what is behind them.
const MOST: i64 = 64;

/// Clients of one push that are told apart.
const CLIENTS: i64 = 8;

/// A client has failed to take a push once more.
#[derive(Debug, Clone)]
pub struct Failed {
    pub client: String,
    pub binding: BindingId,
    pub id: DispatchId,
    /// How often it failed; more than what is stored counts.
    pub tries: Tries,
    /// Bytes of its packet, and of the largest one that this client acknowledged on its connection.
    pub size: u64,
    pub largest: u64,
    /// `mqtt.poison_after`: so many tries more, and it is refused.
    pub limit: u32,
    /// Terminals of the user that were seen since then may still take it.
    pub others_since: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tries {
    /// It has failed so often that it is set aside from now on.
    Reached(u32),
    /// One that was set aside has failed again.
    OneMore,
}

/// What became of the push for this member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// It is set aside, after so many tries.
    Aside { tries: u32 },
    /// It was the last try: it is refused, with this code.
    Refused { code: u16 },
    /// It is over, or has been answered.
    Over,
    /// There are too many of them.
    Full,
}

/// A push that is set aside for a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aside {
    pub binding: BindingId,
    pub id: DispatchId,
    pub push: PushKey,
    /// Tries of the client that asks; none where another one could not take it.
    pub tries: Option<u32>,
    /// It counts for every client of the user: they have a new id each time.
    pub anyone: bool,
}

/// PAP 5237 (USERDCR): it does not fit.
const TOO_LARGE: u16 = 5237;
/// PAP 5238 (USERDCU): the terminal cannot process it.
const CANNOT: u16 = 5238;

impl Store {
    /// Notes that a client could not take a push. All cursors of its user have to be settled before this.
    pub async fn set_aside(&self, failed: Failed, now: Millis) -> Result<Setting> {
        self.write(move |tx| set_aside_in(tx, &failed, now)).await
    }
}

/// What is set aside for a user's bindings, as it concerns this client.
pub(super) fn of_user(sql: &Connection, user: &UserId, client: &str) -> Result<Vec<Aside>> {
    let Some(user) = destinations::find(sql, destinations::USER, user.as_str())? else { return Ok(Vec::new()) };
    let mut query = sql.prepare_cached(
        "SELECT e.binding, b.flow, e.seq, d.push, max(s.tries), coalesce(max(s.client = ''), 0) FROM bindings b INDEXED BY bindings_user
             CROSS JOIN exceptions e ON e.binding = b.id AND e.kind = ?3
             CROSS JOIN dispatches d ON d.flow = b.flow AND d.seq = e.seq AND d.state = 1
             LEFT JOIN set_aside s ON s.binding = e.binding AND s.seq = e.seq AND s.client IN (?2, '')
         WHERE b.user = ?1 AND b.left_seq IS NULL AND b.exceptions = 1 GROUP BY e.binding, e.seq",
    )?;
    let rows = query.query_map(params![user, client, ASIDE], |row| {
        let id = DispatchId { flow: row.get(1)?, seq: row.get(2)? };
        Ok(Aside { binding: row.get(0)?, id, push: row.get(3)?, tries: row.get(4)?, anyone: row.get(5)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How the push stands with this member.
enum Standing {
    /// Owed, and set aside already or not.
    Owed {
        aside: bool,
    },
    /// Cancelled, and kept by this member who had it under way.
    Kept,
    Over,
}

fn standing(tx: &Tx<'_>, binding: BindingId, id: DispatchId) -> Result<Standing> {
    let state: Option<i64> = tx
        .sql
        .prepare_cached("SELECT state FROM dispatches WHERE flow = ?1 AND seq = ?2")?
        .query_row(params![id.flow, id.seq], |row| row.get(0))
        .optional()?;
    let acked: Option<Seq> = tx
        .sql
        .prepare_cached("SELECT acked_seq FROM bindings WHERE id = ?1 AND flow = ?2 AND left_seq IS NULL")?
        .query_row(params![binding, id.flow], |row| row.get(0))
        .optional()?;
    let (Some(state), Some(acked)) = (state.map(State::from_number), acked) else { return Ok(Standing::Over) };
    let kinds: Vec<i64> = tx
        .sql
        .prepare_cached("SELECT kind FROM exceptions WHERE binding = ?1 AND seq = ?2")?
        .query_map(params![binding, id.seq], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let aside = kinds.contains(&ASIDE);
    let answered = kinds.iter().any(|kind| [GOT, REFUSED, LATE].contains(kind)) || (acked >= id.seq && !aside);
    Ok(match state {
        _ if answered => Standing::Over,
        State::Pending => Standing::Owed { aside },
        State::Cancelled => Standing::Kept,
        _ => Standing::Over,
    })
}

fn set_aside_in(tx: &mut Tx<'_>, failed: &Failed, now: Millis) -> Result<Setting> {
    let Failed { binding, id, .. } = *failed;
    let aside = match standing(tx, binding, id)? {
        Standing::Owed { aside } => aside,
        Standing::Kept => {
            // Nobody else is owed it, and this member cannot take it: it is done with.
            write(tx, binding, id.seq, LATE, CANNOT, now)?;
            return Ok(Setting::Over);
        }
        Standing::Over => return Ok(Setting::Over),
    };
    if !aside {
        // Those that are over keep nobody waiting.
        let mut count = tx.sql.prepare_cached(
            "SELECT count(*) FROM exceptions e CROSS JOIN dispatches d ON d.flow = ?2 AND d.seq = e.seq AND d.state = 1
             WHERE e.binding = ?1 AND e.kind = ?3",
        )?;
        if count.query_row([binding, id.flow, ASIDE], |row| row.get::<_, i64>(0))? >= MOST {
            return Ok(Setting::Full);
        }
        set_siblings_aside(tx, failed, now)?;
        write(tx, binding, id.seq, ASIDE, 0, now)?;
    }
    let tries = note(tx, failed, now)?;
    if tries < failed.limit.saturating_mul(2) || others_may_take_it(tx, failed)? {
        return Ok(Setting::Aside { tries });
    }
    let largest = failed.largest.max(largest_acked(tx.sql, &failed.client)?);
    let code = if failed.size > largest && largest > 0 { TOO_LARGE } else { CANNOT };
    forget(tx, binding, id.seq)?;
    write(tx, binding, id.seq, REFUSED, code, now)?;
    delivery_state::count(tx, id, &Counts { refused: 1, code: Some(code), ..Counts::default() }, now)?;
    Ok(Setting::Refused { code })
}

/// Where the push reaches the user by other addresses too, it is set aside there as well: it shall not come by them instead.
fn set_siblings_aside(tx: &Tx<'_>, failed: &Failed, now: Millis) -> Result<()> {
    let siblings: Vec<(BindingId, Seq)> = tx
        .sql
        .prepare_cached(
            "SELECT o.id, d.seq FROM dispatches own CROSS JOIN bindings b ON b.id = ?3
                 CROSS JOIN dispatches d INDEXED BY dispatches_push ON d.push = own.push AND d.state = 1
                     AND NOT (d.flow = own.flow AND d.seq = own.seq)
                 CROSS JOIN bindings o ON o.user = b.user AND o.flow = d.flow AND o.left_seq IS NULL AND o.joined_seq < d.seq
             WHERE own.flow = ?1 AND own.seq = ?2 AND own.shared = 1
                 AND NOT EXISTS (SELECT 1 FROM exceptions e WHERE e.binding = o.id AND e.seq = d.seq) AND o.acked_seq < d.seq",
        )?
        .query_map(params![failed.id.flow, failed.id.seq, failed.binding], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (binding, seq) in siblings {
        write(tx, binding, seq, ASIDE, 0, now)?;
        let id = DispatchId { flow: failed.id.flow, seq };
        note(tx, &Failed { binding, id, ..failed.clone() }, now)?;
    }
    Ok(())
}

fn write(tx: &Tx<'_>, binding: BindingId, seq: Seq, kind: i64, code: u16, now: Millis) -> Result<()> {
    tx.sql
        .prepare_cached(
            "INSERT INTO exceptions (binding, seq, kind, upto, code, at) VALUES (?1, ?2, ?3, ?2, ?4, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute(params![binding, seq, kind, code, now])?;
    tx.sql.prepare_cached("UPDATE bindings SET exceptions = 1 WHERE id = ?1")?.execute([binding])?;
    Ok(())
}

/// Answers how often this client has failed by now.
fn note(tx: &Tx<'_>, failed: &Failed, now: Millis) -> Result<u32> {
    let (first, more) = match failed.tries {
        Tries::Reached(tries) => (tries, 0),
        Tries::OneMore => (failed.limit, 1),
    };
    let known: (i64, bool) = tx
        .sql
        .prepare_cached(
            "SELECT count(*), coalesce(max(client = ?3), 0) FROM set_aside WHERE binding = ?1 AND seq = ?2",
        )?
        .query_row(params![failed.binding, failed.id.seq, failed.client], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // So many clients of one user are one that has a new id each time.
    let client = if known.0 >= CLIENTS && !known.1 { "" } else { failed.client.as_str() };
    let mut statement = tx.sql.prepare_cached(
        "INSERT INTO set_aside (binding, seq, client, tries, size, largest, since) VALUES (?1, ?2, ?3, ?4 + ?5, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET tries = max(tries, ?4) + ?5, size = ?6, largest = max(largest, ?7)
         RETURNING tries",
    )?;
    let values = params![
        failed.binding,
        failed.id.seq,
        client,
        first,
        more,
        i64::try_from(failed.size).unwrap_or(i64::MAX),
        i64::try_from(failed.largest).unwrap_or(i64::MAX),
        now
    ];
    Ok(statement.query_row(values, |row| row.get(0))?)
}

/// Bytes of the largest packet that a client ever acknowledged, as far as that has been written down.
fn largest_acked(sql: &Connection, client: &str) -> Result<u64> {
    let mut query = sql.prepare_cached("SELECT largest_acked FROM terminals WHERE client = ?1")?;
    Ok(query.query_row([client], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Whether another terminal of the user was here lately, and has not failed as often.
fn others_may_take_it(tx: &Tx<'_>, failed: &Failed) -> Result<bool> {
    let mut query = tx.sql.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM terminals t WHERE t.client <> ?1 AND t.seen_at > ?2
             AND t.user = (SELECT f.name FROM bindings b JOIN flows f ON f.id = b.user WHERE b.id = ?3)
             AND NOT EXISTS (SELECT 1 FROM set_aside s
                 WHERE s.binding = ?3 AND s.seq = ?4 AND s.client = t.client AND s.tries >= ?5))",
    )?;
    let values =
        params![failed.client, failed.others_since, failed.binding, failed.id.seq, failed.limit.saturating_mul(2)];
    // Whoever has a new client id each time is one terminal.
    Ok(!failed.client.is_empty() && query.query_row(values, |row| row.get(0))?)
}

/// It was answered after all, or is over.
pub(super) fn forget(tx: &Tx<'_>, binding: BindingId, seq: Seq) -> Result<()> {
    tx.sql
        .prepare_cached("DELETE FROM exceptions WHERE binding = ?1 AND seq = ?2 AND kind = ?3")?
        .execute(params![binding, seq, ASIDE])?;
    tx.sql.prepare_cached("DELETE FROM set_aside WHERE binding = ?1 AND seq = ?2")?.execute(params![binding, seq])?;
    Ok(())
}

/// Why a push is set aside for a member, in words.
pub(super) fn describe(sql: &Connection, binding: BindingId, seq: Seq) -> Result<String> {
    let mut query = sql.prepare_cached(
        "SELECT max(s.tries), max(s.size), max(max(s.largest, coalesce(t.largest_acked, 0)))
         FROM set_aside s LEFT JOIN terminals t ON t.client = s.client WHERE s.binding = ?1 AND s.seq = ?2",
    )?;
    let (tries, size, largest): (Option<i64>, Option<i64>, Option<i64>) =
        query.query_row(params![binding, seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let (tries, size, largest) = (tries.unwrap_or(0), size.unwrap_or(0), largest.unwrap_or(0));
    let known = if largest > 0 {
        format!("the largest it ever acknowledged is {}", thousands(largest))
    } else {
        "it has acknowledged nothing yet".to_owned()
    };
    Ok(format!("set aside: its terminal did not take it {tries} times; {} bytes; {known}", thousands(size)))
}

/// 12,000
fn thousands(number: i64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What a member who leaves still owed although its cursor has passed it: `(seq, replaces)`.
pub(super) fn owed_below(
    sql: &Connection,
    flow: FlowId,
    binding: BindingId,
    upto: Seq,
) -> Result<Vec<(Seq, Option<Seq>)>> {
    let mut query = sql.prepare_cached(
        "SELECT d.seq, d.replaces FROM exceptions e CROSS JOIN dispatches d ON d.flow = ?1 AND d.seq = e.seq
         WHERE e.binding = ?2 AND e.kind = ?3 AND e.seq <= ?4 AND d.state = 1",
    )?;
    let rows = query.query_map(params![flow, binding, ASIDE, upto], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_easy_to_read() {
        let said = [0, 999, 1_000, 12_000, 1_234_567].map(super::thousands);
        assert_eq!(said, ["0", "999", "1,000", "12,000", "1,234,567"]);
    }
}
