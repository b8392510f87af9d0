//! A worker's thread: its tasks, and the orders that other threads give it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::codec::reason;
use super::connection::{Arrival, Conn};
use super::directory::Registry;
use super::orders::{Command, Layers};
use super::session::Session;
use super::transport::Transport;
use super::worker::Worker;
use super::{Settings, connection_task, fan_out, feed_follower, group_requests, keep_alive, trace_topics};
use crate::broker::Feed;
use crate::caller::Login;
use crate::clock::{self, Millis};
use crate::faults;
use crate::gateway::{Gateway, InSight};
use crate::ids::UserId;
use crate::parcel::DispatchId;
use crate::store::SignedIn;
use crate::supervision::{Health, Part};

const TICK: Duration = Duration::from_secs(1);

/// A worker's thread and its tasks, as parts of the process's health.
#[derive(Debug)]
pub(super) struct Parts {
    worker: Part,
    deliver: Part,
    acknowledge: Part,
    follow: Part,
    tick: Part,
    watch: Part,
    trace: Part,
}

impl Parts {
    pub(super) fn new(health: &Health, number: usize) -> Self {
        let part = |name: &str| health.part(format!("mqtt-worker-{number}{name}"));
        Self {
            worker: part(""),
            deliver: part("-deliver"),
            acknowledge: part("-acknowledge"),
            follow: part("-follow"),
            tick: part("-tick"),
            watch: part("-watch"),
            trace: part("-trace"),
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
    settings: Settings,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (wants, messages) = feed.split();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let worker = Rc::new(Worker::new(number, wants, gateway, registry, settings));
        spawn_part(parts.deliver, fan_out::deliver(Rc::clone(&worker), messages));
        spawn_part(parts.acknowledge, write_behind(Rc::clone(&worker)));
        spawn_part(parts.follow, feed_follower::follow(Rc::clone(&worker)));
        spawn_part(parts.tick, tick(Rc::clone(&worker)));
        spawn_part(parts.watch, fan_out::show_to_watchers(Rc::clone(&worker)));
        spawn_part(parts.trace, trace_topics::show(Rc::clone(&worker)));
        obey(&worker, commands).await;
        drop(parts.worker);
    });
    Ok(())
}

async fn obey(worker: &Rc<Worker>, mut commands: mpsc::UnboundedReceiver<Command>) {
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
        faults::hang("mqtt-worker-hangs");
        match command {
            Command::Accept { remote, .. } if stopping => worker.registry.close_socket(remote.ip()),
            Command::Accept { stream, remote, layers, arrival } => accept(worker, stream, remote, layers, arrival),
            Command::TakeOver { conn } => {
                // One that has gone meanwhile has given its client id back.
                if let Some(conn) = worker.conn(conn) {
                    conn.dismiss(reason::TAKEN_OVER);
                }
            }
            Command::Settle { reply } => {
                let worker = Rc::clone(worker);
                tokio::task::spawn_local(async move {
                    worker.settle().await;
                    let _ = reply.send(());
                });
            }
            Command::SignOut { login, reply } => {
                sign_out(worker, &login);
                let _ = reply.send(());
            }
            Command::Answer { conn, reply, payload } => {
                if let Some(conn) = worker.conn(conn) {
                    group_requests::send_answer(&conn, &reply, payload);
                }
            }
            Command::Disconnect { user, client, reply } => {
                let _ = reply.send(disconnect(worker, &user, client.as_deref()));
            }
            Command::Look { whom, reply } => look_and_reply(worker, whom, reply),
            Command::Unanswered { users, reply } => {
                let _ = reply.send(unanswered(worker, &users));
            }
            Command::Follow { settings } => worker.follow(*settings),
            Command::Stop { reply } => {
                stopping = true;
                let (worker, stopped) = (Rc::clone(worker), stopped.clone());
                tokio::task::spawn_local(async move {
                    stop(&worker).await;
                    let _ = reply.send(());
                    let _ = stopped.send(()).await;
                });
            }
        }
    }
}

/// A socket becomes a connection with a task of its own.
fn accept(worker: &Rc<Worker>, stream: std::net::TcpStream, remote: SocketAddr, layers: Layers, arrival: Arrival) {
    let Some(socket) = transport(worker, stream, remote, layers) else {
        return worker.registry.close_socket(remote.ip());
    };
    let conn = worker.take_in(socket, remote, arrival);
    tokio::task::spawn_local(connection_task::serve(Rc::clone(worker), conn));
}

