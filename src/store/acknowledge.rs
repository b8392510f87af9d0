//! The write-behind of acknowledgements: cursors, counters, exceptions and final states change in one transaction
//! (docs/ledger.md, rules 3, 4, 6, 8 and 15).

use std::collections::HashMap;

use rusqlite::{OptionalExtension, params};

use super::delivery_state::{self, Counts};
use super::exception_kinds::{ASIDE, GOT, HELD, LATE, REFUSED, SKIPPED};
use super::merged_answers::{Said, merge};
use super::writer::Tx;
use super::{CursorMove, Exception, ExceptionKind, Result, Store, set_aside};
use crate::clock::Millis;
use crate::parcel::{BindingId, DispatchId, FlowId, Seq};

impl Store {
    /// Applies moved cursors.
    pub async fn settle(&self, moves: Vec<CursorMove>, now: Millis) -> Result<()> {
        if moves.is_empty() {
            return Ok(());
        }
        let said = merge(moves);
        self.write(move |tx| settle_in(tx, &said, now)).await
    }
}

/// One binding whose cursor moves over `(after, upto]`.
struct Step<'a> {
    said: &'a Said,
    flow: FlowId,
    after: Seq,
    upto: Seq,
    rows: bool,
}

fn settle_in(tx: &mut Tx<'_>, said: &[Said], now: Millis) -> Result<()> {
    let mut by_flow: HashMap<FlowId, Vec<Step<'_>>> = HashMap::new();
    for said in said {
        match load(tx, said)? {
            Some(step) => by_flow.entry(step.flow).or_default().push(step),
            None => note_late(tx, &said.cursor, now)?,
        }
    }
    for (flow, steps) in by_flow {
        settle_flow(tx, flow, &steps, now)?;
    }
    Ok(())
}

/// The binding was closed: its open dispatches were counted as gone, and nothing moves a counter twice. That it was got or
/// refused all the same is kept, so that the push does not come again by another address (rules 3 and 12).
fn note_late(tx: &Tx<'_>, cursor: &CursorMove, now: Millis) -> Result<()> {
    for exception in &cursor.exceptions {
        let code = match exception.kind {
            ExceptionKind::Got => 0,
            ExceptionKind::Refused { code } => code,
            ExceptionKind::Skipped { .. } | ExceptionKind::Aside => continue,
        };
        let known = tx
            .sql
            .prepare_cached("UPDATE bindings SET exceptions = 1 WHERE id = ?1 AND acked_seq < ?2")?
            .execute(params![cursor.binding, exception.seq])?;
        if known > 0 {
            write_row(tx, cursor.binding, exception.seq, LATE, exception.seq, code, now)?;
        }
    }
    Ok(())
}

