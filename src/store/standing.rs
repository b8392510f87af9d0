//! Telling how a push to one address stands after a change of it. One look-up by row, in the transaction of the change.

use rusqlite::{OptionalExtension, params};

use super::duplicates::original;
use super::numbers::UNCONFIRMED;
use super::writer::Tx;
use super::{Event, Result, Standing, State, destinations};
use crate::parcel::{DispatchId, Seq};

/// Once it is committed, whoever follows events is told how this row of `dispatches` stands.
pub(super) fn tell(tx: &mut Tx<'_>, row: i64, is_new: bool) -> Result<()> {
    let standing = tx
        .sql
        .prepare_cached(
            "SELECT d.flow, d.seq, p.push_id, p.initiator, p.request, d.address, f.kind, f.name, p.created_at, d.due, p.delivery,
                length(p.body), d.state, d.code, d.recipients, d.delivered, d.refused, d.gone, d.event_at, d.welcome IS NOT NULL
             FROM dispatches d JOIN pushes p ON p.id = d.push JOIN flows f ON f.id = coalesce(d.welcome, d.flow) WHERE d.id = ?1",
        )?
        .query_row(params![row], |row| {
            let (flow, seq): (_, Option<Seq>) = (row.get(0)?, row.get(1)?);
            let (kind, name): (i64, String) = (row.get(6)?, row.get(7)?);
            Ok(Standing {
                is_new,
                id: seq.map(|seq| DispatchId { flow, seq }),
                push_id: original(row.get(2)?),
                initiator: row.get(3)?,
                request: row.get(4)?,
                address: row.get(5)?,
                target: destinations::target(kind, &original(name)).ok().filter(|_| kind != destinations::NOBODY),
                created_at: row.get(8)?,
                due: row.get(9)?,
                confirmed: row.get::<_, i64>(10)? != UNCONFIRMED,
                size: row.get(11)?,
                state: State::from_number(row.get(12)?),
                code: row.get(13)?,
                recipients: row.get(14)?,
                delivered: row.get(15)?,
                refused: row.get(16)?,
                gone: row.get(17)?,
                event_at: row.get(18)?,
                is_welcome: row.get(19)?,
            })
        })
        .optional()?;
    if let Some(standing) = standing {
        tx.emit(Event::Stands(Box::new(standing)));
    }
    Ok(())
}
