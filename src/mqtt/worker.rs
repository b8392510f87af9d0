//! A worker's state: its connections, who of them wants what, and what is to be written down. A worker is a thread with a
//! runtime of its own; everything a push needs on its way to a terminal is local to it. What it does with this is in the
//! files above it; `run.rs` is on top.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::{Mutex, Notify};

use super::Settings;
use super::connection::{Arrival, Conn};
use super::connection_id::{ConnId, ConnRef};
use super::directory::Registry;
use super::paused_deliveries::Withheld;
use super::routes::Table;
use super::session::Session;
use super::wildcard_watch::WatchQueue;
use crate::broker::FeedWants;
use crate::gateway::Gateway;
use crate::log_limit::LogLimit;
use crate::parcel::{BindingId, FlowId, Seq};
use crate::store::{CursorMove, TerminalSeen};

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) number: usize,
    pub(super) gateway: Arc<Gateway>,
    pub(super) registry: Arc<Registry>,
    pub(super) settings: Arc<Settings>,
    pub(super) table: RefCell<Table>,
    conns: RefCell<HashMap<ConnId, Rc<Conn>>>,
    /// A connection has left all tables.
    gone: Notify,
    next_id: Cell<ConnId>,
    /// Connections with something to write down.
    listed: RefCell<Vec<Rc<Conn>>>,
    pub(super) withheld: Withheld,
    /// Copies for those who watch.
    pub(super) watch_queue: WatchQueue,
    /// One settling at a time: who asks for it has to wait for the one under way.
    settling: Mutex<()>,
    /// Moves of connections that are gone or flows that were left, and moves that could not be written.
    orphans: RefCell<Vec<CursorMove>>,
    /// Terminals that came or went, to be noted in the store.
    seen: RefCell<Vec<TerminalSeen>>,
    /// The newest direct push that arrived, and the newest there was at the last look.
    pub(super) direct_seen: Cell<Seq>,
    pub(super) direct_head: Cell<Seq>,
    /// One buffer for all reads.
    pub(super) scratch: RefCell<Vec<u8>>,
}

impl Worker {
    pub(super) fn new(
        number: usize,
        wants: FeedWants,
        gateway: Arc<Gateway>,
        registry: Arc<Registry>,
        settings: Arc<Settings>,
    ) -> Self {
        let direct = gateway.heads().direct();
        Self {
            number,
            gateway,
            registry,
            settings,
            table: RefCell::new(Table::new(wants)),
            conns: RefCell::default(),
            gone: Notify::new(),
            next_id: Cell::new(1),
            listed: RefCell::default(),
            withheld: Withheld::default(),
            watch_queue: WatchQueue::default(),
            settling: Mutex::default(),
            orphans: RefCell::default(),
            seen: RefCell::default(),
            direct_seen: Cell::new(direct),
            direct_head: Cell::new(direct),
            scratch: RefCell::new(vec![0; 64 * 1024]),
        }
    }

    pub(super) fn conn(&self, id: ConnId) -> Option<Rc<Conn>> {
        self.conns.borrow().get(&id).cloned()
    }

    pub(super) fn all_conns(&self) -> Vec<Rc<Conn>> {
        self.conns.borrow().values().cloned().collect()
    }

    pub(super) fn at(&self, conn: &Conn) -> ConnRef {
        ConnRef { worker: self.number, id: conn.id }
    }

    /// A new connection.
    pub(super) fn take_in(&self, socket: TcpStream, remote: SocketAddr, arrival: Arrival) -> Rc<Conn> {
        let id = self.next_id.replace(self.next_id.get() + 1);
        let conn = Rc::new(Conn::new(id, remote, socket, arrival));
        self.conns.borrow_mut().insert(id, Rc::clone(&conn));
        conn
    }

    /// The connection is gone from all tables.
    pub(super) fn forget(&self, conn: &Conn) {
        if self.conns.borrow_mut().remove(&conn.id).is_some() {
            self.gone.notify_one();
            self.registry.close_socket();
        }
    }

