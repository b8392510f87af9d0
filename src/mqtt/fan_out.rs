//! The fan-out: each push that the broker hands to a worker goes to the sessions that want it, and what was missed is
//! noticed. Copies for those who watch with wildcards go out beside it, a few at a time.

use std::rc::Rc;

use super::attach::look_up;
use super::connection_id::ConnId;
use super::session::Offer;
use super::shared_frames::{Frames, Now};
use super::worker::Worker;
use super::{catch_up, client_messages, topic_filters};
use crate::broker::{Delivery, FeedMessages};
use crate::faults;
use crate::ids::Target;
use crate::parcel::{FlowId, Parcel, Seq};

/// The broker's messages: nothing in here may wait.
pub(super) async fn deliver(worker: Rc<Worker>, mut messages: FeedMessages) {
    loop {
        let message = messages.next().await;
        faults::trip("mqtt-worker-deliver");
        match message {
            Ok(Delivery::Push { parcel, prev }) => push(&worker, &parcel, prev),
            Ok(Delivery::Watched(parcel)) => worker.watch_queue.push(parcel),
            Ok(Delivery::Open(message)) => client_messages::deliver(&worker, &message),
            Err(_) => return, // The watchdog ends the process.
        }
        // Acknowledgements and pings must not wait for everything that the link has.
        tokio::task::yield_now().await;
    }
}

fn push(worker: &Rc<Worker>, parcel: &Parcel, prev: Seq) {
    let members = {
        let mut table = worker.table.borrow_mut();
        if let Target::User(user) = &parcel.target {
            if prev > worker.direct_seen.get() {
                drop(table);
                all_users_fall_behind(worker);
                table = worker.table.borrow_mut();
            }
            worker.direct_seen.set(parcel.seq);
            for id in table.users(user) {
                meet(worker, id, parcel.flow);
            }
        }
        match table.topic(parcel.flow) {
            Some(topic) => {
                topic.seen = topic.seen.max(parcel.seq);
                // Taken out for the loop: it borrows connections, and they may come back to the table.
                std::mem::take(&mut topic.members)
            }
            None => return,
        }
    };
    let mut frames = Frames::new(parcel, worker.withheld.is_withheld(parcel.seq));
    let now = Now::read();
    for conn in members.values() {
        let offer = conn.with_session(|session, outbox, socket| {
            (session.offer(&mut frames, outbox, socket, now), session.has_moved())
        });
        match offer {
            Some((Offer::Behind, _)) => catch_up::kick(worker, conn),
            Some((Offer::Done, true)) => worker.list(conn),
            _ => {}
        }
    }
    if let Some(topic) = worker.table.borrow_mut().topic(parcel.flow) {
        topic.members = members;
    }
}

/// A direct push for a user whose own flow this connection does not serve yet: it was made just now.
fn meet(worker: &Rc<Worker>, id: ConnId, flow: FlowId) {
    let Some(conn) = worker.conn(id) else { return };
    let knows = conn.state.borrow().session.as_ref().is_some_and(|session| session.serves(flow));
    if !knows {
        look_up(worker, &conn);
    }
}

fn all_users_fall_behind(worker: &Rc<Worker>) {
    for conn in worker.all_conns() {
        let own = conn.with_session(|session, _, _| {
            let own = session.own_flow();
            own.into_iter().for_each(|own| session.fall_behind(own));
            (own, session.user.is_some())
        });
        match own {
            Some((Some(_), _)) => catch_up::kick(worker, &conn),
            // Its first push ever may be the one that was lost.
            Some((None, true)) => look_up(worker, &conn),
            _ => {}
        }
    }
}

/// Compares what arrived with what was dispatched: the last publish of a topic, lost, would show in nothing else
/// (docs/ledger.md, rule 11). A difference counts when it is seen twice: at the first look it may be on its way.
pub(super) fn check_heads(worker: &Rc<Worker>) {
    let mut missed = Vec::new();
    for (flow, topic) in worker.table.borrow_mut().topics() {
        let head = worker.gateway.heads().group(flow);
        if head > topic.seen && (topic.head == head || !topic.live) {
            missed.extend(topic.members.keys().map(|id| (*id, flow, head)));
            topic.seen = head;
        }
        topic.head = head;
    }
    for (id, flow, head) in missed {
        let Some(conn) = worker.conn(id) else { continue };
        let behind = conn.with_session(|session, _, _| {
            let behind = session.sent_of(flow).is_some_and(|sent| sent < head);
            if behind {
                session.fall_behind(flow);
            }
            behind
        });
        if behind == Some(true) {
            catch_up::kick(worker, &conn);
        }
    }
    let direct = worker.gateway.heads().direct();
    if direct > worker.direct_seen.get() && worker.direct_head.get() == direct {
        worker.direct_seen.set(direct);
        all_users_fall_behind(worker);
    }
    worker.direct_head.set(direct);
}

/// Copies for watchers that go out before others have their turn.
const PORTION: usize = 32;

/// Sends copies for as long as the worker lives.
pub(super) async fn show_to_watchers(worker: Rc<Worker>) {
    loop {
        let parcel = worker.watch_queue.next().await;
        let watchers = worker.table.borrow().watchers();
        for portion in watchers.chunks(PORTION) {
            show(&worker, &parcel, portion);
            tokio::task::yield_now().await;
        }
    }
}

fn show(worker: &Worker, parcel: &Parcel, watchers: &[ConnId]) {
    if worker.withheld.is_withheld(parcel.seq) {
        return;
    }
    let mut frames = Frames::new(parcel, false);
    let topic = parcel.target.topic();
    for id in watchers {
        let Some(conn) = worker.conn(*id) else { continue };
        let matches =
            conn.state.borrow().subscriptions.iter().any(|known| topic_filters::matches(&known.filter, &topic));
        if matches {
            conn.with_session(|session, outbox, socket| session.show(&mut frames, outbox, socket, Now::read()));
        }
    }
}
