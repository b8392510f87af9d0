//! Taking a push: push, addresses and, where due, dispatches in one transaction.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Row, params};

use super::delivery_state::{self, Content, Due};
use super::duplicates::{self, Verdict};
use super::numbers::{delivery_number, priority_number};
use super::replace::{self, NotReplaced, Predecessor, Replaced};
use super::writer::Tx;
use super::{
    Address, DeliveryMethod, Earlier, Error, Event, Meaning, Result, Standing, State, Store, Submission, Submitted,
    credentials, destinations, initiators, standing,
};
use crate::ids::{Target, UserId};
use crate::parcel::{DispatchId, FlowId, PushKey, Seq, Siblings};

impl Store {
    /// Stores a push and dispatches it to the addresses that are due.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted> {
        let waiting = self.intake.admit(&submission)?;
        let guarded = submission.replace.is_some();
        let request = move |tx: &mut Tx<'_>| {
            let submitted = submit_in(tx, &submission);
            drop(waiting);
            submitted
        };
        if guarded { self.write(request).await } else { self.write_checked(request).await }
    }
}

/// A flow that an address names, with what a dispatch to it needs.
#[derive(Debug, Clone, Copy)]
struct Named<'a> {
    target: &'a Target,
    flow: FlowId,
    members: i64,
    /// The newest dispatch before this submission.
    last: Seq,
}

fn submit_in(tx: &mut Tx<'_>, push: &Submission) -> Result<Submitted> {
    if push.replace.is_some()
        && let Verdict::Known(answer) = duplicates::judge(tx.sql, push)?
    {
        return Ok(answer);
    }
    let (named, unknown) = resolve(tx, push)?;
    let none = named.iter().all(Option::is_none);
    if none || !(unknown.is_empty() || push.skip_unknown) {
        // A repeat is answered like the first time, whoever has left since.
        let verdict = duplicates::judge(tx.sql, push)?;
        return Ok(if let Verdict::Known(answer) = verdict { answer } else { Submitted::Unknown(unknown) });
    }
    if let Some(limit) = initiators::over_limit(tx, push)? {
        let verdict = duplicates::judge(tx.sql, push)?;
        return Ok(if let Verdict::Known(answer) = verdict { answer } else { Submitted::LimitReached(limit) });
    }
    let flows: Vec<FlowId> = named.iter().flatten().map(|named| named.flow).collect();
    let replaced = match &push.replace {
        Some(replacing) => match replace::take_back(tx, &push.initiator, replacing, &flows, push.now)? {
            Ok(replaced) => replaced,
            Err(NotReplaced::UnknownPush) => return Ok(Submitted::UnknownOld(replacing.push_id.clone())),
            Err(NotReplaced::NothingPending) => return Ok(Submitted::NothingPending(replacing.push_id.clone())),
            Err(NotReplaced::LongChain) => return Ok(Submitted::LongChain(replacing.push_id.clone())),
            Err(NotReplaced::NotHeldBack) => return Ok(Submitted::NotHeldBack),
        },
        None => Replaced::default(),
    };
    let key = match insert_or_judge(tx, push)? {
        Ok(key) => key,
        Err(answer) => return Ok(answer),
    };
    initiators::count(tx, push)?;
    if !replaced.cancelled.is_empty() {
        tx.emit(Event::Cancelled(replaced.cancelled.clone()));
    }
    insert_dispatches(tx, push, key, &named, &replaced)?;
    Ok(Submitted::Accepted { unknown })
}

/// The row of the push, or the answer where its push-id is taken. Looked at only then: the usual one is new.
fn insert_or_judge(tx: &mut Tx<'_>, push: &Submission) -> Result<std::result::Result<PushKey, Submitted>> {
    if let Some(key) = insert_push(tx, push)? {
        return Ok(Ok(key));
    }
    match duplicates::judge(tx.sql, push)? {
        Verdict::Known(answer) => return Ok(Err(answer)),
        Verdict::Taken(earlier) => duplicates::give_away(tx, earlier)?,
        Verdict::New => {}
    }
    Ok(insert_push(tx, push)?.ok_or(Submitted::Duplicate(Earlier::default())))
}

