//! Replacing a push (WAP-247 §8.2; docs/ledger.md, rule 19).
//!
//! `all` is a cancel and a submission in one transaction; a user to whom the old push is under way keeps it, since it cannot
//! be taken back. (The members of a group are not looked at, however many they are.) `pending-only` reaches those who have
//! not got the old push: it is cancelled for them, and the new dispatch names the old one, whose receivers, refusers and
//! holders are left out of it. A holder is a member to whom the old push was under way: it keeps that one, and has a row that
//! says so. Everybody else who is left out is not written down: that follows from cursors and exceptions of the old dispatch,
//! which is final from here on.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::exception_kinds::HELD;
use super::writer::Tx;
use super::{Replacing, Result, State, Store, delivery_state, left_out, views, welcome};
use crate::clock::Millis;
use crate::parcel::{BindingId, DispatchId, FlowId, PushKey, Seq};

/// A push may replace one that replaced one …, as often as this: who is left out of it has to be looked up in each.
pub const MAX_REPLACED: usize = 100;

/// What an address of the new push finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Predecessor {
    /// Nothing was sent before: everybody gets the new one.
    None,
    /// Those whom this dispatch reached are left out.
    Sent(Seq),
    /// With `pending-only`: there is nobody whose old push could be taken back.
    Over,
}

impl Predecessor {
    pub(super) fn seq(self) -> Option<Seq> {
        match self {
            Self::Sent(seq) => Some(seq),
            Self::None | Self::Over => None,
        }
    }
}

/// The outcome for the old push.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    by_flow: HashMap<FlowId, Predecessor>,
    /// Dispatches that must not be sent any more.
    pub(super) cancelled: Vec<DispatchId>,
}

/// Why nothing was replaced, and nothing submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotReplaced {
    UnknownPush,
    NothingPending,
    /// It has replaced one that replaced one …, too often.
    LongChain,
    /// One of the old dispatches is not among those that the workers hold back.
    NotHeldBack,
}

/// One address of the old push.
struct Old {
    row: i64,
    push: PushKey,
    flow: FlowId,
    seq: Option<Seq>,
    state: State,
    /// Members who have not answered.
    open: i64,
    /// To a user and not to a group.
    direct: bool,
}

impl Old {
    fn id(&self) -> Option<DispatchId> {
        Some(DispatchId { flow: self.flow, seq: self.seq? })
    }

    /// Whether it matters to whom it is under way.
    fn asks_holders(&self, pending_only: bool) -> bool {
        self.state == State::Pending && (pending_only || self.direct)
    }
}

impl Store {
    /// The dispatches of a push that have to be held back while it is replaced in this way, with their flows.
    pub async fn to_be_held_back(
        &self,
        initiator: String,
        push_id: String,
        pending_only: bool,
    ) -> Result<Vec<DispatchId>> {
        self.read(move |sql| {
            let Some(push) = views::push_key(sql, &initiator, &push_id)? else { return Ok(Vec::new()) };
            let old = addresses(sql, push)?;
            Ok(old.iter().filter(|old| old.asks_holders(pending_only)).filter_map(Old::id).collect())
        })
        .await
    }
}

impl Replaced {
    /// For a flow that the new push is addressed to.
    pub(super) fn predecessor(&self, flow: FlowId) -> Predecessor {
        self.by_flow.get(&flow).copied().unwrap_or(Predecessor::None)
    }
}

