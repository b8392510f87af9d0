//! What a worker does with the feed. Memberships, cancellations and pauses come into force here; and a push that the broker
//! has not brought is missed here, and fetched by those whom it concerns (docs/ledger.md, rule 11).

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::worker::Worker;
use super::{attach, catch_up};
use crate::faults;
use crate::feed::{Dispatched, Entry, Pause, Read};
use crate::parcel::BindingId;

/// A push that has not come by then will not come.
const PATIENCE: Duration = Duration::from_millis(250);
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
    miss_what_has_not_come(worker, Instant::now());
}

fn act(worker: &Rc<Worker>, entry: Entry) {
    match entry {
        Entry::Dispatched(push) => {
            if is_awaited(worker, &push) {
                worker.follower.borrow_mut().awaited.push_back(push);
            }
        }
        Entry::Joined { user, membership } => {
            for conn in connections(worker, &user) {
                attach::join(worker, &conn, &membership);
            }
        }
        Entry::Left { user, flow, binding } => {
            for conn in connections(worker, &user) {
                worker.detach(&conn, flow, binding);
            }
        }
        Entry::Cancelled(dispatches) => worker.withheld.revoke(&dispatches, Instant::now()),
        Entry::Paused(pause) => hold_back(worker, &pause),
        Entry::Resumed => worker.withheld.let_go(),
    }
}

fn connections(worker: &Worker, user: &crate::ids::UserId) -> Vec<Rc<super::connection::Conn>> {
    let ids = worker.table.borrow().users(user);
    ids.into_iter().filter_map(|id| worker.conn(id)).collect()
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

/// Whether a session of this worker wants it, and has not seen it.
fn is_awaited(worker: &Worker, push: &Dispatched) -> bool {
    let mut table = worker.table.borrow_mut();
    match table.topic(push.id.flow) {
        Some(topic) => topic.seen < push.id.seq,
        // The first push that this user ever got: its flow was made a moment ago.
        None => push.user.as_ref().is_some_and(|user| table.has(user)),
    }
}

fn miss_what_has_not_come(worker: &Rc<Worker>, now: Instant) {
    let mut missed = Vec::new();
    {
        let mut follower = worker.follower.borrow_mut();
        let awaited = std::mem::take(&mut follower.awaited);
        for push in awaited {
            if !is_awaited(worker, &push) {
                continue;
            }
            if now.duration_since(push.at) >= PATIENCE || follower.is_overtaken(&push) {
                missed.push(push);
            } else {
                follower.awaited.push_back(push);
            }
        }
    }
    for push in missed {
        miss(worker, &push);
    }
}

/// Sessions that serve the flow of this push look at the store, and nobody else.
fn miss(worker: &Rc<Worker>, push: &Dispatched) {
    let members: Vec<_> = match worker.table.borrow_mut().topic(push.id.flow) {
        Some(topic) => {
            topic.seen = topic.seen.max(push.id.seq);
            topic.members.values().cloned().collect()
        }
        None => Vec::new(),
    };
    if members.is_empty()
        && let Some(user) = &push.user
    {
        connections(worker, user).iter().for_each(|conn| attach::look_up(worker, conn));
        return;
    }
    for conn in members {
        let behind = conn.with_session(|session, _, _| {
            let behind = session.sent_of(push.id.flow).is_some_and(|sent| sent < push.id.seq);
            if behind {
                session.fall_behind(push.id.flow);
            }
            behind
        });
        if behind == Some(true) {
            catch_up::kick(worker, &conn);
        }
    }
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