fn insert_dispatches(
    tx: &mut Tx<'_>,
    push: &Submission,
    key: PushKey,
    named: &[Option<Named<'_>>],
    replaced: &Replaced,
) -> Result<()> {
    let reach = Reach::of(named);
    let content = Content {
        push_id: &push.push_id,
        confirmed: push.delivery != DeliveryMethod::Unconfirmed,
        since: push.now.max(push.deliver_after),
        deadline: push.deliver_before,
        content_type: &push.content_type,
        headers: &push.headers,
        body: &push.body,
    };
    let is_due = push.deliver_after <= push.now;
    // Two addresses may name one flow.
    let mut given: Vec<(FlowId, Seq)> = Vec::new();
    for (position, (address, named)) in push.addresses.iter().zip(named).enumerate() {
        let Some(named) = named else {
            insert_unknown(tx, push, key, position as i64, &address.raw)?;
            continue;
        };
        let predecessor = replaced.predecessor(named.flow);
        let due = Due {
            push: key,
            flow: named.flow,
            target: named.target,
            address: &address.raw,
            siblings: reach.as_ref().map_or(Siblings::None, |reach| reach.siblings(named)),
            replaces: predecessor.seq(),
            welcome: None,
            is_new: true,
            content: &content,
        };
        if is_due && named.members > 0 && predecessor == Predecessor::None {
            let before = given.iter().rfind(|(flow, _)| *flow == named.flow).map_or(named.last, |(_, seq)| *seq);
            let seq = before.next();
            insert_pending(tx, push, position as i64, &due, named.members, seq)?;
            if reach.is_some() {
                given.push((named.flow, seq));
            }
            delivery_state::announce(tx, &due, seq);
            tx.emit(Event::Stands(Box::new(taken(push, &due, named.members, seq))));
            continue;
        }
        let row = insert_scheduled(tx, push, position as i64, &due)?;
        if predecessor == Predecessor::Over {
            delivery_state::end(tx, row, State::Rejected, delivery_state::NOT_CANCELLABLE, push.now)?;
        } else if is_due {
            delivery_state::dispatch(tx, row, &due, push.now)?;
        } else {
            standing::tell(tx, row, true)?;
        }
    }
    Ok(())
}

/// The usual case in one step: dispatched as it is stored.
fn insert_pending(tx: &Tx<'_>, push: &Submission, position: i64, due: &Due<'_>, members: i64, seq: Seq) -> Result<()> {
    tx.sql
        .prepare_cached(
            "INSERT INTO dispatches (push, position, address, flow, seq, priority, shared, due, deadline, state, code,
                recipients)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            due.push,
            position,
            due.address,
            due.flow,
            seq,
            priority_number(push.priority),
            due.siblings.exist(),
            push.deliver_after,
            push.deliver_before,
            State::Pending.number(),
            delivery_state::OK,
            members,
        ])?;
    tx.sql.prepare_cached("UPDATE flows SET last_seq = ?2 WHERE id = ?1")?.execute(params![due.flow, seq])?;
    Ok(())
}

/// What there is to tell of an address that was just dispatched: all of it is known without a look.
fn taken(push: &Submission, due: &Due<'_>, members: i64, seq: Seq) -> Standing {
    Standing {
        is_new: true,
        id: Some(DispatchId { flow: due.flow, seq }),
        push_id: push.push_id.clone(),
        initiator: push.initiator.clone(),
        request: push.request.clone(),
        address: due.address.to_owned(),
        target: Some(due.target.clone()),
        created_at: push.now,
        due: push.deliver_after,
        confirmed: due.content.confirmed,
        size: push.body.len() as u64,
        state: State::Pending,
        code: 1000,
        recipients: members.unsigned_abs(),
        delivered: 0,
        refused: 0,
        gone: 0,
        event_at: None,
        is_welcome: false,
    }
}

/// Not dispatched yet.
fn insert_scheduled(tx: &Tx<'_>, push: &Submission, position: i64, due: &Due<'_>) -> Result<i64> {
    tx.sql
        .prepare_cached(
            "INSERT INTO dispatches (push, position, address, flow, priority, shared, due, deadline, state, code, replaces)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            due.push,
            position,
            due.address,
            due.flow,
            priority_number(push.priority),
            due.siblings.exist(),
            push.deliver_after,
            push.deliver_before,
            State::Scheduled.number(),
            delivery_state::OK,
            due.replaces,
        ])?;
    Ok(tx.sql.last_insert_rowid())
}

/// An address that names nothing known, where the others are served all the same. It ends as it is stored: by an update,
/// so that the trigger sees it and its initiator is notified.
fn insert_unknown(tx: &mut Tx<'_>, push: &Submission, key: PushKey, position: i64, address: &str) -> Result<()> {
    let nobody = destinations::ensure_nobody(tx, push.now)?;
    tx.sql
        .prepare_cached(
            "INSERT INTO dispatches (push, position, address, flow, priority, shared, due, deadline, state, code)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            key,
            position,
            address,
            nobody,
            priority_number(push.priority),
            push.deliver_after,
            push.deliver_before,
            State::Scheduled.number(),
            delivery_state::OK,
        ])?;
    let row = tx.sql.last_insert_rowid();
    delivery_state::end(tx, row, State::Rejected, delivery_state::UNKNOWN, push.now)
}

/// The flow of every address, and those that name nothing known.
fn resolve<'a>(tx: &mut Tx<'_>, push: &'a Submission) -> Result<(Vec<Option<Named<'a>>>, Vec<String>)> {
    let mut found = Vec::with_capacity(push.addresses.len());
    let mut unknown = Vec::new();
    for address in &push.addresses {
        let named = resolve_one(tx, address, push)?;
        if named.is_none() {
            unknown.push(address.raw.clone());
        }
        found.push(named);
    }
    Ok((found, unknown))
}