/// `None` for a binding that was closed.
fn load<'a>(tx: &Tx<'_>, said: &'a Said) -> Result<Option<Step<'a>>> {
    let cursor = &said.cursor;
    let step = tx
        .sql
        .prepare_cached(
            "SELECT flow, max(joined_seq, acked_seq), exceptions FROM bindings WHERE id = ?1 AND left_seq IS NULL",
        )?
        .query_row([cursor.binding], |row| {
            let after: Seq = row.get(1)?;
            Ok(Step { said, flow: row.get(0)?, after, upto: cursor.upto.max(after), rows: row.get(2)? })
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
    /// When who had it is kept: of a push to one member the dispatch says it.
    is_for_several: bool,
    counts: Counts,
}

impl Line {
    fn delivered(&mut self, binding: BindingId) {
        self.counts.delivered += 1;
        if self.is_for_several {
            self.counts.got.push(binding);
        }
    }
}

/// The dispatches of a flow in `(after, upto]`.
pub(super) const SPAN: &str =
    "SELECT seq, state = 1, recipients > 1 FROM dispatches WHERE flow = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq";

impl Ledger {
    /// Loads what the steps touch and nothing between: one member that is far behind must not make every flush of a
    /// busy flow read its whole history, nor one that steps over it.
    fn load(tx: &Tx<'_>, flow: FlowId, steps: &[Step<'_>], overruled: &[Vec<(Seq, i64)>]) -> Result<Self> {
        let mut ranges: Vec<(Seq, Seq)> = steps.iter().flat_map(Step::spans).collect();
        ranges.extend(overruled.iter().flatten().map(|(seq, _)| (seq.before(), *seq)));
        ranges.sort_unstable();
        ranges.dedup_by(|next, known| {
            let overlap = next.0 <= known.1;
            if overlap {
                known.1 = known.1.max(next.1);
            }
            overlap
        });
        let mut entries = Vec::new();
        for (after, upto) in ranges {
            let mut query = tx.sql.prepare_cached(SPAN)?;
            let lines = query.query_map(params![flow, after, upto], |row| {
                Ok(Line {
                    seq: row.get(0)?,
                    pending: row.get(1)?,
                    is_for_several: row.get(2)?,
                    counts: Counts::default(),
                })
            })?;
            entries.extend(lines.collect::<rusqlite::Result<Vec<Line>>>()?);
        }
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
    let overruled = steps.iter().map(|step| overruled(tx, step)).collect::<Result<Vec<_>>>()?;
    let mut ledger = Ledger::load(tx, flow, steps, &overruled)?;
    for (step, overruled) in steps.iter().zip(&overruled) {
        for &(seq, kind) in overruled {
            overrule(tx, step, seq, kind, &mut ledger, now)?;
        }
        let stated = stated(tx, step)?;
        let mut rows = false;
        for exception in &step.said.cursor.exceptions {
            rows |= apply_exception(tx, step, *exception, &stated, &mut ledger, now)?;
        }
        rows |= count_range(tx, step, &stated, &mut ledger, now)?;
        tx.sql
            .prepare_cached(
                "UPDATE bindings SET acked_seq = max(acked_seq, ?2), exceptions = exceptions | ?3 WHERE id = ?1",
            )?
            .execute(params![step.said.cursor.binding, step.upto, rows])?;
    }
    for entry in ledger.entries.iter().filter(|entry| entry.counts != Counts::default()) {
        delivery_state::count(tx, DispatchId { flow, seq: entry.seq }, &entry.counts, now)?;
    }
    Ok(())
}

/// Refusals, and pushes that are set aside, that a terminal of the user speaks against by now, with their kind.
fn overruled(tx: &Tx<'_>, step: &Step<'_>) -> Result<Vec<(Seq, i64)>> {
    if !step.rows {
        return Ok(Vec::new());
    }
    let mut query = tx.sql.prepare_cached(
        "SELECT seq, kind FROM exceptions WHERE binding = ?1 AND seq > ?2 AND seq <= ?3 AND kind IN (?4, ?5)",
    )?;
    let cursor = &step.said.cursor;
    let named = cursor.exceptions.iter().map(|exception| exception.seq.before()).min();
    let from = named.map_or(cursor.from, |named| named.min(cursor.from));
    let rows: Vec<(Seq, i64)> = query
        .query_map(params![cursor.binding, from, step.reach(), REFUSED, ASIDE], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows.into_iter().filter(|(seq, _)| step.said.claims(*seq)).collect())
}

/// Got beats refused and set aside for as long as the dispatch is not over (rules 3, 15 and 20).
fn overrule(tx: &Tx<'_>, step: &Step<'_>, seq: Seq, kind: i64, ledger: &mut Ledger, now: Millis) -> Result<()> {
    let binding = step.said.cursor.binding;
    let Some(entry) = ledger.at(seq).filter(|entry| entry.pending) else {
        if kind == ASIDE {
            set_aside::forget(tx, binding, seq)?;
            write_row(tx, binding, seq, LATE, seq, 0, now)?;
        }
        return Ok(());
    };
    entry.delivered(binding);
    if kind == ASIDE {
        set_aside::forget(tx, binding, seq)?;
    } else {
        entry.counts.refused -= 1;
        tx.sql
            .prepare_cached("DELETE FROM exceptions WHERE binding = ?1 AND seq = ?2 AND kind = ?3")?
            .execute(params![binding, seq, REFUSED])?;
    }
    // A row of its own: a third terminal may have stepped over what was refused.
    write_row(tx, binding, seq, GOT, seq, 0, now)
}

impl Step<'_> {
    /// The newest seq this step speaks of.
    fn reach(&self) -> Seq {
        self.said.cursor.exceptions.iter().map(Exception::last).max().unwrap_or_default().max(self.upto)
    }

    /// The ranges `(after, upto]` in which this step counts something: what the cursor passes, without what was stepped
    /// over, and what was answered by name.
    fn spans(&self) -> Vec<(Seq, Seq)> {
        let (mut spans, mut skipped) = (Vec::new(), Vec::new());
        for exception in &self.said.cursor.exceptions {
            match exception.kind {
                ExceptionKind::Skipped { upto } => skipped.push((exception.seq, upto)),
                ExceptionKind::Aside => {}
                ExceptionKind::Got | ExceptionKind::Refused { .. } => {
                    spans.push((exception.seq.before(), exception.seq));
                }
            }
        }
        skipped.sort_unstable();
        let mut from = self.after;
        for (seq, upto) in skipped {
            spans.push((from, seq.before().min(self.upto)));
            from = from.max(upto);
        }
        spans.push((from, self.upto));
        spans.retain(|(after, upto)| after < upto);
        spans
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
        .prepare_cached(
            "SELECT seq, upto, kind FROM exceptions WHERE binding = ?1 AND (upto > ?2 OR kind = ?3) ORDER BY seq",
        )?
        .query_map(params![step.said.cursor.binding, step.after, ASIDE], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
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
    let binding = step.said.cursor.binding;
    if let ExceptionKind::Skipped { upto } = exception.kind {
        // Another terminal may have got what this one stepped over.
        let from = seq.max(step.after.next());
        let told = from <= upto && is_any_between(tx, step.flow, from, upto)?;
        if told {
            write_row(tx, binding, from, SKIPPED, upto, 0, now)?;
        }
        return Ok(told);
    }
    let aside = says(stated, seq, ASIDE);
    if (seq <= step.after && !aside) || says(stated, seq, GOT) || exception.kind == ExceptionKind::Aside {
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
            if entry.pending {
                entry.delivered(binding);
            }
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
            if aside {
                set_aside::forget(tx, binding, seq)?;
            }
            let kind = if entry.pending { REFUSED } else { LATE };
            write_row(tx, binding, seq, kind, seq, code, now)?;
        }
        ExceptionKind::Skipped { .. } | ExceptionKind::Aside => {}
    }
    Ok(true)
}

/// Whether a dispatch of this range is stored. One without is passed without a row (rule 5).
fn is_any_between(tx: &Tx<'_>, flow: FlowId, from: Seq, upto: Seq) -> Result<bool> {
    let mut query =
        tx.sql.prepare_cached("SELECT EXISTS (SELECT 1 FROM dispatches WHERE flow = ?1 AND seq BETWEEN ?2 AND ?3)")?;
    Ok(query.query_row(params![flow, from, upto], |row| row.get(0))?)
}

/// Counts what the cursor passes as got, unless a row says otherwise.
fn count_range(tx: &Tx<'_>, step: &Step<'_>, stated: &Stated, ledger: &mut Ledger, now: Millis) -> Result<bool> {
    let mut late = false;
    let range = ledger.range(step.after, step.upto);
    for entry in &mut ledger.entries[range] {
        let excepted = stated.iter().any(|&(from, upto, kind)| kind != HELD && from <= entry.seq && entry.seq <= upto)
            || step.said.cursor.exceptions.iter().any(|exception| exception.covers(entry.seq));
        if excepted {
            continue;
        }
        if entry.pending {
            entry.delivered(step.said.cursor.binding);
        } else {
            write_row(tx, step.said.cursor.binding, entry.seq, LATE, entry.seq, 0, now)?;
            late = true;
        }
    }
    Ok(late)
}

fn write_row(tx: &Tx<'_>, binding: BindingId, seq: Seq, kind: i64, upto: Seq, code: u16, now: Millis) -> Result<()> {
    tx.sql
        .prepare_cached(
            // After a crash more may be stepped over from the same place.
            "INSERT INTO exceptions (binding, seq, kind, upto, code, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET upto = max(upto, excluded.upto)",
        )?
        .execute(params![binding, seq, kind, upto, code, now])?;
    Ok(())
}
