//! Who has a push, who has not, and why: read from intervals, cursors and exceptions.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Detail, LastSeen, Recipient, RecipientPage, Result, State, Store, Wanted, Why, delivery_times, last_seen, left_out,
    set_aside, views,
};
use crate::parcel::{BindingId, DispatchId, FlowId, Seq};

/// Bindings that one answer looks at: a filter that few fit must not make it read for ever.
const LOOK: usize = 10_000;

/// One dispatched address of a push.
struct Dispatch {
    position: i64,
    address: String,
    flow: FlowId,
    seq: Seq,
    state: State,
    code: u16,
    event_at: Option<i64>,
    size: u64,
    replaces: Option<Seq>,
    recipients: u64,
}

impl Store {
    /// Recipients of a push in order of address and binding, from `after` on (position and binding of the last one);
    /// `None` for an unknown push.
    pub async fn recipients(
        &self,
        initiator: String,
        push_id: String,
        wanted: Wanted,
        after: (i64, i64),
        limit: usize,
        detail: Detail,
    ) -> Result<Option<RecipientPage>> {
        self.read(move |sql| {
            let snapshot = sql.unchecked_transaction()?;
            let Some(push) = views::push_key(&snapshot, &initiator, &push_id)? else { return Ok(None) };
            let mut page = page(&snapshot, push, wanted, after, limit, detail)?;
            if detail == Detail::Full {
                know_times(&snapshot, &mut page)?;
            }
            Ok(Some(page))
        })
        .await
    }
}

fn page(
    sql: &Connection,
    push: i64,
    wanted: Wanted,
    after: (i64, i64),
    limit: usize,
    detail: Detail,
) -> Result<RecipientPage> {
    let mut page = RecipientPage::default();
    let mut looked = 0;
    for dispatch in dispatches(sql, push, after.0)? {
        let from = if dispatch.position == after.0 { after.1 } else { 0 };
        let mut query = sql.prepare_cached(
            "SELECT b.id, f.name, b.acked_seq, b.left_seq, b.exceptions, b.left_at, b.user, b.joined_seq
             FROM bindings b JOIN flows f ON f.id = b.user WHERE b.flow = ?1 AND b.id > ?2 ORDER BY b.id",
        )?;
        let mut rows = query.query(params![dispatch.flow, from])?;
        let replaced =
            dispatch.replaces.map(|old| left_out::chain(sql, dispatch.flow, old)).transpose()?.unwrap_or_default();
        while let Some(row) = rows.next()? {
            let binding: i64 = row.get(0)?;
            // Those are looked at as well whom it never was for: who joined later, and who had left before.
            looked += 1;
            let (joined, left): (Seq, Option<Seq>) = (row.get(7)?, row.get(3)?);
            let was_member = joined < dispatch.seq && left.is_none_or(|left| left >= dispatch.seq);
            let user: FlowId = row.get(6)?;
            let left_out = !was_member || left_out::has_any(sql, dispatch.flow, user, &replaced)?;
            let stated = if row.get(4)? { exception(sql, binding, dispatch.seq)? } else { None };
            let acked: Seq = row.get(2)?;
            let mut recipient = recipient(&dispatch, binding, row.get(1)?, acked, stated, row.get(5)?);
            if !left_out && wanted.has(recipient.state) {
                describe(sql, &mut recipient, detail, acked > joined)?;
                page.recipients.push(recipient);
            }
            if page.recipients.len() >= limit || looked >= LOOK {
                page.next = Some((dispatch.position, binding));
                return Ok(page);
            }
        }
    }
    Ok(page)
}

/// What is known of a member beside its cursor. `has_answered`: a terminal of it has acknowledged something.
fn describe(sql: &Connection, recipient: &mut Recipient, detail: Detail, has_answered: bool) -> Result<()> {
    if detail == Detail::Reasons {
        let asks = recipient.why == Why::Owed;
        recipient.seen.was_here = asks && (has_answered || last_seen::was_here(sql, &recipient.user)?);
        return Ok(());
    }
    if recipient.why == Why::SetAside {
        recipient.words = set_aside::describe(sql, recipient.place.1, recipient.id.seq)?.into();
    }
    recipient.seen = last_seen::of_user(sql, &recipient.user, has_answered)?;
    Ok(())
}

/// When those had it of whom nothing else says so.
fn know_times(sql: &Connection, page: &mut RecipientPage) -> Result<()> {
    let has = |one: &&mut Recipient| one.why == Why::Has && one.at.is_none();
    let mut wanted: HashMap<DispatchId, HashSet<BindingId>> = HashMap::new();
    for one in page.recipients.iter_mut().filter(has) {
        wanted.entry(one.id).or_default().insert(one.place.1);
    }
    for (id, bindings) in wanted {
        let times = delivery_times::find(sql, id, &bindings)?;
        for one in page.recipients.iter_mut().filter(has).filter(|one| one.id == id) {
            one.at = times.get(&one.place.1).copied();
        }
    }
    Ok(())
}

