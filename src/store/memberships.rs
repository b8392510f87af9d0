//! Joining and leaving: bindings as intervals of the one order of dispatches (docs/ledger.md, rules 1 to 3).

use rusqlite::{Connection, OptionalExtension, params};

use super::closing::Closing;
use super::writer::Tx;
use super::{
    Bind, Bound, Error, JoinOutcome, Limit, Membership, Removal, Result, Source, Store, Unbound, destinations,
    late_answers, pending_joins,
};
use crate::clock::Millis;
use crate::ids::{GroupId, JoinPolicy, UserId};
use crate::parcel::{BindingId, FlowId, Seq};

impl Store {
    /// Binds a user to a group, as far as the group's policy allows.
    pub async fn bind(&self, bind: Bind) -> Result<Bound> {
        self.write(move |tx| bind_in(tx, &bind)).await
    }

    /// Takes away reasons for a binding, and the binding with the last of them. The user's cursors have to be settled
    /// before this.
    pub async fn unbind(&self, user: UserId, group: GroupId, removal: Removal, now: Millis) -> Result<Unbound> {
        self.write(move |tx| {
            let Some(open) = find_open(tx.sql, &user, &group)? else {
                if removal == Removal::Leave {
                    withdraw(tx, &user, &group)?;
                }
                return Ok(Unbound::NotBound);
            };
            late_answers::withdraw(tx, open.user, group.as_str())?;
            match removal {
                Removal::Everything => {
                    tx.sql.prepare_cached("DELETE FROM subscriptions WHERE binding = ?1")?.execute([open.id])?;
                    let mut closing = Closing::new(now);
                    closing.close(tx, &open)?;
                    closing.finish(tx)?;
                    Ok(Unbound::Left(open.flow))
                }
                Removal::Leave => {
                    let mut closing = Closing::new(now);
                    let left = remove_sources(tx, &open, !Source::Subscribe.bit(), &mut closing)?;
                    closing.finish(tx)?;
                    Ok(if left { Unbound::Left(open.flow) } else { Unbound::StillSubscribed })
                }
            }
        })
        .await
    }

    /// The user's open bindings, its own pushes among them; empty for a user never heard of.
    pub async fn memberships(&self, user: UserId) -> Result<Vec<Membership>> {
        self.read(move |sql| memberships(sql, &user)).await
    }
}

/// Who leaves before a decision does not ask to be in any more.
fn withdraw(tx: &mut Tx<'_>, user: &UserId, group: &GroupId) -> Result<()> {
    let group = destinations::find(tx.sql, destinations::GROUP, group.as_str())?;
    if let (Some(group), Some(user)) = (group, destinations::find(tx.sql, destinations::USER, user.as_str())?) {
        pending_joins::take(tx, group, user)?;
    }
    Ok(())
}

pub(super) fn bind_in(tx: &mut Tx<'_>, bind: &Bind) -> Result<Bound> {
    let known = group_row(tx.sql, &bind.group)?;
    let on_purpose = matches!(bind.source, Source::Operator | Source::Assign);
    if let Some(open) = find_open(tx.sql, &bind.user, &bind.group)? {
        add_source(tx, &open, bind.source)?;
        if on_purpose {
            destinations::keep_group(tx, open.flow)?;
        }
        return member(tx.sql, open.id, false, false);
    }
    // Nothing is made for who is refused.
    let Some(policy) = known.map(|(_, policy)| policy).or(bind.create) else { return Ok(Bound::Unknown) };
    let free = policy == JoinPolicy::Open || on_purpose;
    if !free && policy == JoinPolicy::Closed {
        return Ok(Bound::Closed);
    }
    if let Some(limit) = over_limit(tx, bind, known.map(|(flow, _)| flow), free)? {
        return Ok(Bound::LimitReached(limit));
    }
    let flow = match known {
        Some((flow, _)) => flow,
        None => destinations::insert_group(tx, &bind.group, policy, bind.now)?,
    };
    if on_purpose {
        destinations::keep_group(tx, flow)?;
    }
    let user = destinations::ensure_user(tx, &bind.user, bind.now)?;
    if !free {
        pending_joins::record(tx, flow, user, bind)?;
        return Ok(Bound::Pending);
    }
    let binding = insert(tx, flow, user, bind.source, bind.now)?;
    let waited = pending_joins::take(tx, flow, user)?;
    // Who asks again and is accepted by now has that answer.
    let answer = waited.filter(|waited| bind.source != Source::Join || *waited != bind.reply);
    if let Some(reply) = &answer {
        late_answers::record(tx, user, bind.group.as_str(), JoinOutcome::Accepted, reply, bind.now)?;
        late_answers::trim(tx)?;
    }
    member(tx.sql, binding, true, answer.is_some())
}

/// The limit that a new binding, or a new join that waits for a decision, would exceed. A join that waits counts as a group
/// of its user.
fn over_limit(tx: &Tx<'_>, bind: &Bind, group: Option<FlowId>, free: bool) -> Result<Option<Limit>> {
    let limits = &bind.limits;
    if group.is_none() && tx.groups() >= limits.groups {
        return Ok(Some(Limit::Groups));
    }
    let user = destinations::find(tx.sql, destinations::USER, bind.user.as_str())?;
    let waits = match (group, user) {
        (Some(group), Some(user)) => pending_joins::exists(tx.sql, group, user)?,
        _ => false,
    };
    if let Some(user) = user.filter(|_| !waits)
        && count_groups(tx.sql, user)? + pending_joins::count(tx.sql, user)? >= i64::from(limits.of_user)
    {
        return Ok(Some(Limit::GroupsOfUser));
    }
    Ok((!free && !waits && tx.requests() >= limits.requests).then_some(Limit::Requests))
}

/// A new interval that begins after the newest dispatch: what was sent before is not owed.
pub(super) fn insert(tx: &Tx<'_>, flow: FlowId, user: FlowId, source: Source, now: Millis) -> Result<BindingId> {
    tx.sql
        .prepare_cached(
            "INSERT INTO bindings (id, flow, user, sources, joined_seq, acked_seq, joined_at)
             VALUES (?6, ?1, ?2, ?3, ?4, ?4, ?5)",
        )?
        .execute(params![flow, user, source.bit(), tx.seq(), now, tx.new_binding()])?;
    let binding = tx.sql.last_insert_rowid();
    tx.sql.prepare_cached("UPDATE flows SET members = members + 1 WHERE id = ?1")?.execute([flow])?;
    Ok(binding)
}

fn group_row(sql: &Connection, group: &GroupId) -> Result<Option<(FlowId, JoinPolicy)>> {
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
pub(super) struct Open {
    pub(super) id: BindingId,
    pub(super) flow: FlowId,
    pub(super) user: FlowId,
    sources: i64,
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

/// Takes reasons away; closes the binding with the last one. Answers whether it was closed.
pub(super) fn remove_sources(tx: &Tx<'_>, open: &Open, bits: i64, closing: &mut Closing) -> Result<bool> {
    let left = open.sources & !bits;
    if left == 0 {
        closing.close(tx, open)?;
        return Ok(true);
    }
    tx.sql.prepare_cached("UPDATE bindings SET sources = ?2 WHERE id = ?1")?.execute([open.id, left])?;
    Ok(false)
}

fn member(sql: &Connection, binding: BindingId, fresh: bool, waited: bool) -> Result<Bound> {
    let membership =
        membership(sql, binding)?.ok_or_else(|| Error::Unreadable("a binding without its group".into()))?;
    Ok(Bound::Member { membership, fresh, waited })
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
