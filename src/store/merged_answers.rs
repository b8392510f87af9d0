//! What several terminals of one user say of one binding becomes one (docs/ledger.md, rule 15). Pure.

use std::collections::HashMap;

use super::{CursorMove, Exception, ExceptionKind};
use crate::parcel::{BindingId, Seq};

/// What the terminals of one user say of one binding.
pub(super) struct Said {
    pub(super) cursor: CursorMove,
    /// Each terminal's own words, where there are several.
    each: Vec<CursorMove>,
}

impl Said {
    /// Whether one of them got `seq`, and had not spoken of it before.
    pub(super) fn claims(&self, seq: Seq) -> bool {
        let spoken = if self.each.is_empty() { std::slice::from_ref(&self.cursor) } else { &self.each };
        // One that was set aside is answered by name, also where the cursor has passed it.
        spoken.iter().any(|cursor| cursor.says_got(seq))
    }
}

/// Two terminals of one user may speak of the same binding: a cursor only rises, nobody is counted twice, and what one of
/// them got was got (rule 15).
pub(super) fn merge(moves: Vec<CursorMove>) -> Vec<Said> {
    let mut by_binding: HashMap<BindingId, Vec<CursorMove>> = HashMap::with_capacity(moves.len());
    for cursor in moves {
        by_binding.entry(cursor.binding).or_default().push(cursor);
    }
    by_binding.into_values().filter_map(merge_one).collect()
}

fn merge_one(mut moves: Vec<CursorMove>) -> Option<Said> {
    if moves.len() == 1 {
        return moves.pop().map(|cursor| Said { cursor, each: Vec::new() });
    }
    let binding = moves.first()?.binding;
    let from = moves.iter().map(|cursor| cursor.from).min()?;
    let upto = moves.iter().map(|cursor| cursor.upto).max()?;
    let mut exceptions: Vec<Exception> = Vec::new();
    for (at, cursor) in moves.iter().enumerate() {
        for exception in &cursor.exceptions {
            let last = exception.last();
            let got_elsewhere = moves.iter().enumerate().any(|(other, known)| other != at && known.says_got(last));
            if exception.kind == ExceptionKind::Got || !got_elsewhere {
                exceptions.push(*exception);
            }
        }
    }
    exceptions.sort_by_key(|exception| (exception.seq, exception.rank()));
    exceptions.dedup_by(|next, known| next.seq == known.seq);
    Some(Said { cursor: CursorMove { binding, from, upto, exceptions }, each: moves })
}

impl CursorMove {
    /// Whether this terminal got `seq`, and says so now.
    fn says_got(&self, seq: Seq) -> bool {
        let by_name = self.exceptions.contains(&Exception { seq, kind: ExceptionKind::Got });
        by_name || (self.from < seq && self.got(seq))
    }

    /// Whether what this terminal says would mean that it got `seq`.
    fn got(&self, seq: Seq) -> bool {
        let said = self.exceptions.iter().filter(|exception| exception.covers(seq));
        let mut kinds = said.map(|exception| exception.kind).peekable();
        if kinds.peek().is_none() {
            return seq <= self.upto;
        }
        kinds.any(|kind| kind == ExceptionKind::Got)
    }
}

impl Exception {
    pub(super) fn covers(&self, seq: Seq) -> bool {
        self.seq <= seq && seq <= self.last()
    }

    pub(super) fn last(&self) -> Seq {
        match self.kind {
            ExceptionKind::Skipped { upto } => upto,
            ExceptionKind::Got | ExceptionKind::Refused { .. } | ExceptionKind::Aside => self.seq,
        }
    }

    /// Got beats refused beats set aside beats skipped.
    fn rank(&self) -> u8 {
        match self.kind {
            ExceptionKind::Got => 0,
            ExceptionKind::Refused { .. } => 1,
            ExceptionKind::Aside => 2,
            ExceptionKind::Skipped { .. } => 3,
        }
    }
}
