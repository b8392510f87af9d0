//! Taking a push: push, addresses and, where due, dispatches in one transaction.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::dispatch::{self, Content, Due};
use super::replace::{self, NotReplaced, Predecessor, Replaced};
use super::writer::Tx;
use super::{Address, DeliveryMethod, Priority, Result, State, Store, Submission, Submitted, flows};
use crate::ids::Target;
use crate::parcel::{FlowId, PushKey};

impl Store {
    /// Stores a push and dispatches it to the addresses that are due.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted> {
        self.write(move |tx| submit_in(tx, &submission)).await
    }
}

fn submit_in(tx: &mut Tx<'_>, push: &Submission) -> Result<Submitted> {
    let known: Option<i64> = tx
        .sql
        .prepare_cached("SELECT digest FROM pushes WHERE initiator = ?1 AND push_id = ?2")?
        .query_row([&push.initiator, &push.push_id], |row| row.get(0))
        .optional()?;
    if let Some(digest) = known {
        return Ok(if digest == push.digest { Submitted::Repeated } else { Submitted::Duplicate });
    }
    let flows = match resolve(tx, push)? {
        Ok(flows) => flows,
        Err(unknown) => return Ok(Submitted::Unknown(unknown)),
    };
    let replaced = match &push.replace {
        Some(replacing) => match replace::take_back(tx, &push.initiator, replacing, &flows, push.now)? {
            Ok(replaced) => replaced,
            Err(NotReplaced::UnknownPush) => return Ok(Submitted::UnknownOld),
            Err(NotReplaced::NothingPending) => return Ok(Submitted::NothingPending),
            Err(NotReplaced::NotHeldBack) => return Ok(Submitted::NotHeldBack),
        },
        None => Replaced::default(),
    };
    let key = insert_push(tx, push)?;
    let shared = is_shared(push, &flows);
    let content = Content {
        push_id: &push.push_id,
        confirmed: push.delivery != DeliveryMethod::Unconfirmed,
        deadline: push.deliver_before,
        content_type: &push.content_type,
        headers: &push.headers,
        body: &push.body,
    };
    for (position, (address, &flow)) in push.addresses.iter().zip(&flows).enumerate() {
        let predecessor = replaced.predecessor(flow);
        let row = insert_dispatch(tx, push, (key, position, flow), shared, predecessor)?;
        if predecessor == Predecessor::Over {
            dispatch::reject(tx, row, dispatch::NOT_CANCELLABLE, push.now)?;
        } else if push.deliver_after <= push.now {
            let due = Due {
                row,
                push: key,
                flow,
                target: &address.target,
                address: &address.raw,
                shared,
                replaces: predecessor.seq(),
                content: &content,
            };
            dispatch::dispatch(tx, &due, push.now)?;
        }
    }
    Ok(Submitted::Accepted { revoked: replaced.revoked })
}

/// One address, not dispatched yet.
fn insert_dispatch(
    tx: &Tx<'_>,
    push: &Submission,
    (key, position, flow): (PushKey, usize, FlowId),
    shared: bool,
    predecessor: Predecessor,
) -> Result<i64> {
    tx.sql
        .prepare_cached(
            "INSERT INTO dispatches (push, position, address, flow, priority, shared, due, deadline, state, code, replaces)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            key,
            position as i64,
            push.addresses[position].raw,
            flow,
            priority_number(push.priority),
            shared,
            push.deliver_after,
            push.deliver_before,
            State::Scheduled.number(),
            dispatch::OK,
            predecessor.seq(),
        ])?;
    Ok(tx.sql.last_insert_rowid())
}

/// The flow of every address, or the positions of those that name nothing known.
fn resolve(tx: &Tx<'_>, push: &Submission) -> Result<std::result::Result<Vec<FlowId>, Vec<usize>>> {
    let mut found = Vec::with_capacity(push.addresses.len());
    let mut unknown = Vec::new();
    for (position, address) in push.addresses.iter().enumerate() {
        match resolve_one(tx, address, push)? {
            Some(flow) => found.push(flow),
            None => unknown.push(position),
        }
    }
    Ok(if unknown.is_empty() { Ok(found) } else { Err(unknown) })
}

fn resolve_one(tx: &Tx<'_>, address: &Address, push: &Submission) -> Result<Option<FlowId>> {
    match &address.target {
        Target::Group(group) => flows::find(tx.sql, flows::GROUP, group.as_str()),
        Target::User(user) if address.connected => flows::ensure_user(tx, user, push.now).map(Some),
        Target::User(user) => {
            let Some(flow) = flows::find(tx.sql, flows::USER, user.as_str())? else { return Ok(None) };
            Ok(is_bound(tx.sql, flow)?.then_some(flow))
        }
    }
}

fn is_bound(sql: &Connection, user: FlowId) -> Result<bool> {
    let mut query =
        sql.prepare_cached("SELECT 1 FROM bindings WHERE user = ?1 AND flow <> ?1 AND left_seq IS NULL LIMIT 1")?;
    Ok(query.query_row([user], |_| Ok(())).optional()?.is_some())
}

/// Whether two addresses of this push may reach the same user. Two different users never do; a group and anything may.
fn is_shared(push: &Submission, flows: &[FlowId]) -> bool {
    let distinct: HashSet<&FlowId> = flows.iter().collect();
    let any_group = push.addresses.iter().any(|address| matches!(address.target, Target::Group(_)));
    flows.len() > 1 && (any_group || distinct.len() < flows.len())
}

fn insert_push(tx: &Tx<'_>, push: &Submission) -> Result<i64> {
    let headers = serde_json::to_string(&push.headers).unwrap_or_else(|_| "[]".into());
    tx.sql
        .prepare_cached(
            "INSERT INTO pushes (initiator, push_id, digest, created_at, deliver_after, deliver_before, delivery, priority,
                source, content_type, headers, body, notify, notify_form, sender)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?
        .execute(params![
            push.initiator,
            push.push_id,
            push.digest,
            push.now,
            push.deliver_after,
            push.deliver_before,
            delivery_number(push.delivery),
            priority_number(push.priority),
            push.source,
            push.content_type,
            headers,
            &push.body[..],
            push.notify.as_ref().map(|notify| &notify.url),
            push.notify.as_ref().map(|notify| &notify.form),
            push.notify.as_ref().map(|notify| &notify.sender),
        ])?;
    Ok(tx.sql.last_insert_rowid())
}

fn priority_number(priority: Priority) -> i64 {
    match priority {
        Priority::High => 0,
        Priority::Medium => 1,
        Priority::Low => 2,
    }
}

fn delivery_number(delivery: DeliveryMethod) -> i64 {
    match delivery {
        DeliveryMethod::NotSpecified => 0,
        DeliveryMethod::PreferConfirmed => 1,
        DeliveryMethod::Confirmed => 2,
        DeliveryMethod::Unconfirmed => UNCONFIRMED,
    }
}

/// The only delivery method that is not confirmed, as it is stored.
pub(super) const UNCONFIRMED: i64 = 3;
