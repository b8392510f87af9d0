//! The end of bindings, many in one transaction: what they still owed counts as gone, once for each dispatch however many
//! members it had among them (docs/ledger.md, rules 1 and 2).

use std::collections::{BTreeMap, HashMap};

use rusqlite::{OptionalExtension, params};

use super::delivery_state::{self, Counts};
use super::duplicates::original;
use super::history::Act;
use super::memberships::Open;
use super::writer::Tx;
use super::{Event, Hand, Result, destinations, history, left_out, set_aside, welcome};
use crate::clock::Millis;
use crate::ids::GroupId;
use crate::parcel::{DispatchId, FlowId, Seq};

/// Rows that one transaction looks at and changes, so that it does not hold the writer for long.
const ROWS: usize = 5_000;

/// What a dispatch is looked up by that may still be owed. The condition is word for word that of the index.
pub(super) const OWED: &str = "SELECT seq, replaces FROM dispatches INDEXED BY dispatches_owed
     WHERE flow = ?1 AND seq > ?2 AND (state IN (1, 2) OR (state = 7 AND held > 0)) AND state = 1 AND NOT EXISTS
        (SELECT 1 FROM exceptions e WHERE e.binding = ?3 AND e.seq = dispatches.seq AND e.kind IN (1, 2))";

#[derive(Debug)]
pub(super) struct Closing {
    now: Millis,
    hand: Hand,
    left: Vec<Open>,
    /// How many of them owed a dispatch.
    gone: BTreeMap<DispatchId, i64>,
    rows: usize,
}

impl Closing {
    pub(super) fn new(now: Millis, hand: Hand) -> Self {
        Self { now, hand, left: Vec::new(), gone: BTreeMap::new(), rows: 0 }
    }

    /// Whether the transaction has done enough, and the rest is for the next one.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= ROWS
    }

    pub(super) fn now(&self) -> Millis {
        self.now
    }

    /// Something else was done that counts for [`Closing::is_full`].
    pub(super) fn add_row(&mut self) {
        self.rows += 1;
    }

    /// Closes an interval. The counters follow with [`Closing::finish`], in the same transaction.
    pub(super) fn close(&mut self, tx: &Tx<'_>, open: Open) -> Result<()> {
        tx.sql
            .prepare_cached(
                "UPDATE bindings SET left_seq = (SELECT last_seq FROM flows WHERE id = flow), left_at = ?2, sources = 0
                 WHERE id = ?1",
            )?
            .execute(params![open.id, self.now])?;
        let owed: Vec<(Seq, Option<Seq>)> = tx
            .sql
            .prepare_cached(OWED)?
            .query_map(params![open.flow, open.joined.max(open.acked), open.id], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut owed = owed;
        owed.extend(set_aside::owed_below(tx.sql, open.flow, open.id, open.joined.max(open.acked))?);
        self.rows += 1 + owed.len();
        for (seq, replaces) in owed {
            if !replaces.map_or(Ok(false), |old| left_out::is_left_out(tx.sql, open.flow, open.user, old))? {
                *self.gone.entry(DispatchId { flow: open.flow, seq }).or_default() += 1;
            }
        }
        self.left.push(open);
        Ok(())
    }

    /// Counts those who left, and what they owed as gone.
    pub(super) fn finish(self, tx: &mut Tx<'_>) -> Result<()> {
        let mut members: HashMap<FlowId, i64> = HashMap::new();
        for open in &self.left {
            *members.entry(open.flow).or_default() += 1;
            let group = group(tx, open.flow)?;
            if let Ok(user) = destinations::user(tx.sql, open.user)? {
                if let Some(group) = &group {
                    welcome::withdraw(tx, open.user, open.flow, self.now)?;
                    history::record(tx, Act::Left, group, &user, &self.hand, self.now)?;
                }
                let hand = self.hand.clone();
                tx.emit(Event::Left { user, flow: open.flow, binding: open.id, group, hand });
            }
        }
        for (flow, members) in members {
            tx.sql
                .prepare_cached("UPDATE flows SET members = members - ?2, left_at = ?3 WHERE id = ?1")?
                .execute(params![flow, members, self.now])?;
        }
        for (id, gone) in self.gone {
            delivery_state::count(tx, id, &Counts { gone, ..Counts::default() }, self.now)?;
        }
        Ok(())
    }
}

/// The group of a flow; one that is deleted keeps its name in front.
fn group(tx: &Tx<'_>, flow: FlowId) -> Result<Option<GroupId>> {
    let mut query = tx.sql.prepare_cached("SELECT name FROM flows WHERE id = ?1 AND kind = 0")?;
    let name: Option<String> = query.query_row([flow], |row| row.get(0)).optional()?;
    Ok(name.and_then(|name| GroupId::parse(&original(name)).ok()))
}
