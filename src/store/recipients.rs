//! Who has a push, who has not, and why: read from intervals, cursors and exceptions.

use rusqlite::{Connection, OptionalExtension, params};

use super::exception_kinds::ASIDE;
use super::{Recipient, RecipientPage, Result, State, Store, left_out, set_aside};
use crate::parcel::{FlowId, Seq};

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
    replaces: Option<Seq>,
}

impl Store {
    /// Recipients of a push in order of address and binding, from `after` on (position and binding of the last one);
    /// `None` for an unknown push.
    pub async fn recipients(
        &self,
        initiator: String,
        push_id: String,
        state: Option<State>,
        after: (i64, i64),
        limit: usize,
    ) -> Result<Option<RecipientPage>> {
        self.read(move |sql| {
            let snapshot = sql.unchecked_transaction()?;
            let push: Option<i64> = snapshot
                .prepare_cached("SELECT id FROM pushes WHERE initiator = ?1 AND push_id = ?2")?
                .query_row([initiator, push_id], |row| row.get(0))
                .optional()?;
            push.map(|push| page(&snapshot, push, state, after, limit)).transpose()
        })
        .await
    }
}

fn page(sql: &Connection, push: i64, wanted: Option<State>, after: (i64, i64), limit: usize) -> Result<RecipientPage> {
    let mut page = RecipientPage::default();
    let mut looked = 0;
    for dispatch in dispatches(sql, push, after.0)? {
        let from = if dispatch.position == after.0 { after.1 } else { 0 };
        let mut query = sql.prepare_cached(
            "SELECT b.id, f.name, b.acked_seq, b.left_seq, b.exceptions, b.left_at, b.user FROM bindings b JOIN flows f ON f.id = b.user
             WHERE b.flow = ?1 AND b.id > ?2 AND b.joined_seq < ?3 AND (b.left_seq IS NULL OR b.left_seq >= ?3) ORDER BY b.id",
        )?;
        let mut rows = query.query(params![dispatch.flow, from, dispatch.seq])?;
        let replaced =
            dispatch.replaces.map(|old| left_out::chain(sql, dispatch.flow, old)).transpose()?.unwrap_or_default();
        while let Some(row) = rows.next()? {
            let binding: i64 = row.get(0)?;
            looked += 1;
            let user: FlowId = row.get(6)?;
            let left_out = left_out::has_any(sql, dispatch.flow, user, &replaced)?;
            let stated = if row.get(4)? { exception(sql, binding, dispatch.seq)? } else { None };
            let mut recipient = recipient(&dispatch, row.get(1)?, row.get(2)?, stated, row.get(5)?);
            if recipient.state == State::Pending && stated.is_some_and(|(kind, _, _)| kind == ASIDE) {
                recipient.reason = set_aside::describe(sql, binding, dispatch.seq)?.into();
            }
            if !left_out && wanted.is_none_or(|wanted| wanted == recipient.state) {
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

fn dispatches(sql: &Connection, push: i64, from: i64) -> Result<Vec<Dispatch>> {
    let mut query = sql.prepare_cached(
        "SELECT position, address, flow, seq, state, code, event_at, replaces FROM dispatches
         WHERE push = ?1 AND seq IS NOT NULL AND position >= ?2 ORDER BY position",
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

fn recipient(dispatch: &Dispatch, user: String, acked: Seq, stated: Stated, left_at: Option<i64>) -> Recipient {
    // Who left when it was over already did not get it for another reason.
    let left_at = left_at.filter(|left| dispatch.event_at.is_none_or(|end| *left <= end));
    let (state, code, reason, at) = match (stated, left_at) {
        (Some((1, _, at)), _) => (State::Delivered, 1000, "", Some(at)),
        (Some((2, code, at)), _) => (State::Aborted, code, "refused by the terminal", Some(at)),
        (Some((4, _, at)), Some(_)) => {
            (State::Undeliverable, 4510, "left the group, and answered after that", Some(at))
        }
        (Some((4, 0, at)), None) => (dispatch.state, dispatch.code, "acknowledged after it was over", Some(at)),
        (Some((4, _, at)), None) => (dispatch.state, dispatch.code, "refused after it was over", Some(at)),
        (Some((5, _, at)), None) => {
            (dispatch.state, dispatch.code, "was under way when it was replaced, and is kept", Some(at))
        }
        (Some((6, _, at)), None) => (dispatch.state, dispatch.code, unanswered(dispatch.state), Some(at)),
        (None, _) if dispatch.seq <= acked => (State::Delivered, 1000, "", None),
        (_, Some(left)) => (State::Undeliverable, 4510, "left the group", Some(left)),
        (Some((_, _, at)), None) => (dispatch.state, dispatch.code, "over before it reached the terminal", Some(at)),
        (None, None) => (dispatch.state, dispatch.code, unanswered(dispatch.state), dispatch.event_at),
    };
    // A push that is delivered as a whole has no member without it but those that are being written down.
    let state =
        if state == State::Delivered && stated.is_none() && dispatch.seq > acked { State::Pending } else { state };
    Recipient { user, address: dispatch.address.clone(), state, code, reason: reason.into(), at }
}
