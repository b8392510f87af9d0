//! The fan-out: each push that the broker hands to a worker goes to the sessions that want it. Copies for those who watch with wildcards go out beside it, a few at a time.

use std::rc::Rc;

use super::attach::look_up;
use super::connection_id::ConnId;
use super::session::Offer;
use super::shared_frames::{Frames, Now};
use super::worker::Worker;
use super::{catch_up, client_messages, feed_follower, topic_filters};
use crate::broker::{Delivery, FeedMessages};
use crate::faults;
use crate::feed::Place;
use crate::ids::Target;
use crate::parcel::{FlowId, Parcel};

/// The broker's messages: nothing in here may wait.
pub(super) async fn deliver(worker: Rc<Worker>, mut messages: FeedMessages) {
    loop {
        let message = messages.next().await;
        faults::trip("mqtt-worker-deliver");
        match message {
            Ok(Delivery::Push { parcel, place }) => push(&worker, &parcel, place),
            Ok(Delivery::Watched(parcel)) => worker.watch_queue.push(parcel),
            Ok(Delivery::Open(message)) => client_messages::deliver(&worker, &message),
            Err(_) => return, // The watchdog ends the process.
        }
        // Acknowledgements and pings must not wait for everything that the link has.
        tokio::task::yield_now().await;
    }
}

fn push(worker: &Rc<Worker>, parcel: &Parcel, place: Option<Place>) {
    let overtook = worker.follower.borrow_mut().arrives(place);
    offer_to_all(worker, parcel);
    if overtook {
        feed_follower::read_on(worker);
    }
}

fn offer_to_all(worker: &Rc<Worker>, parcel: &Parcel) {
    if let Target::User(user) = &parcel.target {
        let present = worker.table.borrow().users(user);
        present.into_iter().for_each(|id| meet(worker, id, parcel.flow));
    }
    let members = match worker.table.borrow_mut().topic(parcel.flow) {
        Some(topic) => {
            topic.seen = topic.seen.max(parcel.seq);
            // Taken out for the loop: it borrows connections, and they may come back to the table.
            std::mem::take(&mut topic.members)
        }
        None => return,
    };
    let mut frames = Frames::new(parcel, worker.withheld.is_withheld(parcel.id()));
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
    // What a new member gets was shown when it went out.
    if worker.withheld.is_withheld(parcel.id()) || parcel.welcome.is_some() {
        return;
    }
    let mut frames = Frames::new(parcel, false);
    let topic = parcel.topic();
    for id in watchers {
        let Some(conn) = worker.conn(*id) else { continue };
        let matches =
            conn.state.borrow().subscriptions.iter().any(|known| topic_filters::matches(&known.filter, &topic));
        if matches {
            conn.with_session(|session, outbox, socket| session.show(&mut frames, outbox, socket, Now::read()));
        }
    }
}
