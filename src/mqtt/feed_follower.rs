//! What a worker does with the feed: memberships, cancellations and pauses come into force here, and pushes are awaited.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::worker::Worker;
use super::{attach, catch_up, missed_pushes};
use crate::faults;
use crate::feed::{Entry, Pause, Read};
use crate::parcel::BindingId;

/// Pushes wake nobody here: so often it is looked whether one is missing.
const LOOK: Duration = Duration::from_millis(50);

/// Follows the feed for as long as the worker lives.
pub(super) async fn follow(worker: Rc<Worker>) {
    let news = worker.follower.borrow().news();
    loop {
        let _ = tokio::time::timeout(LOOK, news.come()).await;
        faults::trip("mqtt-worker-follow");
        worker.table.borrow_mut().nudge_router();
        read_on(&worker);
    }
}

/// Brings into force everything that has happened by now.
pub(super) fn read_on(worker: &Rc<Worker>) {
    loop {
        let read = worker.follower.borrow_mut().reader.read();
        match read {
            Read::Entries(entries) if entries.is_empty() => break,
            Read::Entries(entries) => entries.into_iter().for_each(|entry| act(worker, entry)),
            Read::Lost => look_at_everything(worker),
        }
    }
    missed_pushes::miss_what_has_not_come(worker, Instant::now());
}

fn act(worker: &Rc<Worker>, entry: Entry) {
    match entry {
        Entry::Dispatched(push) => {
            if missed_pushes::is_awaited(worker, &push) {
                worker.follower.borrow_mut().awaited.push_back(push);
            }
        }
        Entry::Joined { user, membership } => {
            for conn in worker.connections(&user) {
                attach::join(worker, &conn, &membership);
            }
        }
        Entry::Left { user, flow, binding } => {
            for conn in worker.connections(&user) {
                worker.detach(&conn, flow, binding);
            }
        }
        Entry::Cancelled(dispatches) => worker.withheld.revoke(&dispatches, Instant::now()),
        Entry::Paused(pause) => hold_back(worker, &pause),
        Entry::Resumed => worker.withheld.let_go(),
    }
}

/// From here on none of these is sent, and whoever asks learns who has one of them under way. One step: nothing happens in
/// between.
fn hold_back(worker: &Worker, pause: &std::sync::Arc<Pause>) {
    worker.withheld.hold_back(pause);
    let mut holders: Vec<(BindingId, _)> = Vec::new();
    for &id in &pause.dispatches {
        if let Some(topic) = worker.table.borrow_mut().topic(id.flow) {
            let sessions = topic.members.values().filter_map(|conn| {
                let state = conn.state.borrow();
                state.session.as_ref().and_then(|session| session.holds(id))
            });
            holders.extend(sessions.map(|binding| (binding, id)));
        }
    }
    pause.answer(holders);
}

/// Nobody knows what has happened: every session reads its memberships and all that it is owed again.
fn look_at_everything(worker: &Rc<Worker>) {
    tracing::warn!(
        worker = worker.number,
        "a worker has fallen too far behind, and all its sessions look at the store"
    );
    {
        let mut follower = worker.follower.borrow_mut();
        follower.lost += 1;
        follower.awaited.clear();
    }
    worker.withheld.let_go();
    for conn in worker.all_conns() {
        conn.with_session(|session, _, _| session.fall_behind_everywhere());
        attach::look_up(worker, &conn);
        catch_up::kick(worker, &conn);
    }
}
