//! Memberships: bindings as intervals of the order of dispatches of a flow (docs/ledger.md, rules 1 to 3). Rows; `join.rs` is
//! about joining and leaving.

use rusqlite::{Connection, OptionalExtension, params};

use super::history::Act;
use super::writer::Tx;
use super::{Event, Hand, Result, Source, Store, destinations, history};
use crate::clock::Millis;
use crate::ids::{GroupId, JoinPolicy, Target, UserId};
use crate::parcel::{BindingId, FlowId, Membership, Seq};

impl Store {
    /// The user's open bindings, its own pushes among them; empty for a user never heard of.
    pub async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        self.read(move |sql| memberships(sql, &user)).await
    }
}

/// A new interval that begins after the newest dispatch: what was sent before is not owed.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    flow: FlowId,
    name: &UserId,
    user: FlowId,
    source: Source,
    hand: &Hand,
    now: Millis,
) -> Result<BindingId> {
    tx.sql
        .prepare_cached(
            "INSERT INTO bindings (id, flow, user, sources, joined_seq, acked_seq, joined_at)
             SELECT ?5, ?1, ?2, ?3, last_seq, last_seq, ?4 FROM flows WHERE id = ?1",
        )?
        .execute(params![flow, user, source.bit(), now, tx.new_binding()])?;
    let binding = tx.sql.last_insert_rowid();
    tx.sql.prepare_cached("UPDATE flows SET members = members + 1 WHERE id = ?1")?.execute([flow])?;
    if let Some(membership) = membership(tx.sql, binding)? {
        if let Target::Group(group) = &membership.target {
            history::record(tx, Act::Joined, group, name, hand, now)?;
        }
        tx.emit(Event::Joined { user: name.clone(), membership, hand: hand.clone() });
    }
    Ok(binding)
}

pub(super) fn group_row(sql: &Connection, group: &GroupId) -> Result<Option<(FlowId, JoinPolicy)>> {
    let mut query = sql.prepare_cached("SELECT id, policy FROM flows WHERE kind = 0 AND name = ?1")?;
    let row = query.query_row([group.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(row.map(|(id, policy)| (id, destinations::policy_from(policy))))
}

/// Groups that a user is bound to.
pub(super) fn count_groups(sql: &Connection, user: FlowId) -> Result<i64> {
    let mut query =
        sql.prepare_cached("SELECT count(*) FROM bindings WHERE user = ?1 AND flow <> ?1 AND left_seq IS NULL")?;
    Ok(query.query_row([user], |row| row.get(0))?)
}

/// An open binding, as much of it as changing it needs.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: BindingId,
    pub(super) flow: FlowId,
    pub(super) user: FlowId,
    pub(super) sources: i64,
    pub(super) joined: Seq,
    pub(super) acked: Seq,
}

pub(super) fn find_open(sql: &Connection, user: &UserId, group: &GroupId) -> Result<Option<Open>> {
    open_where(
        sql,
        "flow = (SELECT id FROM flows WHERE kind = 0 AND name = ?1) AND user = (SELECT id FROM flows WHERE kind = 1 AND name = ?2)",
        params![group.as_str(), user.as_str()],
    )
}

pub(super) fn find_open_by_id(sql: &Connection, binding: BindingId) -> Result<Option<Open>> {
    open_where(sql, "id = ?1", params![binding])
}

fn open_where(sql: &Connection, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Option<Open>> {
    let text = format!(
        "SELECT id, flow, user, sources, joined_seq, acked_seq FROM bindings WHERE left_seq IS NULL AND {condition}"
    );
    let mut query = sql.prepare_cached(&text)?;
    let row = query.query_row(values, |row| {
        Ok(Open {
            id: row.get(0)?,
            flow: row.get(1)?,
            user: row.get(2)?,
            sources: row.get(3)?,
            joined: row.get(4)?,
            acked: row.get(5)?,
        })
    });
    Ok(row.optional()?)
}

pub(super) fn add_source(tx: &Tx<'_>, open: &Open, source: Source) -> Result<()> {
    if open.sources & source.bit() == 0 {
        tx.sql
            .prepare_cached("UPDATE bindings SET sources = sources | ?2 WHERE id = ?1")?
            .execute([open.id, source.bit()])?;
    }
    Ok(())
}

/// What is left of a group that is being deleted (policy 3) is served to nobody.
const MEMBERSHIP: &str = "SELECT b.id, b.flow, f.kind, f.name, b.joined_seq, b.acked_seq, f.last_seq
    FROM bindings b JOIN flows f ON f.id = b.flow WHERE b.left_seq IS NULL AND f.policy <> 3 AND ";

pub(super) fn membership(sql: &Connection, binding: BindingId) -> Result<Option<Membership>> {
    Ok(memberships_where(sql, "b.id = ?1", params![binding])?.pop())
}

pub(super) fn memberships(sql: &Connection, user: &UserId) -> Result<Vec<Membership>> {
    memberships_where(
        sql,
        "b.user = (SELECT id FROM flows WHERE kind = 1 AND name = ?1) ORDER BY b.flow",
        params![user.as_str()],
    )
}

fn memberships_where(sql: &Connection, condition: &str, values: &[&dyn rusqlite::ToSql]) -> Result<Vec<Membership>> {
    let mut query = sql.prepare_cached(&format!("{MEMBERSHIP}{condition}"))?;
    let mut rows = query.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Membership {
            binding: row.get(0)?,
            flow: row.get(1)?,
            target: destinations::target(row.get(2)?, row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?,
            joined: row.get(4)?,
            acked: row.get(5)?,
            head: row.get(6)?,
        });
    }
    Ok(found)
}
