//! Dispatch: a push to one address gets the next seq, and from then on its members owe an answer. And the end of it:
//! when everybody has answered, nobody is left, or the deadline has come.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use super::writer::Tx;
use super::{Event, Result, State, delivery_times, left_out, standing};
use crate::clock::Millis;
use crate::ids::{GroupId, Target};
use crate::parcel::{BindingId, DispatchId, FlowId, Parcel, PushKey, Seq, Siblings};

/// PAP 1000: OK.
pub(super) const OK: i64 = 1000;
/// A group without members.
pub(super) const NOBODY: i64 = 4510;
/// PAP 2002: the address names nothing known.
pub(super) const UNKNOWN: i64 = 2002;
/// PAP 2008: what it should replace cannot be taken back.
pub(super) const NOT_CANCELLABLE: i64 = 2008;
/// Its deliver-before came.
pub(super) const EXPIRED: i64 = 4500;

/// One address that is due.
pub(super) struct Due<'a> {
    pub(super) push: PushKey,
    pub(super) flow: FlowId,
    pub(super) target: &'a Target,
    pub(super) address: &'a str,
    pub(super) siblings: Siblings,
    /// The dispatch whose recipients are left out.
    pub(super) replaces: Option<Seq>,
    /// The group whose last push it is for a new member.
    pub(super) welcome: Option<&'a GroupId>,
    /// It was taken by this transaction.
    pub(super) is_new: bool,
    pub(super) content: &'a Content<'a>,
}

/// What all addresses of one push have in common.
pub(super) struct Content<'a> {
    pub(super) push_id: &'a str,
    pub(super) confirmed: bool,
    /// Since when it may be delivered.
    pub(super) since: Millis,
    pub(super) deadline: Millis,
    pub(super) content_type: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) body: &'a Bytes,
}

/// Gives an address that was stored before its seq. The cost is the same for every size of group: the members are a number
/// kept with it.
pub(super) fn dispatch(tx: &mut Tx<'_>, row: i64, due: &Due<'_>, now: Millis) -> Result<()> {
    let (before, all): (Seq, i64) = tx
        .sql
        .prepare_cached("SELECT last_seq, members FROM flows WHERE id = ?1")?
        .query_row([due.flow], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let left_out = due.replaces.map_or(Ok(0), |old| left_out::left_out(tx.sql, due.flow, old))?;
    let members = (all - left_out).max(0);
    let seq = before.next();
    tx.sql.prepare_cached("UPDATE flows SET last_seq = ?2 WHERE id = ?1")?.execute(params![due.flow, seq])?;
    let (state, code) = if members == 0 { (State::Undeliverable, NOBODY) } else { (State::Pending, OK) };
    tx.sql
        .prepare_cached(
            "UPDATE dispatches SET seq = ?2, state = ?3, code = ?4, recipients = ?5, event_at = ?6 WHERE id = ?1",
        )?
        .execute(params![row, seq, state.number(), code, members, (members == 0).then_some(now)])?;
    announce(tx, due, seq);
    standing::tell(tx, row, due.is_new)
}

/// Once it is committed, the push is on its way to the workers.
pub(super) fn announce(tx: &mut Tx<'_>, due: &Due<'_>, seq: Seq) {
    let content = due.content;
    tx.emit(Event::Dispatched(Arc::new(Parcel {
        seq,
        flow: due.flow,
        target: due.target.clone(),
        push: due.push,
        // Who is left out is known to the store only.
        siblings: if due.replaces.is_some() { Siblings::Unknown } else { due.siblings.clone() },
        confirmed: content.confirmed,
        since: content.since,
        deadline: content.deadline,
        welcome: due.welcome.cloned(),
        push_id: content.push_id.to_owned(),
        address: due.address.to_owned(),
        content_type: content.content_type.to_owned(),
        headers: content.headers.to_vec(),
        body: content.body.clone(),
    })));
}

/// Ends an address, whatever its members have answered.
pub(super) fn end(tx: &mut Tx<'_>, row: i64, state: State, code: i64, now: Millis) -> Result<()> {
    tx.sql
        .prepare_cached("UPDATE dispatches SET state = ?2, code = ?3, event_at = ?4 WHERE id = ?1")?
        .execute(params![row, state.number(), code, now])?;
    standing::tell(tx, row, false)
}

/// What a flush adds to one dispatch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) delivered: i64,
    pub(super) refused: i64,
    pub(super) gone: i64,
    /// The code of the last refusal.
    pub(super) code: Option<u16>,
    /// Those who have it, where it was for several.
    pub(super) got: Vec<BindingId>,
}

/// The counters of a pending dispatch with what a flush adds. All members answered: delivered where all that remained have
/// it, aborted where one refused, and undeliverable where everybody left first.
const COUNT: &str = "
    UPDATE dispatches SET delivered = n.delivered, refused = n.refused, gone = n.gone, refusal = n.refusal,
        first_at = CASE WHEN ?3 > 0 THEN coalesce(first_at, ?7) ELSE first_at END,
        half_at  = CASE WHEN half_at IS NULL AND ?3 > 0 AND n.delivered * 2 >= recipients THEN ?7 ELSE half_at END,
        most_at  = CASE WHEN most_at IS NULL AND ?3 > 0 AND n.delivered * 100 >= recipients * 95 THEN ?7 ELSE most_at END,
        last_at  = CASE WHEN ?3 > 0 THEN ?7 ELSE last_at END,
        event_at = CASE WHEN n.done THEN ?7 ELSE event_at END,
        state = CASE WHEN NOT n.done THEN 1 WHEN n.refused > 0 THEN 5 WHEN n.delivered > 0 THEN 2 ELSE 3 END,
        code  = CASE WHEN NOT n.done THEN code WHEN n.refused > 0 THEN n.refusal WHEN n.delivered > 0 THEN 1000 ELSE 4510 END
    FROM (SELECT delivered + ?3 AS delivered, refused + ?4 AS refused, gone + ?5 AS gone, coalesce(?6, refusal) AS refusal,
            delivered + ?3 + refused + ?4 + gone + ?5 >= recipients AS done
          FROM dispatches WHERE flow = ?1 AND seq = ?2) AS n
    WHERE flow = ?1 AND seq = ?2 AND state = 1 RETURNING id";

/// Adds to the counters of a pending dispatch and ends it if that was the last answer.
pub(super) fn count(tx: &mut Tx<'_>, id: DispatchId, counts: &Counts, now: Millis) -> Result<()> {
    let row: Option<i64> = tx
        .sql
        .prepare_cached(COUNT)?
        .query_row(params![id.flow, id.seq, counts.delivered, counts.refused, counts.gone, counts.code, now], |row| {
            row.get(0)
        })
        .optional()?;
    if !counts.got.is_empty() {
        delivery_times::record(tx, id, &counts.got, now)?;
    }
    row.map_or(Ok(()), |row| standing::tell(tx, row, false))
}
