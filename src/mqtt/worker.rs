//! A worker: a thread with a runtime of its own. It owns its connections; everything a push needs on its way to a
//! terminal is local to it, and other threads reach it by message only.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::connection::{Close, CloseOnPanic, Conn};
use super::directory::{Command, ConnId, ConnRef, Registry};
use super::paused_deliveries::Withheld;
use super::routes::Table;
use super::session::Offer;
use super::shared_frames::{Frames, Now};
use super::wildcard_watch::{self, WatchQueue};
use super::{Settings, catch_up, connection_task, group_requests};
use crate::broker::{Delivery, Feed, FeedMessages};
use crate::faults;
use crate::gateway::Gateway;
use crate::health::{Health, Part};
use crate::ids::Target;
use crate::log_limit::LogLimit;
use crate::parcel::{BindingId, FlowId, Parcel, Seq};
use crate::store::{CursorMove, Membership, TerminalSeen};

const TICK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) number: usize,
    pub(super) gateway: Arc<Gateway>,
    pub(super) registry: Arc<Registry>,
    pub(super) settings: Arc<Settings>,
    pub(super) table: RefCell<Table>,
    conns: RefCell<HashMap<ConnId, Rc<Conn>>>,
    /// A connection has left all tables.
    gone: tokio::sync::Notify,
    next_id: std::cell::Cell<ConnId>,
    /// Connections with something to write down.
    listed: RefCell<Vec<Rc<Conn>>>,
    pub(super) withheld: Withheld,
    /// Copies for those who watch.
    pub(super) watch_queue: WatchQueue,
    /// One settling at a time: who asks for it has to wait for the one under way.
    settling: tokio::sync::Mutex<()>,
    /// Moves of connections that are gone or flows that were left, and moves that could not be written.
    orphans: RefCell<Vec<CursorMove>>,
    /// Terminals that came or went, to be noted in the store.
    seen: RefCell<Vec<TerminalSeen>>,
    /// The newest direct push that arrived, and the newest there was at the last look.
    direct_seen: std::cell::Cell<Seq>,
    direct_head: std::cell::Cell<Seq>,
    /// One buffer for all reads.
    pub(super) scratch: RefCell<Vec<u8>>,
}

/// A worker's thread and its tasks, as parts of the process's health.
#[derive(Debug)]
pub(super) struct Parts {
    worker: Part,
    deliver: Part,
    acknowledge: Part,
    tick: Part,
    watch: Part,
}

impl Parts {
    pub(super) fn new(health: &Health, number: usize) -> Self {
        let part = |name: &str| health.part(format!("mqtt-worker-{number}{name}"));
        Self {
            worker: part(""),
            deliver: part("-deliver"),
            acknowledge: part("-acknowledge"),
            tick: part("-tick"),
            watch: part("-watch"),
        }
    }
}

/// Starts a task that must not end before its worker.
fn spawn_part(part: Part, task: impl Future<Output = ()> + 'static) {
    tokio::task::spawn_local(async move {
        let _part = part;
        task.await;
    });
}

/// Runs a worker until it is told to stop.
pub(super) fn run(
    number: usize,
    parts: Parts,
    feed: Feed,
    commands: mpsc::UnboundedReceiver<Command>,
    gateway: Arc<Gateway>,
    registry: Arc<Registry>,
    settings: Arc<Settings>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (wants, messages) = feed.split();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let direct = gateway.heads().direct();
        let worker = Rc::new(Worker {
            number,
            gateway,
            registry,
            settings,
            table: RefCell::new(Table::new(wants)),
            conns: RefCell::default(),
            gone: tokio::sync::Notify::new(),
            next_id: std::cell::Cell::new(1),
            listed: RefCell::default(),
            withheld: Withheld::default(),
            watch_queue: WatchQueue::default(),
            settling: tokio::sync::Mutex::default(),
            orphans: RefCell::default(),
            seen: RefCell::default(),
            direct_seen: std::cell::Cell::new(direct),
            direct_head: std::cell::Cell::new(direct),
            scratch: RefCell::new(vec![0; 64 * 1024]),
        });
        spawn_part(parts.deliver, Rc::clone(&worker).deliver(messages));
        spawn_part(parts.acknowledge, Rc::clone(&worker).write_behind());
        spawn_part(parts.tick, Rc::clone(&worker).tick());
        spawn_part(parts.watch, wildcard_watch::run(Rc::clone(&worker)));
        worker.obey(commands).await;
        drop(parts.worker);
    });
    Ok(())
}

