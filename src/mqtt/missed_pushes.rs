//! A push that stands in the feed and that the broker has not brought is missed here, and fetched by those whom it concerns
//! (docs/ledger.md, rule 11).

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::worker::Worker;
use super::{attach, catch_up};
use crate::feed::Dispatched;

/// A push that has not come by then will not come.
const PATIENCE: Duration = Duration::from_millis(250);

/// Whether a session of this worker wants it, and has not seen it.
pub(super) fn is_awaited(worker: &Worker, push: &Dispatched) -> bool {
    let mut table = worker.table.borrow_mut();
    match table.topic(push.id.flow) {
        Some(topic) => topic.seen < push.id.seq,
        // The first push that this user ever got: its flow was made a moment ago.
        None => push.user.as_ref().is_some_and(|user| table.has(user)),
    }
}

pub(super) fn miss_what_has_not_come(worker: &Rc<Worker>, now: Instant) {
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
        worker.connections(user).iter().for_each(|conn| attach::look_up(worker, conn));
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
