//! The write-behind of acknowledgements: cursors, counters, exceptions and final states change in one transaction
//! (docs/ledger.md, rules 3, 4, 6, 8 and 15).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{OptionalExtension, params};

use super::dispatch::{self, Counts};
use super::writer::Tx;
use super::{CursorMove, Exception, ExceptionKind, Result, Store};
use crate::clock::Millis;
use crate::parcel::{BindingId, FlowId, Seq};

const GOT: i64 = 1;
const REFUSED: i64 = 2;
const SKIPPED: i64 = 3;
const LATE: i64 = 4;

impl Store {
    /// Applies moved cursors.
    pub async fn settle(&self, moves: Vec<CursorMove>, now: Millis) -> Result<()> {
        if moves.is_empty() {
            return Ok(());
        }
        let moves = merge(moves);
        self.write(move |tx| settle_in(tx, &moves, now)).await
    }
}

/// One binding whose cursor moves over `(after, upto]`.
struct Step<'a> {
    cursor: &'a CursorMove,
    flow: FlowId,
    after: Seq,
    upto: Seq,
    rows: bool,
}

/// Two terminals of one user may speak of the same binding: a cursor only rises, and nobody is counted twice.
fn merge(moves: Vec<CursorMove>) -> Vec<CursorMove> {
    let mut merged: HashMap<BindingId, CursorMove> = HashMap::with_capacity(moves.len());
    for cursor in moves {
        match merged.entry(cursor.binding) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.upto = known.upto.max(cursor.upto);
                known.exceptions.extend(cursor.exceptions);
            }
            Entry::Vacant(free) => {
                free.insert(cursor);
            }
        }
    }
    merged.into_values().collect()
}

fn settle_in(tx: &mut Tx<'_>, moves: &[CursorMove], now: Millis) -> Result<()> {
    let mut by_flow: HashMap<FlowId, Vec<Step<'_>>> = HashMap::new();
    for cursor in moves {
        if let Some(step) = load(tx, cursor)? {
            by_flow.entry(step.flow).or_default().push(step);
        }
    }
    for (flow, steps) in by_flow {
        settle_flow(tx, flow, &steps, now)?;
    }
    Ok(())
}

/// `None` for a binding that was closed: its open dispatches were counted as gone, and nothing moves a counter twice.
fn load<'a>(tx: &Tx<'_>, cursor: &'a CursorMove) -> Result<Option<Step<'a>>> {
    let step = tx
        .sql
        .prepare_cached("SELECT flow, max(joined_seq, acked_seq), exceptions FROM bindings WHERE id = ?1 AND left_seq IS NULL")?
        .query_row([cursor.binding], |row| {
            let after: Seq = row.get(1)?;
            Ok(Step { cursor, flow: row.get(0)?, after, upto: cursor.upto.max(after), rows: row.get(2)? })
        });
    Ok(step.optional()?)
}

/// The dispatches of one flow that a flush touches.
struct Ledger {
    entries: Vec<Line>,
}

struct Line {
    seq: Seq,
    pending: bool,
    counts: Counts,
}

impl Ledger {
    fn load(tx: &Tx<'_>, flow: FlowId, after: Seq, upto: Seq) -> Result<Self> {
        let entries = tx
            .sql
            .prepare_cached("SELECT seq, state = 1 FROM dispatches WHERE flow = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq")?
            .query_map([flow, after, upto], |row| {
                Ok(Line { seq: row.get(0)?, pending: row.get(1)?, counts: Counts::default() })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Self { entries })
    }

    /// Positions of the entries with `after < seq <= upto`.
    fn range(&self, after: Seq, upto: Seq) -> std::ops::Range<usize> {
        let start = self.entries.partition_point(|entry| entry.seq <= after);
        let end = self.entries.partition_point(|entry| entry.seq <= upto);
        start..end.max(start)
    }

    fn at(&mut self, seq: Seq) -> Option<&mut Line> {
        let at = self.entries.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
        self.entries.get_mut(at)
    }
}

fn settle_flow(tx: &mut Tx<'_>, flow: FlowId, steps: &[Step<'_>], now: Millis) -> Result<()> {
    let low = steps.iter().map(|step| step.after).min().unwrap_or(0);
    let high = steps.iter().map(Step::reach).max().unwrap_or(0);
    let mut ledger = Ledger::load(tx, flow, low, high)?;
    for step in steps {
        let stated = stated(tx, step)?;
        let mut rows = false;
        for exception in &step.cursor.exceptions {
            rows |= apply_exception(tx, step, *exception, &stated, &mut ledger, now)?;
        }
        rows |= count_range(tx, step, &stated, &mut ledger, now)?;
        tx.sql
            .prepare_cached("UPDATE bindings SET acked_seq = max(acked_seq, ?2), exceptions = exceptions | ?3 WHERE id = ?1")?
            .execute(params![step.cursor.binding, step.upto, rows])?;
    }
    for entry in ledger.entries.iter().filter(|entry| entry.counts != Counts::default()) {
        dispatch::count(tx, entry.seq, entry.counts, now)?;
    }
    Ok(())
}