fn resolve_one<'a>(tx: &mut Tx<'_>, address: &'a Address, push: &Submission) -> Result<Option<Named<'a>>> {
    for meaning in &address.meanings {
        if let Some(named) = resolve_meaning(tx, meaning, push)? {
            return Ok(Some(named));
        }
    }
    Ok(None)
}

fn resolve_meaning<'a>(tx: &mut Tx<'_>, meaning: &'a Meaning, push: &Submission) -> Result<Option<Named<'a>>> {
    let target = &meaning.target;
    let named = |row: &Row<'_>| Ok(Named { target, flow: row.get(0)?, members: row.get(1)?, last: row.get(2)? });
    let found = match target {
        Target::Group(group) => tx
            .sql
            .prepare_cached("SELECT id, members, last_seq FROM flows WHERE kind = 0 AND name = ?1")?
            .query_row([group.as_str()], named),
        Target::User(user) if meaning.connected && has_room_for(tx, user, push)? => {
            let flow = destinations::ensure_user(tx, user, push.now)?;
            tx.sql.prepare_cached("SELECT id, 1, last_seq FROM flows WHERE id = ?1")?.query_row([flow], named)
        }
        // Known by a binding to a group.
        Target::User(user) => {
            let bound = tx
                .sql
                .prepare_cached(
                    "SELECT id, 1, last_seq FROM flows f WHERE kind = 1 AND name = ?1
                     AND EXISTS (SELECT 1 FROM bindings WHERE user = f.id AND flow <> f.id AND left_seq IS NULL)",
                )?
                .query_row([user.as_str()], named);
            let may_be_made =
                || Ok::<_, Error>(credentials::has_device(tx.sql, user.as_str())? && has_room_for(tx, user, push)?);
            if bound.is_ok() || !may_be_made()? {
                return Ok(bound.optional()?);
            }
            let flow = destinations::ensure_user(tx, user, push.now)?;
            tx.sql.prepare_cached("SELECT id, 1, last_seq FROM flows WHERE id = ?1")?.query_row([flow], named)
        }
    };
    Ok(found.optional()?)
}

/// Whether this user is known, or may become so.
fn has_room_for(tx: &Tx<'_>, user: &UserId, push: &Submission) -> Result<bool> {
    Ok(tx.users() < push.limits.users || destinations::find(tx.sql, destinations::USER, user.as_str())?.is_some())
}

/// By what else a push may reach the users of each of its destinations. Two different users are never the same one.
struct Reach {
    groups: Vec<FlowId>,
    /// How often each destination is named.
    named: HashMap<FlowId, usize>,
}

impl Reach {
    /// `None` where no two of these reach the same user.
    fn of(named: &[Option<Named<'_>>]) -> Option<Self> {
        let mut reach = Self { groups: Vec::new(), named: HashMap::new() };
        let mut count = 0;
        for named in named.iter().flatten() {
            if matches!(named.target, Target::Group(_)) && !reach.named.contains_key(&named.flow) {
                reach.groups.push(named.flow);
            }
            *reach.named.entry(named.flow).or_default() += 1;
            count += 1;
        }
        let apart = reach.groups.is_empty() && reach.named.len() == count;
        (count > 1 && !apart).then_some(reach)
    }

    fn siblings(&self, own: &Named<'_>) -> Siblings {
        let is_group = matches!(own.target, Target::Group(_));
        let others = if is_group { self.named.len() } else { self.groups.len() };
        if others > Siblings::MOST {
            return Siblings::Unknown;
        }
        let others: Vec<FlowId> = if is_group { self.named.keys().copied().collect() } else { self.groups.clone() };
        let mut flows: Vec<FlowId> = others.into_iter().filter(|flow| *flow != own.flow).collect();
        if self.named.get(&own.flow).is_some_and(|count| *count > 1) {
            flows.push(own.flow);
        }
        Siblings::These(flows.into())
    }
}

/// `None` where the push-id is taken.
fn insert_push(tx: &mut Tx<'_>, push: &Submission) -> Result<Option<PushKey>> {
    let key = tx.new_push();
    let headers = serde_json::to_string(&push.headers).unwrap_or_else(|_| "[]".into());
    let inserted = tx
        .sql
        .prepare_cached(
            "INSERT INTO pushes (id, initiator, push_id, digest, created_at, deliver_after, deliver_before, delivery, priority,
                source, content_type, headers, body, notify, notify_form, sender, receiver, request)
             VALUES (?16, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?17, ?18)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            push.initiator,
            push.push_id,
            push.digest.stable,
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
            key,
            push.notify.as_ref().map(|notify| &notify.receiver),
            push.request,
        ])?;
    Ok((inserted > 0).then_some(key))
}
