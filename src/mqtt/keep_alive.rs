//! Connections that time ends: silent for longer than their keep-alive, without a CONNECT, or without an acknowledgement.

use std::rc::Rc;
use std::time::Instant;

use super::codec::reason;
use super::connection::{Close, Conn};
use super::worker::Worker;
use super::{attach, set_aside};
use crate::clock::{self, Millis};

/// Ends connections that are silent, that never said CONNECT, or that stopped acknowledging; those that stay although they
/// leave something unanswered get more.
pub(super) fn check_clocks(worker: &Rc<Worker>) {
    let now = Instant::now();
    let clock = clock::now();
    for conn in worker.all_conns() {
        let close = {
            let state = conn.state.borrow();
            match &state.session {
                None if now.duration_since(conn.opened) > worker.settings().connect_timeout => Some(Close::Gone),
                None => None,
                Some(_) if state.keep_alive.is_some_and(|limit| now.duration_since(state.heard) > limit) => {
                    Some(Close::Reason(reason::KEEP_ALIVE_TIMEOUT))
                }
                Some(session) => session
                    .stuck_since()
                    .filter(|since| now.duration_since(*since) > worker.settings().ack_timeout)
                    .map(|_| Close::Unanswered),
            }
        };
        if has_expired(&conn, clock) {
            // What it has said until now counts.
            conn.dismiss(reason::MAXIMUM_CONNECT_TIME);
        }
        if let Some(close) = close {
            conn.close(close);
        } else {
            if conn.with_session(|session, _, _| session.widen(now)) == Some(true) {
                attach::go_on(worker, &conn);
            }
            set_aside::set_overdue_aside(worker, &conn, now);
        }
    }
}

/// Whether what it signed in with is over: a token that somebody else has signed says itself how long it is one.
fn has_expired(conn: &Conn, clock: Millis) -> bool {
    let state = conn.state.borrow();
    state.session.is_some() && state.signed_in.as_ref().and_then(|one| one.until).is_some_and(|until| clock >= until)
}
