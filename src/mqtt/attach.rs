//! A connection begins to serve memberships: those of its user when it comes, and each one that is made later. And it goes
//! on where there is room again.

use std::rc::Rc;

use super::catch_up;
use super::codec::{Version, reason};
use super::connection::{Close, CloseOnPanic, Conn};
use super::connection_id::ConnRef;
use super::session::Session;
use super::shared_frames::Now;
use super::worker::Worker;
use crate::clock;
use crate::ids::{Target, UserId};
use crate::parcel::Seq;
use crate::store::{Membership, TerminalSeen};

/// The connection serves a flow from now on. `suspicious`: a push may have gone by while the binding was being read.
pub(super) fn attach(worker: &Rc<Worker>, conn: &Rc<Conn>, membership: &Membership, suspicious: bool) {
    if conn.is_closing() {
        return;
    }
    // Subscribe first: what is dispatched from here on arrives, and what was dispatched before shows in the heads.
    worker.table.borrow_mut().attach(membership.flow, &membership.target, conn);
    let head = membership.head.max(worker.gateway.heads().group(membership.flow));
    let qos0 = {
        let topic = membership.target.topic();
        conn.state.borrow().subscriptions.iter().any(|known| known.qos == 0 && known.filter == topic)
    };
    let behind = conn.with_session(|session, _, _| {
        let behind = session.attach(membership, head);
        session.set_qos0(membership.flow, qos0);
        if suspicious {
            session.fall_behind(membership.flow);
        }
        behind || suspicious
    });
    if behind == Some(true) {
        catch_up::kick(worker, conn);
    }
}

/// There is room again: in the socket, or in the window.
pub(super) fn go_on(worker: &Rc<Worker>, conn: &Rc<Conn>) {
    let behind = conn.with_session(|session, outbox, socket| {
        session.send_queued(outbox, socket, Now::read());
        session.is_behind()
    });
    if behind == Some(true) {
        catch_up::kick(worker, conn);
    }
}

/// Reads the user's bindings again, once at a time.
pub(super) fn look_up(worker: &Rc<Worker>, conn: &Rc<Conn>) {
    if conn.looking.replace(true) {
        return;
    }
    let (worker, conn) = (Rc::clone(worker), Rc::clone(conn));
    tokio::task::spawn_local(async move {
        let _on_panic = CloseOnPanic(Rc::clone(&conn));
        read_again(&worker, &conn).await;
        conn.looking.set(false);
    });
}

/// Reads the user's bindings once more and serves those that are new.
async fn read_again(worker: &Rc<Worker>, conn: &Rc<Conn>) {
    let user = conn.state.borrow().session.as_ref().and_then(|session| session.user.clone());
    let Some(user) = user else { return };
    worker.gateway.while_still(&user, attach_user(worker, conn, &user)).await;
}

/// Serves all bindings of a user. To be called while no join or leave of this user is under way.
pub(super) async fn attach_user(worker: &Rc<Worker>, conn: &Rc<Conn>, user: &UserId) {
    let direct = worker.gateway.heads().direct();
    let memberships = worker.gateway.store().memberships(user.clone()).await;
    // It may act for somebody else by now.
    let same = conn.state.borrow().session.as_ref().is_some_and(|session| session.user.as_ref() == Some(user));
    match memberships {
        Ok(memberships) if same => attach_all(worker, conn, &memberships, direct),
        Ok(_) => {}
        Err(error) => {
            tracing::error!(%error, "a user's bindings could not be read; its connection is closed");
            conn.close(Close::Reason(reason::UNAVAILABLE));
        }
    }
}

/// Serves all these bindings. `direct`: the newest direct push before they were read.
pub(super) fn attach_all(worker: &Rc<Worker>, conn: &Rc<Conn>, memberships: &[Membership], direct: Seq) {
    let passed = worker.gateway.heads().direct() != direct;
    let is_own = |membership: &Membership| matches!(membership.target, Target::User(_));
    for membership in memberships {
        attach(worker, conn, membership, passed && is_own(membership));
    }
    if passed && !memberships.iter().any(is_own) {
        look_up(worker, conn);
    }
}

fn protocol(session: &Session) -> &'static str {
    if session.version == Version::V5 { "mqtt5" } else { "mqtt3.1.1" }
}

/// The terminal as it is when it comes or goes.
pub(super) fn last_seen(session: &Session) -> Option<TerminalSeen> {
    let (receive_maximum, maximum_packet) = session.limits();
    Some(TerminalSeen {
        client: session.client_id.clone(),
        user: session.user.clone()?,
        protocol: protocol(session).to_owned(),
        receive_maximum,
        maximum_packet,
        seen_at: clock::now(),
    })
}

/// The connection enters the tables of those who act for a user.
pub(super) fn enter_user(worker: &Worker, conn: &Conn, user: &UserId) {
    let connection = {
        let state = conn.state.borrow();
        let Some(session) = &state.session else { return };
        worker.note(last_seen(session));
        let (receive_maximum, maximum_packet_size) = session.limits();
        crate::gateway::Connection {
            client_id: session.client_id.clone(),
            protocol: protocol(session),
            remote: conn.remote.to_string(),
            connected_at: clock::format_utc(clock::now()),
            receive_maximum,
            maximum_packet_size,
        }
    };
    worker.table.borrow_mut().enter(user.clone(), conn.id);
    worker.registry.enter(user.clone(), ConnRef { worker: worker.number, id: conn.id }, connection);
}
