//! A connection begins to serve memberships: those of its user when it comes, and each one that is made later. And it goes
//! on where there is room again.

use std::rc::Rc;
use std::time::Instant;

use super::catch_up;
use super::codec::reason;
use super::connection::{Close, CloseOnPanic, Conn};
use super::connection_events::protocol;
use super::connection_id::ConnRef;
use super::session::Session;
use super::shared_frames::Now;
use super::worker::Worker;
use crate::clock;
use crate::ids::UserId;
use crate::parcel::Membership;
use crate::store::TerminalSeen;

/// A user is a member of one more flow. A connection that is still arriving reads its memberships once more.
pub(super) fn join(worker: &Rc<Worker>, conn: &Rc<Conn>, membership: &Membership) {
    let seen = conn.state.borrow().session.as_ref().map(|session| last_seen(session, None));
    if let Some(seen) = seen {
        // Of a user that was in no group nothing is remembered: now it is.
        worker.note(seen);
        attach(worker, conn, membership);
    } else {
        conn.reread.set(true);
    }
}

/// The connection serves a flow from now on.
fn attach(worker: &Rc<Worker>, conn: &Rc<Conn>, membership: &Membership) {
    if conn.is_closing() {
        return;
    }
    // Subscribe first: what is dispatched from here on arrives, and what was dispatched before shows in the head.
    worker.table.borrow_mut().attach(membership.flow, &membership.target, conn);
    let head = membership.head.max(worker.gateway.feed().head(membership.flow));
    let qos0 = {
        let topic = membership.target.topic();
        conn.state.borrow().subscriptions.iter().any(|known| known.qos == 0 && known.filter == topic)
    };
    let behind = conn.with_session(|session, _, _| {
        let behind = session.attach(membership, head);
        session.set_qos0(membership.flow, qos0);
        behind
    });
    if behind == Some(true) {
        catch_up::kick(worker, conn);
    }
}

/// There is room again: in the socket, or in the window.
pub(super) fn go_on(worker: &Rc<Worker>, conn: &Rc<Conn>) {
    let behind = conn.with_session(|session, outbox, socket| {
        session.send_queued(outbox, socket, Now::read());
        session.is_behind() || session.next_aside(outbox, Instant::now()).is_some()
    });
    if behind == Some(true) {
        catch_up::kick(worker, conn);
    }
}

/// Reads the user's bindings again: once more if it is just being done, and at the end of its arrival for a connection that
/// is still arriving.
pub(super) fn look_up(worker: &Rc<Worker>, conn: &Rc<Conn>) {
    conn.reread.set(true);
    if conn.state.borrow().session.is_none() || conn.looking.replace(true) {
        return;
    }
    let (worker, conn) = (Rc::clone(worker), Rc::clone(conn));
    tokio::task::spawn_local(async move {
        let _on_panic = CloseOnPanic(Rc::clone(&conn));
        while conn.reread.replace(false) {
            read_again(&worker, &conn).await;
        }
        conn.looking.set(false);
    });
}

/// Reads the user's bindings once more and serves those that are new.
async fn read_again(worker: &Rc<Worker>, conn: &Rc<Conn>) {
    let user = conn.state.borrow().session.as_ref().and_then(|session| session.user.clone());
    let Some(user) = user else { return };
    worker.gateway.while_still(&user, attach_user(worker, conn, &user)).await;
}

/// Serves all bindings of a user, and no others. To be called while no join or leave of this user is under way, and after
/// the connection has entered the worker's table: what happens while they are read is heard of then.
pub(super) async fn attach_user(worker: &Rc<Worker>, conn: &Rc<Conn>, user: &UserId) {
    let memberships = worker.gateway.store().memberships(user.clone()).await;
    // It may act for somebody else by now.
    let same = conn.state.borrow().session.as_ref().is_some_and(|session| session.user.as_ref() == Some(user));
    match memberships {
        Ok(memberships) if same => {
            let served: Vec<_> =
                conn.state.borrow().session.iter().flat_map(|session| session.bindings().collect::<Vec<_>>()).collect();
            for (flow, binding) in served {
                if !memberships.iter().any(|membership| membership.binding == binding) {
                    worker.detach(conn, flow, binding);
                }
            }
            attach_all(worker, conn, &memberships);
        }
        Ok(_) => {}
        Err(error) => {
            tracing::error!(%error, "a user's bindings could not be read; its connection is closed");
            conn.close(Close::Reason(reason::UNAVAILABLE));
        }
    }
}

/// Serves all these bindings.
pub(super) fn attach_all(worker: &Rc<Worker>, conn: &Rc<Conn>, memberships: &[Membership]) {
    for membership in memberships {
        attach(worker, conn, membership);
    }
}

/// Something happened while the connection was arriving: its bindings are read once more.
pub(super) fn arrived(worker: &Rc<Worker>, conn: &Rc<Conn>) {
    if conn.reread.get() {
        look_up(worker, conn);
    }
}

/// The terminal as it is when it comes or goes.
pub(super) fn last_seen(session: &Session, gone: Option<&str>) -> Option<TerminalSeen> {
    let (receive_maximum, maximum_packet) = session.limits();
    let (sent, largest_acked) = session.written_and_acked();
    Some(TerminalSeen {
        client: session.client_id.clone(),
        user: session.user.clone()?,
        protocol: protocol(session.version).to_owned(),
        receive_maximum,
        maximum_packet,
        seen_at: clock::now(),
        sent,
        largest_acked,
        gone: gone.map(ToOwned::to_owned),
    })
}

/// The connection is one that acts for a user, for all who ask.
pub(super) fn enter_user(worker: &Worker, conn: &Conn, user: &UserId) {
    let connection = {
        let state = conn.state.borrow();
        let Some(session) = &state.session else { return };
        worker.note(last_seen(session, None));
        let (receive_maximum, maximum_packet_size) = session.limits();
        crate::gateway::Connection {
            client_id: session.client_id.clone(),
            protocol: protocol(session.version),
            remote: conn.remote.to_string(),
            connected_at: clock::format_utc(clock::now()),
            receive_maximum,
            maximum_packet_size,
        }
    };
    worker.registry.enter(user.clone(), ConnRef { worker: worker.number, id: conn.id }, connection);
}