impl Step<'_> {
    /// The newest seq this step speaks of.
    fn reach(&self) -> Seq {
        self.cursor.exceptions.iter().map(|exception| exception.seq).max().unwrap_or(0).max(self.upto)
    }
}

/// Rows that already say something about this binding: `(seq, upto, kind)`.
type Stated = Vec<(Seq, Seq, i64)>;

fn stated(tx: &Tx<'_>, step: &Step<'_>) -> Result<Stated> {
    if !step.rows {
        return Ok(Vec::new());
    }
    let rows = tx
        .sql
        .prepare_cached("SELECT seq, upto, kind FROM exceptions WHERE binding = ?1 AND upto > ?2 ORDER BY seq")?
        .query_map([step.cursor.binding, step.after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

fn says(stated: &Stated, seq: Seq, kind: i64) -> bool {
    stated.iter().any(|&(from, upto, stated)| stated == kind && from <= seq && seq <= upto)
}

/// Writes one exception and counts it. Got beats refused (rule 15); what is final moves no counter (rule 3).
fn apply_exception(
    tx: &Tx<'_>,
    step: &Step<'_>,
    exception: Exception,
    stated: &Stated,
    ledger: &mut Ledger,
    now: Millis,
) -> Result<bool> {
    let seq = exception.seq;
    let binding = step.cursor.binding;
    if let ExceptionKind::Skipped { upto } = exception.kind {
        write_row(tx, binding, seq, SKIPPED, upto, 0, now)?;
        return Ok(true);
    }
    if seq <= step.after || says(stated, seq, GOT) {
        return Ok(false);
    }
    let Some(entry) = ledger.at(seq) else { return Ok(false) };
    let was_refused = says(stated, seq, REFUSED);
    match exception.kind {
        ExceptionKind::Got => {
            if was_refused {
                return Ok(false);
            }
            let kind = if entry.pending { GOT } else { LATE };
            entry.counts.delivered += i64::from(entry.pending);
            write_row(tx, binding, seq, kind, seq, 0, now)?;
        }
        ExceptionKind::Refused { code } => {
            if was_refused {
                return Ok(false);
            }
            if entry.pending {
                entry.counts.refused += 1;
                entry.counts.code = Some(code);
            }
            write_row(tx, binding, seq, REFUSED, seq, code, now)?;
        }
        ExceptionKind::Skipped { .. } => {}
    }
    Ok(true)
}

/// Counts what the cursor passes as got, unless a row says otherwise.
fn count_range(tx: &Tx<'_>, step: &Step<'_>, stated: &Stated, ledger: &mut Ledger, now: Millis) -> Result<bool> {
    let mut late = false;
    let range = ledger.range(step.after, step.upto);
    for entry in &mut ledger.entries[range] {
        let excepted = stated.iter().any(|&(from, upto, _)| from <= entry.seq && entry.seq <= upto)
            || step.cursor.exceptions.iter().any(|exception| exception.covers(entry.seq));
        if excepted {
            continue;
        }
        if entry.pending {
            entry.counts.delivered += 1;
        } else {
            write_row(tx, step.cursor.binding, entry.seq, LATE, entry.seq, 0, now)?;
            late = true;
        }
    }
    Ok(late)
}

impl Exception {
    fn covers(&self, seq: Seq) -> bool {
        match self.kind {
            ExceptionKind::Skipped { upto } => self.seq <= seq && seq <= upto,
            ExceptionKind::Got | ExceptionKind::Refused { .. } => self.seq == seq,
        }
    }
}

fn write_row(tx: &Tx<'_>, binding: BindingId, seq: Seq, kind: i64, upto: Seq, code: u16, now: Millis) -> Result<()> {
    tx.sql
        .prepare_cached("INSERT OR IGNORE INTO exceptions (binding, seq, kind, upto, code, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![binding, seq, kind, upto, code, now])?;
    Ok(())
}
