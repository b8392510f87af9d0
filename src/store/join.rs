//! Joining and leaving: what a group's policy and the limits allow, and what becomes of a join that waited.

use rusqlite::Connection;

use super::closing::Closing;
use super::memberships::Open;
use super::writer::Tx;
use super::{
    Bind, Bound, Error, Hand, JoinOutcome, Limit, Removal, Result, Source, Store, Unbound, destinations, late_answers,
    memberships, pending_joins, welcome,
};
use crate::clock::Millis;
use crate::ids::{GroupId, JoinPolicy, UserId};
use crate::parcel::{BindingId, FlowId};

impl Store {
    /// Binds a user to a group, as far as the group's policy allows.
    pub async fn bind(&self, bind: Bind) -> Result<Bound> {
        self.write(move |tx| bind_in(tx, &bind)).await
    }

    /// Takes away reasons for a binding, and the binding with the last of them. The user's cursors have to be settled
    /// before this.
    pub async fn unbind(&self, user: UserId, group: GroupId, removal: Removal, now: Millis) -> Result<Unbound> {
        self.write(move |tx| {
            let Some(open) = memberships::find_open(tx.sql, &user, &group)? else {
                if removal == Removal::Leave {
                    withdraw(tx, &user, &group)?;
                }
                return Ok(Unbound::NotBound);
            };
            late_answers::withdraw(tx, open.user, group.as_str())?;
            match removal {
                Removal::Everything(operator) => {
                    tx.sql.prepare_cached("DELETE FROM subscriptions WHERE binding = ?1")?.execute([open.id])?;
                    let mut closing = Closing::new(now, Hand::Operator(operator));
                    closing.close(tx, open)?;
                    closing.finish(tx)?;
                    Ok(Unbound::Left)
                }
                Removal::Leave => {
                    let mut closing = Closing::new(now, Hand::Terminal);
                    let left = remove_sources(tx, open, !Source::Subscribe.bit(), &mut closing)?;
                    closing.finish(tx)?;
                    Ok(if left { Unbound::Left } else { Unbound::StillSubscribed })
                }
            }
        })
        .await
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
    let known = memberships::group_row(tx.sql, &bind.group)?;
    let on_purpose = matches!(bind.source, Source::Operator | Source::Assign);
    if let Some(open) = memberships::find_open(tx.sql, &bind.user, &bind.group)? {
        memberships::add_source(tx, &open, bind.source)?;
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
        None => {
            // An operator's groups are nobody's.
            let maker = if on_purpose { None } else { Some(destinations::ensure_user(tx, &bind.user, bind.now)?) };
            destinations::insert_group(tx, &bind.group, policy, maker, bind.now)?
        }
    };
    if on_purpose {
        destinations::keep_group(tx, flow)?;
    }
    let user = destinations::ensure_user(tx, &bind.user, bind.now)?;
    if !free {
        pending_joins::record(tx, flow, user, bind)?;
        return Ok(Bound::Pending);
    }
    let binding = memberships::insert(tx, flow, &bind.user, user, bind.source, &bind.hand, bind.now)?;
    welcome::give(tx, (flow, &bind.group), (user, &bind.user), bind.now)?;
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
    if limits.size > 0 && tx.size()? > limits.size {
        return Ok(Some(Limit::Size));
    }
    let user = destinations::find(tx.sql, destinations::USER, bind.user.as_str())?;
    if user.is_none() && tx.users() >= limits.users {
        return Ok(Some(Limit::Users));
    }
    let makes = group.is_none() && matches!(bind.source, Source::Join | Source::Subscribe);
    let made = |user: Option<FlowId>| user.map_or(Ok(0), |user| destinations::count_made(tx.sql, user));
    if makes && made(user)? >= limits.made {
        return Ok(Some(Limit::GroupsMade));
    }
    let waits = match (group, user) {
        (Some(group), Some(user)) => pending_joins::exists(tx.sql, group, user)?,
        _ => false,
    };
    if let Some(user) = user.filter(|_| !waits)
        && memberships::count_groups(tx.sql, user)? + pending_joins::count(tx.sql, user)? >= i64::from(limits.of_user)
    {
        return Ok(Some(Limit::GroupsOfUser));
    }
    Ok((!free && !waits && tx.requests() >= limits.requests).then_some(Limit::Requests))
}

/// Takes reasons away; closes the binding with the last one. Answers whether it was closed.
pub(super) fn remove_sources(tx: &Tx<'_>, open: Open, bits: i64, closing: &mut Closing) -> Result<bool> {
    let left = open.sources & !bits;
    if left == 0 {
        closing.close(tx, open)?;
        return Ok(true);
    }
    tx.sql.prepare_cached("UPDATE bindings SET sources = ?2 WHERE id = ?1")?.execute([open.id, left])?;
    Ok(false)
}

fn member(sql: &Connection, binding: BindingId, fresh: bool, waited: bool) -> Result<Bound> {
    let membership = memberships::membership(sql, binding)?
        .ok_or_else(|| Error::Unreadable("a binding without its group".into()))?;
    Ok(Bound::Member { membership, fresh, waited })
}
