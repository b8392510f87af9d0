//! A worker's state: its connections, who of them wants what, and what is to be written down. A worker is a thread with a
//! runtime of its own; everything a push needs on its way to a terminal is local to it. What it does with this is in the
//! files above it; `run.rs` is on top.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use super::Settings;
use super::connection::{Arrival, Close, Conn};
use super::connection_events;
use super::connection_id::{ConnId, ConnRef};
use super::directory::Registry;
use super::feed_position::Follower;
use super::flush::{Detached, Shared};
use super::paused_deliveries::Withheld;
use super::routes::Table;
use super::session::Session;
use super::tally::Tally;
use super::trace_readers::Tracing;
use super::transport::Transport;
use super::wildcard_watch::WatchQueue;
use crate::broker::FeedWants;
use crate::gateway::{Gateway, Unwritten};
use crate::ids::UserId;
use crate::log_limit::LogLimit;
use crate::parcel::{BindingId, FlowId};
use crate::store::{CursorMove, TerminalSeen};

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) number: usize,
    pub(super) gateway: Arc<Gateway>,
    pub(super) registry: Arc<Registry>,
    settings: RefCell<Rc<Settings>>,
    pub(super) table: RefCell<Table>,
    conns: RefCell<HashMap<ConnId, Rc<Conn>>>,
    /// A connection has left all tables.
    gone: Notify,
    next_id: Cell<ConnId>,
    /// Connections with something to write down.
    listed: RefCell<Vec<Rc<Conn>>>,
    pub(super) withheld: Withheld,
    /// What it counts of deliveries.
    pub(super) tally: Rc<Tally>,
    /// For those who want to know what happens to groups.
    pub(super) tracing: Tracing,
    /// Copies for those who watch.
    pub(super) watch_queue: WatchQueue,
    flushing: Shared,
    detached: Detached,
    /// Terminals that came or went, to be noted in the store.
    seen: RefCell<Vec<TerminalSeen>>,
    pub(super) follower: RefCell<Follower>,
    /// One buffer for all reads.
    pub(super) scratch: RefCell<Vec<u8>>,
}

impl Worker {
    pub(super) fn new(
        number: usize,
        wants: FeedWants,
        gateway: Arc<Gateway>,
        registry: Arc<Registry>,
        settings: Settings,
    ) -> Self {
        let tally = Rc::new(Tally::new(Arc::clone(gateway.signals())));
        let follower = RefCell::new(Follower::new(gateway.feed()));
        Self {
            number,
            gateway,
            registry,
            settings: RefCell::new(Rc::new(settings)),
            table: RefCell::new(Table::new(wants)),
            conns: RefCell::default(),
            gone: Notify::new(),
            next_id: Cell::new(1),
            listed: RefCell::default(),
            withheld: Withheld::default(),
            tally,
            tracing: Tracing::default(),
            watch_queue: WatchQueue::default(),
            flushing: Shared::default(),
            detached: Detached::default(),
            seen: RefCell::default(),
            follower,
            scratch: RefCell::new(vec![0; 64 * 1024]),
        }
    }

    /// What the configuration says now.
    pub(super) fn settings(&self) -> Rc<Settings> {
        Rc::clone(&self.settings.borrow())
    }

    /// The configuration says something else from now on.
    pub(super) fn follow(&self, settings: Settings) {
        self.settings.replace(Rc::new(settings));
    }

    pub(super) fn conn(&self, id: ConnId) -> Option<Rc<Conn>> {
        self.conns.borrow().get(&id).cloned()
    }

    pub(super) fn all_conns(&self) -> Vec<Rc<Conn>> {
        self.conns.borrow().values().cloned().collect()
    }

    /// Those that act for a user, or are about to.
    pub(super) fn connections(&self, user: &UserId) -> Vec<Rc<Conn>> {
        let ids = self.table.borrow().users(user);
        ids.into_iter().filter_map(|id| self.conn(id)).collect()
    }

    pub(super) fn at(&self, conn: &Conn) -> ConnRef {
        ConnRef { worker: self.number, id: conn.id }
    }

    /// A new connection.
    pub(super) fn take_in(&self, socket: Transport, remote: SocketAddr, arrival: Arrival) -> Rc<Conn> {
        let id = self.next_id.replace(self.next_id.get() + 1);
        let conn = Rc::new(Conn::new(id, remote, socket, arrival));
        self.conns.borrow_mut().insert(id, Rc::clone(&conn));
        conn
    }

    /// The connection is gone from all tables.
    pub(super) fn forget(&self, conn: &Conn) {
        if self.conns.borrow_mut().remove(&conn.id).is_some() {
            self.gone.notify_one();
            self.registry.close_socket(conn.remote.ip());
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
        connection_events::ended(self.gateway.signals(), conn, Close::Gone);
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

    /// The connection serves a flow no longer by this binding.
    pub(super) fn detach(&self, conn: &Conn, flow: FlowId, binding: BindingId) {
        let mut state = conn.state.borrow_mut();
        let Some(session) = state.session.as_mut() else { return };
        if session.binding_of(flow) != Some(binding) {
            return;
        }
        self.table.borrow_mut().detach(flow, conn.id);
        self.detached.keep(session.detach(flow, binding));
    }

    /// Notes that a connection has something to be written down.
    pub(super) fn list(&self, conn: &Rc<Conn>) {
        let moved = conn.state.borrow().session.as_ref().is_some_and(Session::has_moved);
        if moved && !conn.listed.replace(true) {
            self.listed.borrow_mut().push(Rc::clone(conn));
        }
    }

    pub(super) fn keep_moves(&self, moves: Vec<CursorMove>) {
        self.detached.keep(moves);
    }

    /// Writes down every acknowledgement this worker knows of. What fails is tried again the next time.
    pub(super) async fn settle(&self) {
        self.flushing.run(async || self.flush().await).await;
    }

    /// The same for one who only wants to read what is owed: on a store that takes no writes it would be in vain.
    pub(super) async fn settle_before_reading(&self) {
        if !self.detached.has_failed(Instant::now()) {
            self.settle().await;
        }
    }

    async fn flush(&self) {
        let mut moves = Vec::new();
        for conn in self.listed.take() {
            conn.listed.set(false);
            if let Some(session) = conn.state.borrow_mut().session.as_mut() {
                moves.extend(session.take_moves());
            }
        }
        self.detached.keep(moves);
        let moves = self.detached.take(Instant::now());
        if moves.is_empty() {
            return;
        }
        let unwritten = self.gateway.acknowledge(moves).await;
        self.complain(&unwritten);
        let aside = self.detached.note(unwritten, Instant::now());
        if aside > 0 {
            tracing::error!(bindings = aside, "acknowledgements of these bindings cannot be written; all others are");
        }
    }

    fn complain(&self, unwritten: &Unwritten) {
        let Some(error) = unwritten.error.as_ref().filter(|_| !unwritten.later.is_empty()) else { return };
        static FAILED: LogLimit = LogLimit::new(1);
        if let Some(left_out) = FAILED.pass() {
            let bindings = unwritten.later.len();
            tracing::error!(%error, bindings, left_out, "acknowledgements could not be written; they are kept");
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
}