impl Worker {
    pub(super) fn conn(&self, id: ConnId) -> Option<Rc<Conn>> {
        self.conns.borrow().get(&id).cloned()
    }

    pub(super) fn at(&self, conn: &Conn) -> ConnRef {
        ConnRef { worker: self.number, id: conn.id }
    }

    async fn obey(self: &Rc<Self>, mut commands: mpsc::UnboundedReceiver<Command>) {
        let (stopped, mut all_gone) = mpsc::channel::<()>(1);
        let mut stopping = false;
        loop {
            // While the connections end, their orders to each other still have to be obeyed.
            let command = tokio::select! {
                command = commands.recv() => command,
                _ = all_gone.recv() => return,
            };
            let Some(command) = command else { return };
            faults::trip("mqtt-worker");
            match command {
                Command::Accept { .. } if stopping => self.registry.close_socket(),
                Command::Accept { stream, remote } => self.accept(stream, remote),
                Command::TakeOver { conn } => {
                    // One that has gone meanwhile has given its client id back.
                    if let Some(conn) = self.conn(conn) {
                        conn.dismiss(super::codec::reason::TAKEN_OVER);
                    }
                }
                Command::Attach { conn, membership, reply } => {
                    if let Some(conn) = self.conn(conn) {
                        self.attach(&conn, &membership, false);
                    }
                    let _ = reply.send(());
                }
                Command::Detach { conn, flow, reply } => {
                    if let Some(conn) = self.conn(conn) {
                        self.detach(&conn, flow);
                    }
                    let _ = reply.send(());
                }
                Command::Settle { reply } => {
                    let worker = Rc::clone(self);
                    tokio::task::spawn_local(async move {
                        worker.settle().await;
                        let _ = reply.send(());
                    });
                }
                Command::Answer { conn, reply, payload } => {
                    if let Some(conn) = self.conn(conn) {
                        group_requests::send_answer(&conn, &reply, payload);
                    }
                }
                Command::Revoke { seqs, reply } => {
                    self.withheld.revoke(&seqs, std::time::Instant::now());
                    let _ = reply.send(());
                }
                Command::HoldBack { dispatches, reply } => {
                    let _ = reply.send(self.hold_back(&dispatches));
                }
                Command::LetGo { dispatches } => self.withheld.let_go(dispatches.iter().map(|(_, seq)| *seq)),
                Command::Stop { reply } => {
                    stopping = true;
                    let (worker, stopped) = (Rc::clone(self), stopped.clone());
                    tokio::task::spawn_local(async move {
                        worker.stop().await;
                        let _ = reply.send(());
                        let _ = stopped.send(()).await;
                    });
                }
            }
        }
    }