    /// Waits until the last connection is gone.
    pub(super) async fn until_empty(&self) {
        while !self.conns.borrow().is_empty() {
            self.gone.notified().await;
        }
    }

    /// Takes a connection out of whatever still names it, after a fault that kept it from going in good order.
    pub(super) fn purge(&self, conn: &Conn) {
        let at = self.at(conn);
        self.table.borrow_mut().purge(conn.id);
        self.unwatch(conn.id);
        self.registry.purge(at);
        self.forget(conn);
    }

    /// A connection has no wildcard filters any more that take pushes.
    pub(super) fn unwatch(&self, conn: ConnId) {
        if self.table.borrow_mut().unwatch(conn) {
            self.registry.count_watcher(false);
        }
    }

    /// The connection serves a flow no longer.
    pub(super) fn detach(&self, conn: &Conn, flow: FlowId) {
        self.table.borrow_mut().detach(flow, conn.id);
        if let Some(session) = conn.state.borrow_mut().session.as_mut()
            && let Some(cursor) = session.detach(flow)
        {
            self.orphans.borrow_mut().push(cursor);
        }
    }

    /// Notes that a connection has something to be written down.
    pub(super) fn list(&self, conn: &Rc<Conn>) {
        let moved = conn.state.borrow().session.as_ref().is_some_and(Session::has_moved);
        if moved && !conn.listed.replace(true) {
            self.listed.borrow_mut().push(Rc::clone(conn));
        }
    }

    pub(super) fn keep_moves(&self, moves: Vec<CursorMove>) {
        self.orphans.borrow_mut().extend(moves);
    }

    /// Writes down every acknowledgement this worker knows of. What fails is tried again the next time.
    pub(super) async fn settle(&self) {
        let _one_at_a_time = self.settling.lock().await;
        let mut moves = self.orphans.take();
        for conn in self.listed.take() {
            conn.listed.set(false);
            if let Some(session) = conn.state.borrow_mut().session.as_mut() {
                moves.extend(session.take_moves());
            }
        }
        if moves.is_empty() {
            return;
        }
        let kept = moves.clone();
        if let Err(error) = self.gateway.store().settle(moves, crate::clock::now()).await {
            static FAILED: LogLimit = LogLimit::new(1);
            if let Some(left_out) = FAILED.pass() {
                let bindings = kept.len();
                tracing::error!(%error, bindings, left_out, "acknowledgements could not be written; they are kept");
            }
            self.keep_moves(kept);
        }
    }

    /// Keeps what is known of a terminal that comes or goes.
    pub(super) fn note(&self, seen: Option<TerminalSeen>) {
        self.seen.borrow_mut().extend(seen);
    }

    /// Not worth a second try: the next visit says it again.
    pub(super) async fn write_seen(&self) {
        let seen = self.seen.take();
        if let Err(error) = self.gateway.store().note_terminals(seen).await {
            static FAILED: LogLimit = LogLimit::new(1);
            if let Some(left_out) = FAILED.pass() {
                tracing::warn!(%error, left_out, "what is known of terminals could not be written");
            }
        }
    }

    /// From here on none of these is sent; answers who has one of them under way. One step: nothing happens in between.
    pub(super) fn hold_back(&self, dispatches: &[(FlowId, Seq)]) -> Vec<(BindingId, Seq)> {
        let mut holders = Vec::new();
        for &(flow, seq) in dispatches {
            self.withheld.hold_back(seq);
            if let Some(topic) = self.table.borrow_mut().topic(flow) {
                let sessions = topic.members.values().filter_map(|conn| {
                    let state = conn.state.borrow();
                    state.session.as_ref().and_then(|session| session.holds(flow, seq))
                });
                holders.extend(sessions.map(|binding| (binding, seq)));
            }
        }
        holders
    }
}
