//! Forgetting: pushes that have been over for long, and what is only kept for their sake (docs/ledger.md, rule 2).
//!
//! Candidates are looked for by a reader; the writer deletes them in small steps, between which other requests have their
//! turn. Free pages stay in the file and are used again.

use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Tx;
use super::{Result, Store};
use crate::clock::Millis;
use crate::parcel::FlowId;

/// Pushes that one look finds.
const PUSHES: usize = 50;
/// Rows, and pages of bodies, that one transaction deletes: a push may have thousands of addresses.
const ROWS: usize = 1_000;
/// Bytes of a body that are one page of the file.
const PAGE: usize = 4_096;
/// Rows that one look of a sweep passes over.
const WINDOW: i64 = 5_000;
/// Rows that one step of a sweep deletes or trims.
const STEP: usize = 200;

/// A push may go when all its addresses are over since before the time given, nobody waits to be told of it, and no push
/// that replaces it is left: who is left out of that one is looked up here.
///
/// Nor one that somebody holds, before its deadline.
const FORGOTTEN: &str = "SELECT d.push, (SELECT length(body) FROM pushes WHERE id = d.push) FROM (SELECT DISTINCT push FROM dispatches INDEXED BY dispatches_over
     WHERE state >= 2 AND event_at < ?1) d
     WHERE NOT EXISTS (SELECT 1 FROM dispatches o WHERE o.push = d.push AND (o.state < 2 OR o.event_at >= ?1
         OR (o.state = 7 AND o.held > 0 AND o.deadline > ?1)
         OR EXISTS (SELECT 1 FROM outbox w WHERE w.dispatch = o.id AND w.given_up = 0)
         OR EXISTS (SELECT 1 FROM dispatches r WHERE r.flow = o.flow AND r.replaces = o.seq)))
     LIMIT ?2";

/// A binding with a row that speaks of no dispatch that is left, or without the rows it is said to have, or a closed one
/// that no retained dispatch lies in.
const TRIMMABLE: &str = "(b.exceptions = 1 AND (NOT EXISTS (SELECT 1 FROM exceptions e WHERE e.binding = b.id)
         OR EXISTS (SELECT 1 FROM exceptions e WHERE e.binding = b.id AND NOT EXISTS
             (SELECT 1 FROM dispatches d WHERE d.flow = b.flow AND d.seq BETWEEN e.seq AND e.upto))))
     OR (b.exceptions = 0 AND b.left_seq IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM subscriptions s WHERE s.binding = b.id)
         AND NOT EXISTS (SELECT 1 FROM dispatches d WHERE d.flow = b.flow AND d.seq > b.joined_seq AND d.seq <= b.left_seq))";

/// A row of a user without groups, pushes and sessions; of a group that was deleted (its name has a control character,
/// which group IDs have not) and whose history is gone; or of a group that nobody made on purpose and that has been empty
/// since before the time given.
const UNUSED: &str =
    "f.created_at < ?2 AND (f.kind = 1 OR instr(f.name, char(1)) > 0 OR (f.kept = 0 AND f.left_at < ?2))
     AND f.policy <> 3
     AND NOT EXISTS (SELECT 1 FROM dispatches d WHERE d.flow = f.id)
     AND NOT EXISTS (SELECT 1 FROM bindings b WHERE (b.user = f.id OR b.flow = f.id) AND b.flow <> b.user)
     AND NOT EXISTS (SELECT 1 FROM requests r WHERE r.user = f.id)
     AND NOT EXISTS (SELECT 1 FROM requests r WHERE r.flow = f.id)
     AND NOT EXISTS (SELECT 1 FROM answers a WHERE a.user = f.id)
     AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.user = f.name AND f.kind = 1)";

impl Store {
    /// Deletes pushes that were over before `until`; answers how many. Call again while it answers more than 0.
    pub async fn forget_pushes(&self, until: Millis) -> Result<usize> {
        let find = move |sql: &Connection| {
            let mut query = sql.prepare_cached(FORGOTTEN)?;
            let rows = query
                .query_map(params![until, PUSHES as i64], |row| Ok(Old { push: row.get(0)?, size: row.get(1)? }))?;
            Ok(rows.collect::<rusqlite::Result<Vec<Old>>>()?)
        };
        let mut pushes = self.read(find).await?;
        let count = pushes.len();
        while !pushes.is_empty() {
            pushes = self
                .write(move |tx| {
                    delete_some(tx, &mut pushes)?;
                    Ok(pushes)
                })
                .await?;
        }
        Ok(count)
    }