    fn accept(self: &Rc<Self>, stream: std::net::TcpStream, remote: std::net::SocketAddr) {
        let socket = match tokio::net::TcpStream::from_std(stream) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, %remote, "a connection could not be taken");
                self.registry.close_socket();
                return;
            }
        };
        let id = self.next_id.replace(self.next_id.get() + 1);
        let conn = Rc::new(Conn::new(id, remote, socket));
        self.conns.borrow_mut().insert(id, Rc::clone(&conn));
        tokio::task::spawn_local(connection_task::serve(Rc::clone(self), conn));
    }

    /// The connection is gone from all tables.
    pub(super) fn forget(&self, conn: &Conn) {
        if self.conns.borrow_mut().remove(&conn.id).is_some() {
            self.gone.notify_one();
            self.registry.close_socket();
        }
    }

    /// Takes a connection out of whatever still names it, after a fault that kept it from going in good order.
    pub(super) fn purge(&self, conn: &Conn) {
        let at = self.at(conn);
        self.table.borrow_mut().purge(conn.id);
        super::client_messages::remove_wild(self, &[], conn.id);
        self.registry.purge(at);
        self.forget(conn);
    }

    async fn stop(self: &Rc<Self>) {
        let all: Vec<Rc<Conn>> = self.conns.borrow().values().cloned().collect();
        for conn in &all {
            conn.dismiss(super::codec::reason::SHUTTING_DOWN);
        }
        while !self.conns.borrow().is_empty() {
            self.gone.notified().await;
        }
        self.settle().await;
        self.write_seen().await;
    }

    /// The connection serves a flow from now on. `suspicious`: a push may have gone by while the binding was being read.
    pub(super) fn attach(self: &Rc<Self>, conn: &Rc<Conn>, membership: &Membership, suspicious: bool) {
        if conn.is_closing() {
            return;
        }
        // Subscribe first: what is dispatched from here on arrives, and what was dispatched before shows in the heads.
        self.table.borrow_mut().attach(membership.flow, &membership.target, conn);
        let head = membership.head.max(self.gateway.heads().group(membership.flow));
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
            catch_up::kick(self, conn);
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
        let moved = conn.state.borrow().session.as_ref().is_some_and(super::session::Session::has_moved);
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

    async fn write_behind(self: Rc<Self>) {
        loop {
            tokio::time::sleep(self.settings.flush_interval).await;
            faults::trip("mqtt-worker-acknowledge");
            self.settle().await;
            self.write_seen().await;
        }
    }

    /// Keeps what is known of a terminal that comes or goes.
    pub(super) fn note(&self, seen: Option<TerminalSeen>) {
        self.seen.borrow_mut().extend(seen);
    }

    /// Not worth a second try: the next visit says it again.
    async fn write_seen(&self) {
        let seen = self.seen.take();
        if let Err(error) = self.gateway.store().note_terminals(seen).await {
            static FAILED: LogLimit = LogLimit::new(1);
            if let Some(left_out) = FAILED.pass() {
                tracing::warn!(%error, left_out, "what is known of terminals could not be written");
            }
        }
    }

    /// The broker's messages: nothing in here may wait.
    async fn deliver(self: Rc<Self>, mut messages: FeedMessages) {
        loop {
            let message = messages.next().await;
            faults::trip("mqtt-worker-deliver");
            match message {
                Ok(Delivery::Push { parcel, prev }) => self.push(&parcel, prev),
                Ok(Delivery::Watched(parcel)) => self.watch_queue.push(parcel),
                Ok(Delivery::Open(message)) => super::client_messages::deliver(&self, &message),
                Err(_) => return, // The watchdog ends the process.
            }
            // Acknowledgements and pings must not wait for everything that the link has.
            tokio::task::yield_now().await;
        }
    }

    fn push(self: &Rc<Self>, parcel: &Parcel, prev: Seq) {
        let members = {
            let mut table = self.table.borrow_mut();
            if let Target::User(user) = &parcel.target {
                if prev > self.direct_seen.get() {
                    drop(table);
                    self.all_users_fall_behind();
                    table = self.table.borrow_mut();
                }
                self.direct_seen.set(parcel.seq);
                for id in table.users(user) {
                    self.meet(id, parcel.flow);
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
        let mut frames = Frames::new(parcel, self.withheld.is_withheld(parcel.seq));
        let now = Now::read();
        for conn in members.values() {
            let offer = conn.with_session(|session, outbox, socket| {
                (session.offer(&mut frames, outbox, socket, now), session.has_moved())
            });
            match offer {
                Some((Offer::Behind, _)) => catch_up::kick(self, conn),
                Some((Offer::Done, true)) => self.list(conn),
                _ => {}
            }
        }
        if let Some(topic) = self.table.borrow_mut().topic(parcel.flow) {
            topic.members = members;
        }
    }

    /// From here on none of these is sent; answers who has one of them under way. One step: nothing happens in between.
    fn hold_back(&self, dispatches: &[(FlowId, Seq)]) -> Vec<(BindingId, Seq)> {
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

    /// A direct push for a user whose own flow this connection does not serve yet: it was made just now.
    fn meet(self: &Rc<Self>, id: ConnId, flow: FlowId) {
        let Some(conn) = self.conn(id) else { return };
        let knows = conn.state.borrow().session.as_ref().is_some_and(|session| session.serves(flow));
        if !knows {
            self.look_up(&conn);
        }
    }

    /// Reads the user's bindings again, once at a time.
    pub(super) fn look_up(self: &Rc<Self>, conn: &Rc<Conn>) {
        if conn.looking.replace(true) {
            return;
        }
        let (worker, conn) = (Rc::clone(self), Rc::clone(conn));
        tokio::task::spawn_local(async move {
            let _on_panic = CloseOnPanic(Rc::clone(&conn));
            connection_task::look_up(&worker, &conn).await;
            conn.looking.set(false);
        });
    }

    fn all_users_fall_behind(self: &Rc<Self>) {
        let conns: Vec<Rc<Conn>> = self.conns.borrow().values().cloned().collect();
        for conn in conns {
            let own = conn.with_session(|session, _, _| {
                let own = session.own_flow();
                own.into_iter().for_each(|own| session.fall_behind(own));
                (own, session.user.is_some())
            });
            match own {
                Some((Some(_), _)) => catch_up::kick(self, &conn),
                // Its first push ever may be the one that was lost.
                Some((None, true)) => self.look_up(&conn),
                _ => {}
            }
        }
    }

    async fn tick(self: Rc<Self>) {
        loop {
            tokio::time::sleep(TICK).await;
            faults::trip("mqtt-worker-tick");
            self.check_clocks();
            self.withheld.prune(std::time::Instant::now());
            self.check_heads();
        }
    }

    /// Ends connections that are silent, that never said CONNECT, or that stopped acknowledging.
    fn check_clocks(&self) {
        use super::codec::reason;
        let now = std::time::Instant::now();
        let conns: Vec<Rc<Conn>> = self.conns.borrow().values().cloned().collect();
        for conn in conns {
            let close = {
                let state = conn.state.borrow();
                match &state.session {
                    None if now.duration_since(conn.opened) > self.settings.connect_timeout => Some(Close::Gone),
                    None => None,
                    Some(_) if state.keep_alive.is_some_and(|limit| now.duration_since(state.heard) > limit) => {
                        Some(Close::Reason(reason::KEEP_ALIVE_TIMEOUT))
                    }
                    Some(session) => session
                        .stuck_since()
                        .filter(|since| now.duration_since(*since) > self.settings.ack_timeout)
                        .map(|_| Close::Reason(reason::ADMINISTRATIVE)),
                }
            };
            if let Some(close) = close {
                conn.close(close);
            }
        }
    }

    /// Compares what arrived with what was dispatched: the last publish of a topic, lost, would show in nothing else
    /// (docs/ledger.md, rule 11). A difference counts when it is seen twice: at the first look it may be on its way.
    fn check_heads(self: &Rc<Self>) {
        let mut missed = Vec::new();
        for (flow, topic) in self.table.borrow_mut().topics() {
            let head = self.gateway.heads().group(flow);
            if head > topic.seen && (topic.head == head || !topic.live) {
                missed.extend(topic.members.keys().map(|id| (*id, flow, head)));
                topic.seen = head;
            }
            topic.head = head;
        }
        for (id, flow, head) in missed {
            let Some(conn) = self.conn(id) else { continue };
            let behind = conn.with_session(|session, _, _| {
                let behind = session.sent_of(flow).is_some_and(|sent| sent < head);
                if behind {
                    session.fall_behind(flow);
                }
                behind
            });
            if behind == Some(true) {
                catch_up::kick(self, &conn);
            }
        }
        let direct = self.gateway.heads().direct();
        if direct > self.direct_seen.get() && self.direct_head.get() == direct {
            self.direct_seen.set(direct);
            self.all_users_fall_behind();
        }
        self.direct_head.set(direct);
    }
}