/// The socket as this worker's runtime has it, with what its listener has above it.
fn transport(worker: &Worker, stream: std::net::TcpStream, remote: SocketAddr, layers: Layers) -> Option<Transport> {
    let socket = tokio::net::TcpStream::from_std(stream)
        .map_err(|error| tracing::warn!(%error, %remote, "a connection could not be taken"))
        .ok()?;
    match layers {
        Layers::None => Some(Transport::new(socket, None)),
        Layers::Tls(config) => {
            let session = rustls::ServerConnection::new(config)
                .map_err(|error| tracing::warn!(%error, %remote, "a TLS connection could not begin"));
            Some(Transport::new(socket, Some(session.ok()?)))
        }
        Layers::WebSocket { tls, read } => {
            let below = Transport::new(socket, tls.map(|session| *session));
            Some(below.websocket(&read, worker.settings().max_connect))
        }
    }
}

/// An operator has asked for it. What the connections have said until now counts.
fn disconnect(worker: &Worker, user: &UserId, client: Option<&str>) -> usize {
    let is_meant = |conn: &Rc<Conn>| {
        let state = conn.state.borrow();
        let session = state.session.as_ref();
        session.is_some_and(|session| client.is_none_or(|client| session.client_id == client))
    };
    let meant: Vec<Rc<Conn>> = worker.connections(user).into_iter().filter(is_meant).collect();
    meant.iter().for_each(|conn| conn.dismiss(reason::ADMINISTRATIVE));
    meant.len()
}

/// Users that are looked up before others have their turn.
const LOOK: usize = 500;

/// A task of its own: it may be about very many users.
fn look_and_reply(worker: &Rc<Worker>, whom: Arc<[(UserId, DispatchId)]>, reply: oneshot::Sender<Sights>) {
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        let _ = reply.send(look(&worker, &whom).await);
    });
}

type Sights = Vec<((UserId, DispatchId), InSight)>;

/// Who of these users has this push under way, and since when, or another one that keeps it waiting.
async fn look(worker: &Worker, whom: &[(UserId, DispatchId)]) -> Sights {
    let (now, clock) = (Instant::now(), clock::now());
    let at = |since: Instant| {
        let ago = now.saturating_duration_since(since).as_millis();
        clock.saturating_sub(Millis::try_from(ago).unwrap_or(Millis::MAX))
    };
    let mut found = Vec::new();
    for (number, (user, id)) in whom.iter().enumerate() {
        if number % LOOK == LOOK - 1 {
            tokio::task::yield_now().await;
        }
        let mut seen = InSight::default();
        for conn in worker.connections(user) {
            let state = conn.state.borrow();
            let Some(session) = &state.session else { continue };
            if let Some((since, times)) = session.sent_at(*id) {
                seen.sent_at = seen.sent_at.max(Some(at(since)));
                seen.times += times;
            }
            seen.oldest = seen.oldest.or(session.oldest_push());
        }
        if seen != InSight::default() {
            found.push(((user.clone(), *id), seen));
        }
    }
    found
}

/// Since when those of these users who have not answered a push have not.
fn unanswered(worker: &Worker, users: &[UserId]) -> Vec<(UserId, Millis)> {
    let now = Instant::now();
    let mut found = Vec::new();
    for user in users {
        let of_one = |conn: Rc<Conn>| conn.state.borrow().session.as_ref().and_then(Session::unanswered_since);
        if let Some(since) = worker.connections(user).into_iter().filter_map(of_one).min() {
            let ago = now.saturating_duration_since(since).as_millis();
            found.push((user.clone(), clock::now().saturating_sub(Millis::try_from(ago).unwrap_or(Millis::MAX))));
        }
    }
    found
}

/// A credential is one no more.
fn sign_out(worker: &Worker, login: &Login) {
    for conn in worker.all_conns() {
        let is_its = |signed_in: &SignedIn| {
            let is_token = login.hash.is_none_or(|hash| hash == signed_in.hash);
            let is_name = login.name.as_ref().is_none_or(|name| *name == signed_in.name);
            signed_in.kind == login.kind && is_name && is_token
        };
        let ends = conn.state.borrow().signed_in.as_deref().is_some_and(is_its);
        if ends {
            conn.dismiss(reason::NOT_AUTHORIZED);
        }
    }
}

async fn stop(worker: &Worker) {
    for conn in worker.all_conns() {
        conn.dismiss(reason::SHUTTING_DOWN);
    }
    worker.until_empty().await;
    worker.settle().await;
    worker.write_seen().await;
    worker.tally.hand_over();
}

async fn write_behind(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(worker.settings().flush_interval).await;
        faults::trip("mqtt-worker-acknowledge");
        worker.settle().await;
        worker.write_seen().await;
    }
}

async fn tick(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(TICK).await;
        faults::trip("mqtt-worker-tick");
        keep_alive::check_clocks(&worker);
        worker.tally.hand_over();
        worker.withheld.prune(Instant::now());
    }
}