    /// Deletes closed bindings and exceptions that no retained push needs, in the bindings after `after`; answers where to
    /// go on, or `None` at the end.
    pub async fn forget_bindings(&self, after: i64) -> Result<Option<i64>> {
        let find = move |sql: &Connection| {
            let mut query = sql.prepare_cached(&format!(
                "SELECT b.id FROM bindings b WHERE b.id > ?1 AND b.id <= ?2 AND ({TRIMMABLE}) ORDER BY b.id LIMIT ?3"
            ))?;
            let rows = query.query_map(params![after, after + WINDOW, STEP as i64], |row| row.get(0))?;
            let found = rows.collect::<rusqlite::Result<Vec<i64>>>()?;
            let next = next_id(sql, "bindings", passed(&found, after))?;
            Ok((found, next))
        };
        let (bindings, next) = self.read(find).await?;
        if !bindings.is_empty() {
            self.write(move |tx| bindings.iter().try_for_each(|binding| trim_binding(tx, *binding))).await?;
        }
        Ok(next)
    }

    /// Deletes users, and groups that are deleted or that nobody wants, of whom nothing is left, made before `until`, in
    /// the rows after `after`; answers where to go on, or `None` at the end, and what was deleted.
    pub async fn forget_flows(&self, after: i64, until: Millis) -> Result<(Option<i64>, Vec<FlowId>)> {
        let find = move |sql: &Connection| {
            let mut query = sql.prepare_cached(&format!(
                "SELECT f.id FROM flows f WHERE f.id > ?1 AND f.id <= ?3 AND {UNUSED} ORDER BY f.id LIMIT ?4"
            ))?;
            let rows = query.query_map(params![after, until, after + WINDOW, STEP as i64], |row| row.get(0))?;
            let found = rows.collect::<rusqlite::Result<Vec<i64>>>()?;
            let next = next_id(sql, "flows", passed(&found, after))?;
            Ok((found, next))
        };
        let (flows, next) = self.read(find).await?;
        if flows.is_empty() {
            return Ok((next, flows));
        }
        let delete = move |tx: &mut Tx<'_>| {
            let mut gone = Vec::with_capacity(flows.len());
            for flow in flows {
                if delete_flow(tx, flow, until)? {
                    gone.push(flow);
                }
            }
            Ok(gone)
        };
        Ok((next, self.write(delete).await?))
    }
}

/// How far a look that found these came: to the end of its window, or as many rows as a step takes.
fn passed(found: &[i64], after: i64) -> i64 {
    if found.len() < STEP { after + WINDOW } else { found.last().copied().unwrap_or(after + WINDOW) }
}

/// `upto`, if there is a row after it.
fn next_id(sql: &Connection, table: &str, upto: i64) -> Result<Option<i64>> {
    let mut query = sql.prepare_cached(&format!("SELECT coalesce(max(id), 0) > ?1 FROM {table}"))?;
    Ok(query.query_row([upto], |row| row.get(0)).map(|more: bool| more.then_some(upto))?)
}

/// A push that may go, and the bytes of its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Old {
    pub(super) push: i64,
    pub(super) size: usize,
}

/// Deletes as much of these pushes as one transaction may; what remains stays in the list, the last one without some of
/// its addresses.
pub(super) fn delete_some(tx: &Tx<'_>, pushes: &mut Vec<Old>) -> Result<()> {
    let mut rows = 0;
    while let Some(old) = pushes.last().filter(|_| rows < ROWS) {
        rows += delete_addresses(tx, old.push, ROWS - rows)?;
        let mut query = tx.sql.prepare_cached("SELECT NOT EXISTS (SELECT 1 FROM dispatches WHERE push = ?1)")?;
        if query.query_row([old.push], |row| row.get(0))? {
            tx.sql.prepare_cached("DELETE FROM pushes WHERE id = ?1")?.execute([old.push])?;
            rows += 1 + old.size / PAGE;
            pushes.pop();
        }
    }
    Ok(())
}

fn delete_addresses(tx: &Tx<'_>, push: i64, limit: usize) -> Result<usize> {
    const SOME: &str = "(SELECT id FROM dispatches WHERE push = ?1 ORDER BY flow, id LIMIT ?2)";
    let some = params![push, limit as i64];
    tx.sql.prepare_cached(&format!("DELETE FROM outbox WHERE dispatch IN {SOME}"))?.execute(some)?;
    tx.sql
        .prepare_cached(&format!(
            "DELETE FROM delivery_times WHERE (flow, seq) IN (SELECT flow, seq FROM dispatches WHERE id IN {SOME})"
        ))?
        .execute(some)?;
    Ok(tx.sql.prepare_cached(&format!("DELETE FROM dispatches WHERE id IN {SOME}"))?.execute(some)?)
}

