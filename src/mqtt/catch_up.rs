//! Catching up: a session that is behind fetches from the store, in order of seq and in bounded portions, until the
//! next live push fits again. Connecting, joining, a slow socket, a full window and a hole are all this one case.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::connection::{CloseOnPanic, Conn};
use super::shared_frames::Now;
use super::worker::Worker;
use crate::clock;
use crate::parcel::DispatchId;
use crate::store::Fetch;

/// Bodies of one portion, in bytes.
const PORTION_BYTES: usize = 256 * 1024;

/// A pause after the store failed.
const RETRY: Duration = Duration::from_secs(1);

/// Starts catching up, unless it is under way already.
pub(super) fn kick(worker: &Rc<Worker>, conn: &Rc<Conn>) {
    if conn.pumping.replace(true) {
        return;
    }
    let (worker, conn) = (Rc::clone(worker), Rc::clone(conn));
    tokio::task::spawn_local(async move {
        let _on_panic = CloseOnPanic(Rc::clone(&conn));
        pump(&worker, &conn).await;
        conn.pumping.set(false);
        worker.list(&conn);
    });
}

async fn pump(worker: &Rc<Worker>, conn: &Rc<Conn>) {
    loop {
        let wanted = conn.with_session(|session, outbox, _| {
            let behind = session.next_behind(outbox).map(|wanted| (wanted, false));
            behind.or_else(|| session.next_aside(outbox, Instant::now()).map(|wanted| (wanted, true)))
        });
        let Some(Some((wanted, aside))) = wanted else { return };
        // Report before fetch: what was answered on this connection must not count as missing (docs/ledger.md, rule 13).
        worker.list(conn);
        worker.settle_before_reading().await;
        let fetch = Fetch {
            binding: wanted.binding,
            after: wanted.after,
            limit: wanted.limit,
            max_bytes: PORTION_BYTES,
            now: clock::now(),
        };
        let lost = worker.follower.borrow().lost();
        let portion = match worker.gateway.store().fetch(fetch).await {
            // Something of it may have been cancelled meanwhile, and this worker has not heard of it.
            Ok(_) if worker.follower.borrow().lost() != lost => continue,
            Ok(Some(portion)) => portion,
            Ok(None) => {
                // Unless the user has joined again meanwhile, by another binding.
                worker.detach(conn, wanted.flow, wanted.binding);
                conn.with_session(|session, _, _| session.forget_aside(wanted.binding));
                continue;
            }
            Err(error) => {
                tracing::error!(%error, "what a terminal is owed could not be read; it is tried again");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        if aside {
            let is_withheld = |id| worker.withheld.is_withheld(id);
            conn.with_session(|session, outbox, socket| {
                session.take_aside(&wanted, &portion, outbox, socket, Now::read(), is_withheld);
            });
            worker.withheld.until_let_go(DispatchId { flow: wanted.flow, seq: wanted.after.next() }).await;
            continue;
        }
        let sent = conn.with_session(|session, outbox, socket| {
            session.take_portion(&wanted, &portion, outbox, socket, Now::read(), |id| worker.withheld.is_withheld(id))
        });
        if sent == Some(false) {
            // It may have come upon something whose replacement is being decided.
            let reached = conn.with_session(|session, _, _| session.sent_of(wanted.flow)).flatten();
            let next = portion.parcels.iter().map(|owed| owed.parcel.id()).find(|id| Some(id.seq) > reached);
            if let Some(id) = next {
                worker.withheld.until_let_go(id).await;
            }
        }
    }
}