/// Takes back what can be taken back of the old push at these flows; the others are not touched.
pub(super) fn take_back(
    tx: &mut Tx<'_>,
    initiator: &str,
    replacing: &Replacing,
    flows: &[FlowId],
    now: Millis,
) -> Result<std::result::Result<Replaced, NotReplaced>> {
    let Some(push) = views::push_key(tx.sql, initiator, &replacing.push_id)? else {
        return Ok(if replacing.pending_only { Err(NotReplaced::UnknownPush) } else { Ok(Replaced::default()) });
    };
    let mut replaced = Replaced::default();
    if replacing.pending_only {
        replaced.by_flow.extend(flows.iter().map(|flow| (*flow, Predecessor::Over)));
    }
    let olds = addresses(tx.sql, push)?;
    let flows: HashSet<FlowId> = flows.iter().copied().collect();
    let of_ours = |old: &&Old| flows.contains(&old.flow);
    // Before anything is changed.
    let held_back: HashSet<DispatchId> = replacing.held_back.iter().copied().collect();
    let asked = |old: &&Old| old.asks_holders(replacing.pending_only);
    for id in olds.iter().filter(of_ours).filter(asked).filter_map(Old::id) {
        if !held_back.contains(&id) {
            return Ok(Err(NotReplaced::NotHeldBack));
        }
        if replacing.pending_only && left_out::chain(tx.sql, id.flow, id.seq)?.len() >= MAX_REPLACED {
            return Ok(Err(NotReplaced::LongChain));
        }
    }
    let mut under_way: HashMap<DispatchId, Vec<BindingId>> = HashMap::new();
    for &(binding, id) in &replacing.holders {
        under_way.entry(id).or_default().push(binding);
    }
    for old in olds.iter().filter(of_ours) {
        match old.state {
            State::Scheduled => {
                cancel(tx, old, &mut replaced, now)?;
                if replacing.pending_only && replaced.predecessor(old.flow) == Predecessor::Over {
                    replaced.by_flow.insert(old.flow, Predecessor::None);
                }
            }
            State::Pending if old.asks_holders(replacing.pending_only) => {
                let Some(id) = old.id() else { continue };
                let seq = id.seq;
                let holders = holders(tx.sql, under_way.remove(&id).unwrap_or_default(), seq)?;
                if old.open > holders.len() as i64 {
                    hold(tx, &holders, old.row, seq, now)?;
                    cancel(tx, old, &mut replaced, now)?;
                    if replacing.pending_only {
                        replaced.by_flow.insert(old.flow, Predecessor::Sent(seq));
                    }
                }
            }
            State::Pending => cancel(tx, old, &mut replaced, now)?,
            _ => {}
        }
    }
    let over = |flow: &FlowId| replaced.predecessor(*flow) == Predecessor::Over;
    Ok(if flows.iter().all(over) { Err(NotReplaced::NothingPending) } else { Ok(replaced) })
}

fn addresses(sql: &Connection, push: i64) -> Result<Vec<Old>> {
    let mut query = sql.prepare_cached(
        "SELECT d.id, d.flow, d.seq, d.state, d.recipients - d.delivered - d.refused - d.gone, f.kind = 1
         FROM dispatches d JOIN flows f ON f.id = d.flow WHERE d.push = ?1 AND d.welcome IS NULL ORDER BY d.position",
    )?;
    let rows = query.query_map([push], |row| {
        let state = State::from_number(row.get(3)?);
        Ok(Old {
            row: row.get(0)?,
            push,
            flow: row.get(1)?,
            seq: row.get(2)?,
            state,
            open: row.get(4)?,
            direct: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn cancel(tx: &mut Tx<'_>, old: &Old, replaced: &mut Replaced, now: Millis) -> Result<()> {
    delivery_state::end(tx, old.row, State::Cancelled, delivery_state::OK, now)?;
    replaced.cancelled.extend(old.id());
    replaced.cancelled.extend(welcome::cancel(tx, old.push, old.flow, now)?);
    Ok(())
}

/// Those of the bindings with the old push under way that are open and have not answered it meanwhile.
fn holders(sql: &Connection, mut under_way: Vec<BindingId>, seq: Seq) -> Result<Vec<BindingId>> {
    // Two terminals of one user have one binding.
    under_way.sort_unstable();
    under_way.dedup();
    let mut query = sql.prepare_cached(
        "SELECT 1 FROM bindings b WHERE b.id = ?1 AND b.left_seq IS NULL AND b.acked_seq < ?2
         AND NOT EXISTS (SELECT 1 FROM exceptions e WHERE e.binding = b.id AND e.seq = ?2)",
    )?;
    let mut holders = Vec::with_capacity(under_way.len());
    for binding in under_way {
        if query.query_row(params![binding, seq], |_| Ok(())).optional()?.is_some() {
            holders.push(binding);
        }
    }
    Ok(holders)
}

fn hold(tx: &Tx<'_>, holders: &[BindingId], row: i64, seq: Seq, now: Millis) -> Result<()> {
    for &binding in holders {
        tx.sql
            .prepare_cached("INSERT INTO exceptions (binding, seq, kind, upto, at) VALUES (?1, ?2, ?3, ?2, ?4)")?
            .execute(params![binding, seq, HELD, now])?;
        tx.sql.prepare_cached("UPDATE bindings SET exceptions = 1 WHERE id = ?1")?.execute([binding])?;
    }
    tx.sql
        .prepare_cached("UPDATE dispatches SET held = ?2 WHERE id = ?1")?
        .execute(params![row, holders.len() as i64])?;
    Ok(())
}
