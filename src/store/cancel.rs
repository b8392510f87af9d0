//! Cancelling: what nobody has been promised an answer for any more (docs/ledger.md, rules 3 and 17).

use rusqlite::Connection;

use super::address_lookup::{self, find};
use super::{Asked, Cancelled, Event, Result, State, Store, delivery_state, views, welcome};
use crate::clock::Millis;
use crate::ids::Target;
use crate::parcel::{DispatchId, FlowId, Seq};

/// One address of the push.
struct Place {
    row: i64,
    address: String,
    id: Option<DispatchId>,
    flow: FlowId,
    state: State,
    target: Option<Target>,
}

impl Store {
    /// Cancels a push for these addresses, or for all where none is named. `None` for an unknown push. All cursors have
    /// to be settled before this.
    pub async fn cancel(
        &self,
        initiator: String,
        push_id: String,
        asked: Vec<Asked>,
        now: Millis,
    ) -> Result<Option<Cancelled>> {
        self.write(move |tx| {
            let Some(push) = views::push_key(tx.sql, &initiator, &push_id)? else { return Ok(None) };
            let rows = places(tx.sql, push)?;
            let named: Vec<_> = rows.iter().map(|place| (place.address.as_str(), place.target.as_ref())).collect();
            let found = find(&asked, &named);
            let mut cancelled = Cancelled { unknown: found.unknown, ..Cancelled::default() };
            for (place, names) in rows.iter().zip(found.names) {
                let Some(names) = names else { continue };
                if !matches!(place.state, State::Scheduled | State::Pending) {
                    cancelled.too_late.extend(names.into_iter().map(|name| (name, place.state)));
                    continue;
                }
                delivery_state::end(tx, place.row, State::Cancelled, delivery_state::OK, now)?;
                cancelled.dispatches.extend(place.id);
                cancelled.dispatches.extend(welcome::cancel(tx, push, place.flow, now)?);
                cancelled.done.extend(names);
            }
            if !cancelled.dispatches.is_empty() {
                tx.emit(Event::Cancelled(cancelled.dispatches.clone()));
            }
            Ok(Some(cancelled))
        })
        .await
    }
}

fn places(sql: &Connection, push: i64) -> Result<Vec<Place>> {
    let mut query = sql.prepare_cached(
        "SELECT d.id, d.address, d.seq, d.state, f.kind, f.name, d.flow FROM dispatches d JOIN flows f ON f.id = d.flow
         WHERE d.push = ?1 AND d.welcome IS NULL ORDER BY d.position",
    )?;
    let rows = query.query_map([push], |row| {
        let (flow, seq): (_, Option<Seq>) = (row.get(6)?, row.get(2)?);
        Ok(Place {
            row: row.get(0)?,
            address: row.get(1)?,
            id: seq.map(|seq| DispatchId { flow, seq }),
            flow,
            state: State::from_number(row.get(3)?),
            target: address_lookup::target(row, 4, 5)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
