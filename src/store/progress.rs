//! How many members had a push by which moment, for the curve that shows it.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{ProgressPoint, Result, Store, delivery_times, views};
use crate::clock::Millis;
use crate::parcel::DispatchId;

impl Store {
    /// The moments at which members had a push, over all its addresses, thinned out to `most` points; `None` for an unknown
    /// push. One flush of acknowledgements is one moment (store.flush_interval).
    pub async fn progress(
        &self,
        initiator: String,
        push_id: String,
        most: usize,
    ) -> Result<Option<Vec<ProgressPoint>>> {
        self.read(move |sql| {
            let snapshot = sql.unchecked_transaction()?;
            let Some(push) = views::push_key(&snapshot, &initiator, &push_id)? else { return Ok(None) };
            let mut had = BTreeMap::new();
            for dispatch in dispatches(&snapshot, push)? {
                for (at, count) in moments(&snapshot, &dispatch)? {
                    *had.entry(at).or_default() += count;
                }
            }
            Ok(Some(thinned(&had, most)))
        })
        .await
    }
}

/// What is known of one address.
struct Dispatch {
    id: DispatchId,
    delivered: u64,
    /// First, half, 95 of 100 and last.
    times: [Option<Millis>; 4],
    event_at: Option<Millis>,
}

fn dispatches(sql: &Connection, push: i64) -> Result<Vec<Dispatch>> {
    let mut query = sql.prepare_cached(
        "SELECT flow, seq, delivered, first_at, half_at, most_at, last_at, event_at FROM dispatches
         WHERE push = ?1 AND seq IS NOT NULL AND delivered > 0 AND welcome IS NULL",
    )?;
    let rows = query.query_map([push], |row| {
        Ok(Dispatch {
            id: DispatchId { flow: row.get(0)?, seq: row.get(1)? },
            delivered: row.get(2)?,
            times: [row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?],
            event_at: row.get(7)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// When how many had it. Where the moments of each member are not kept any more, those that the push itself keeps.
fn moments(sql: &Connection, dispatch: &Dispatch) -> Result<Vec<(Millis, u64)>> {
    let kept = delivery_times::counts(sql, dispatch.id)?;
    let counted: u64 = kept.iter().map(|(_, count)| count).sum();
    if counted >= dispatch.delivered {
        return Ok(kept);
    }
    let of = |share: u64| (dispatch.delivered * share).div_ceil(100);
    let marks = [1, of(50).max(1), of(95).max(1), dispatch.delivered];
    let mut before = 0;
    let mut found = Vec::new();
    for (at, by_then) in dispatch.times.iter().zip(marks) {
        if let Some(at) = *at {
            found.push((at, by_then.saturating_sub(before)));
            before = before.max(by_then);
        }
    }
    if found.is_empty() {
        found.extend(dispatch.event_at.map(|at| (at, dispatch.delivered)));
    }
    Ok(found)
}

/// Sums, and no more than `most` of them: the last one always, the others evenly spread.
fn thinned(had: &BTreeMap<Millis, u64>, most: usize) -> Vec<ProgressPoint> {
    let mut delivered = 0;
    let points: Vec<ProgressPoint> = had
        .iter()
        .map(|(at, count)| {
            delivered += count;
            ProgressPoint { at: *at, delivered }
        })
        .collect();
    let step = points.len().div_ceil(most.max(1)).max(1);
    let last = points.len().saturating_sub(1);
    points
        .into_iter()
        .enumerate()
        .filter(|(place, _)| place % step == 0 || *place == last)
        .map(|(_, point)| point)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_of_many_moments_keeps_its_end() {
        let had: BTreeMap<Millis, u64> = (1..=1_000).map(|at| (at, 2)).collect();
        let points = thinned(&had, 200);
        assert!(points.len() <= 201, "{}", points.len());
        assert_eq!(points.first(), Some(&ProgressPoint { at: 1, delivered: 2 }));
        assert_eq!(points.last(), Some(&ProgressPoint { at: 1_000, delivered: 2_000 }));
        assert!(points.is_sorted_by_key(|point| point.delivered));
        assert_eq!(thinned(&BTreeMap::new(), 200), []);
    }
}