fn dispatches(sql: &Connection, push: i64, from: i64) -> Result<Vec<Dispatch>> {
    let mut query = sql.prepare_cached(
        "SELECT d.position, d.address, d.flow, d.seq, d.state, d.code, d.event_at, d.replaces, length(p.body), d.recipients
         FROM dispatches d JOIN pushes p ON p.id = d.push
         WHERE d.push = ?1 AND d.seq IS NOT NULL AND d.welcome IS NULL AND d.position >= ?2 ORDER BY d.position",
    )?;
    let rows = query.query_map([push, from], |row| {
        Ok(Dispatch {
            position: row.get(0)?,
            address: row.get(1)?,
            flow: row.get(2)?,
            seq: row.get(3)?,
            state: State::from_number(row.get(4)?),
            code: row.get(5)?,
            event_at: row.get(6)?,
            replaces: row.get(7)?,
            size: row.get(8)?,
            recipients: row.get(9)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// What a row says about one dispatch: kind, code and time. Got beats refused beats late beats skipped.
type Stated = Option<(i64, u16, i64)>;

fn exception(sql: &Connection, binding: i64, seq: Seq) -> Result<Stated> {
    let mut query = sql.prepare_cached(
        "SELECT kind, code, at FROM exceptions WHERE binding = ?1 AND seq <= ?2 AND upto >= ?2
         ORDER BY CASE kind WHEN 1 THEN 0 WHEN 2 THEN 1 WHEN 4 THEN 2 WHEN 5 THEN 3 WHEN 6 THEN 4 ELSE 5 END LIMIT 1",
    )?;
    Ok(query.query_row(params![binding, seq], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?)
}

/// Why somebody has not got it who has said nothing and of whom nothing was written down.
fn unanswered(state: State) -> &'static str {
    match state {
        State::Pending => "not acknowledged yet",
        State::Expired => "not acknowledged before its deliver-before",
        State::Cancelled => "not acknowledged before it was cancelled",
        State::Scheduled
        | State::Delivered
        | State::Undeliverable
        | State::Aborted
        | State::Timeout
        | State::Rejected => "",
    }
}

/// Why somebody of whom nothing was written down has not got it.
fn by_state(state: State) -> Why {
    match state {
        State::Delivered => Why::Has,
        State::Expired | State::Timeout => Why::Expired,
        State::Cancelled => Why::Cancelled,
        State::Aborted | State::Rejected => Why::Refused,
        State::Undeliverable => Why::Left,
        State::Pending | State::Scheduled => Why::Owed,
    }
}

/// PAP 5237: the client cannot handle the content.
const TOO_LARGE: u16 = 5237;

fn recipient(
    dispatch: &Dispatch,
    binding: BindingId,
    user: String,
    acked: Seq,
    stated: Stated,
    left_at: Option<i64>,
) -> Recipient {
    // Who left when it was over already did not get it for another reason.
    let left_at = left_at.filter(|left| dispatch.event_at.is_none_or(|end| *left <= end));
    let Dispatch { state, code, .. } = *dispatch;
    let other = by_state(state);
    let (state, code, why, words, at) = match (stated, left_at) {
        (Some((1, _, at)), _) => (State::Delivered, 1000, Why::Has, "", Some(at)),
        (Some((2, TOO_LARGE, at)), _) => {
            (State::Aborted, TOO_LARGE, Why::TooLarge, "its terminal cannot take it", Some(at))
        }
        (Some((2, code, at)), _) => (State::Aborted, code, Why::Refused, "refused by the terminal", Some(at)),
        (Some((4, _, at)), Some(_)) => {
            (State::Undeliverable, 4510, Why::Left, "left the group, and answered after that", Some(at))
        }
        (Some((4, 0, at)), None) => (state, code, other, "acknowledged after it was over", Some(at)),
        (Some((4, _, at)), None) => (state, code, other, "refused after it was over", Some(at)),
        (Some((5, _, at)), None) => (state, code, other, "was under way when it was replaced, and is kept", Some(at)),
        (Some((6, _, at)), None) if state == State::Pending => (state, code, Why::SetAside, "", Some(at)),
        (Some((6, _, at)), None) => (state, code, other, unanswered(state), Some(at)),
        (None, _) if dispatch.seq <= acked => {
            // Of a push to one member its end says when.
            let at = dispatch.event_at.filter(|_| dispatch.recipients == 1);
            (State::Delivered, 1000, Why::Has, "", at)
        }
        (_, Some(left)) => (State::Undeliverable, 4510, Why::Left, "left the group", Some(left)),
        (Some((_, _, at)), None) => (state, code, other, "over before it reached the terminal", Some(at)),
        (None, None) => (state, code, other, unanswered(state), dispatch.event_at),
    };
    // A push that is delivered as a whole has no member without it but those that are being written down.
    let is_late = state == State::Delivered && stated.is_none() && dispatch.seq > acked;
    let (state, why) = if is_late { (State::Pending, Why::Owed) } else { (state, why) };
    let id = DispatchId { flow: dispatch.flow, seq: dispatch.seq };
    let (place, seen) = ((dispatch.position, binding), LastSeen::default());
    let (address, size) = (dispatch.address.clone(), dispatch.size);
    Recipient { user, address, state, code, why, words: words.into(), at, id, place, size, seen }
}
