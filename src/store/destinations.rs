//! Rows of `flows`: groups and users by name.

use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Tx;
use super::{Error, Result};
use crate::clock::Millis;
use crate::ids::{GroupId, IdError, JoinPolicy, Target, UserId};
use crate::parcel::FlowId;

pub(super) const GROUP: i64 = 0;
pub(super) const USER: i64 = 1;
/// The one row that stands for whatever an address named that was not known.
pub(super) const NOBODY: i64 = 2;
/// The policy of a group that is deleted and has members left to be unbound. Its name cannot be used any more.
pub(super) const DELETED: i64 = 3;

pub(super) fn policy_number(policy: JoinPolicy) -> i64 {
    match policy {
        JoinPolicy::Open => 0,
        JoinPolicy::Approval => 1,
        JoinPolicy::Closed => 2,
    }
}

pub(super) fn policy_from(number: i64) -> JoinPolicy {
    match number {
        0 => JoinPolicy::Open,
        1 => JoinPolicy::Approval,
        _ => JoinPolicy::Closed,
    }
}

/// Names were checked when they were stored; a file that holds others was not written by us.
pub(super) fn target(kind: i64, name: &str) -> Result<Target> {
    let parsed =
        if kind == GROUP { GroupId::parse(name).map(Target::Group) } else { UserId::parse(name).map(Target::User) };
    parsed.map_err(|error| Error::Unreadable(error.to_string()))
}

/// The name of a user's row; an error where it is none, which no papcast stores.
pub(super) fn user(sql: &Connection, user: FlowId) -> Result<std::result::Result<UserId, IdError>> {
    let name: String =
        sql.prepare_cached("SELECT name FROM flows WHERE id = ?1")?.query_row([user], |row| row.get(0))?;
    Ok(UserId::parse(&name))
}

pub(super) fn find(sql: &Connection, kind: i64, name: &str) -> Result<Option<FlowId>> {
    let mut query = sql.prepare_cached("SELECT id FROM flows WHERE kind = ?1 AND name = ?2")?;
    Ok(query.query_row(params![kind, name], |row| row.get(0)).optional()?)
}

/// `maker`: the user whose join makes it.
pub(super) fn insert_group(
    tx: &mut Tx<'_>,
    group: &GroupId,
    policy: JoinPolicy,
    maker: Option<FlowId>,
    now: Millis,
) -> Result<FlowId> {
    tx.sql
        .prepare_cached("INSERT INTO flows (id, kind, name, policy, created_at, maker) VALUES (?4, 0, ?1, ?2, ?3, ?5)")?
        .execute(params![group.as_str(), policy_number(policy), now, tx.new_flow(), maker])?;
    tx.count_groups(1);
    Ok(tx.sql.last_insert_rowid())
}

/// The row of [`NOBODY`]; nothing is ever dispatched to it.
pub(super) fn ensure_nobody(tx: &Tx<'_>, now: Millis) -> Result<FlowId> {
    if let Some(id) = find(tx.sql, NOBODY, "")? {
        return Ok(id);
    }
    tx.sql
        .prepare_cached("INSERT INTO flows (id, kind, name, created_at) VALUES (?2, ?3, '', ?1)")?
        .execute(params![now, tx.new_flow(), NOBODY])?;
    Ok(tx.sql.last_insert_rowid())
}

/// Somebody wants this group: it is not forgotten although it may be empty for long.
pub(super) fn keep_group(tx: &Tx<'_>, flow: FlowId) -> Result<()> {
    tx.sql.prepare_cached("UPDATE flows SET kept = 1 WHERE id = ?1 AND kept = 0")?.execute([flow])?;
    Ok(())
}

/// Groups that joins of this user have made.
pub(super) fn count_made(sql: &Connection, user: FlowId) -> Result<i64> {
    let mut query = sql.prepare_cached("SELECT count(*) FROM flows WHERE maker = ?1 AND instr(name, char(1)) = 0")?;
    Ok(query.query_row([user], |row| row.get(0))?)
}

/// The user's row, made where it was missing, with the binding to its own pushes.
pub(super) fn ensure_user(tx: &mut Tx<'_>, user: &UserId, now: Millis) -> Result<FlowId> {
    if let Some(id) = find(tx.sql, USER, user.as_str())? {
        return Ok(id);
    }
    tx.sql
        .prepare_cached("INSERT INTO flows (id, kind, name, members, created_at) VALUES (?3, 1, ?1, 1, ?2)")?
        .execute(params![user.as_str(), now, tx.new_flow()])?;
    let id = tx.sql.last_insert_rowid();
    tx.count_users(1);
    tx.sql
        .prepare_cached(
            "INSERT INTO bindings (id, flow, user, sources, joined_seq, acked_seq, joined_at)
             VALUES (?3, ?1, ?1, 1, 0, 0, ?2)",
        )?
        .execute(params![id, now, tx.new_binding()])?;
    Ok(id)
}