fn trim_binding(tx: &Tx<'_>, binding: i64) -> Result<()> {
    for text in [
        "DELETE FROM set_aside WHERE binding = ?1 AND NOT EXISTS (SELECT 1 FROM bindings b JOIN dispatches d ON d.flow = b.flow
             WHERE b.id = ?1 AND b.left_seq IS NULL AND d.seq = set_aside.seq AND d.state = 1)",
        // What speaks of no dispatch that is left.
        "DELETE FROM exceptions WHERE binding = ?1 AND NOT EXISTS (SELECT 1 FROM bindings b JOIN dispatches d ON d.flow = b.flow
             WHERE b.id = ?1 AND d.seq BETWEEN exceptions.seq AND exceptions.upto)",
        "UPDATE bindings SET exceptions = 0
             WHERE id = ?1 AND exceptions = 1 AND NOT EXISTS (SELECT 1 FROM exceptions WHERE binding = ?1)",
        // A closed interval stays while a retained dispatch lies inside it.
        "DELETE FROM bindings WHERE id = ?1 AND left_seq IS NOT NULL AND exceptions = 0
             AND NOT EXISTS (SELECT 1 FROM subscriptions s WHERE s.binding = ?1)
             AND NOT EXISTS (SELECT 1 FROM dispatches d WHERE d.flow = bindings.flow
                 AND d.seq > bindings.joined_seq AND d.seq <= bindings.left_seq)",
    ] {
        tx.sql.prepare_cached(text)?.execute([binding])?;
    }
    Ok(())
}

/// Looks again first: somebody may have come back since the reader looked.
/// Answers whether it was deleted.
fn delete_flow(tx: &mut Tx<'_>, flow: FlowId, until: Millis) -> Result<bool> {
    let text = format!(
        "SELECT f.kind = 0 AND instr(f.name, char(1)) = 0, f.kind = 1 FROM flows f WHERE f.id = ?1 AND {UNUSED}"
    );
    let mut query = tx.sql.prepare_cached(&text)?;
    let kind = query.query_row([flow, until], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    drop(query);
    let Some((is_group, is_user)): Option<(bool, bool)> = kind else { return Ok(false) };
    for text in [
        "DELETE FROM set_aside WHERE binding IN (SELECT id FROM bindings WHERE user = ?1 AND flow = ?1)",
        "DELETE FROM exceptions WHERE binding IN (SELECT id FROM bindings WHERE user = ?1 AND flow = ?1)",
        "DELETE FROM bindings WHERE user = ?1 AND flow = ?1",
        "DELETE FROM flows WHERE id = ?1",
    ] {
        tx.sql.prepare_cached(text)?.execute([flow])?;
    }
    tx.count_groups(-i64::from(is_group));
    tx.count_users(-i64::from(is_user));
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks whose cost is that of the whole history, again and again, held the readers up.
    #[test]
    fn no_look_of_the_sweeps_reads_a_table_from_end_to_end() {
        let sql = Connection::open_in_memory().unwrap();
        sql.execute_batch(include_str!("../../schema.sql")).unwrap();
        for text in [
            FORGOTTEN.to_owned(),
            format!(
                "SELECT b.id FROM bindings b WHERE b.id > ?1 AND b.id <= ?2 AND ({TRIMMABLE}) ORDER BY b.id LIMIT ?3"
            ),
            format!("SELECT f.id FROM flows f WHERE f.id > ?1 AND f.id <= ?3 AND {UNUSED} ORDER BY f.id LIMIT ?4"),
        ] {
            let mut query = sql.prepare(&format!("EXPLAIN QUERY PLAN {text}")).unwrap();
            let count = query.parameter_count();
            let steps = query
                .query_map(rusqlite::params_from_iter(vec![1; count]), |row| row.get::<_, String>(3))
                .unwrap()
                .collect::<rusqlite::Result<Vec<_>>>()
                .unwrap();
            // The steps of FORGOTTEN's subquery are looked at one after the other, as far as its limit needs.
            let bounded = |step: &&String| text == FORGOTTEN && *step == "SCAN d";
            let scans: Vec<_> =
                steps.iter().filter(|step| step.starts_with("SCAN")).filter(|step| !bounded(step)).collect();
            assert!(scans.is_empty(), "{scans:?} in {steps:#?}");
        }
    }
}
