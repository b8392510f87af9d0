//! The MQTT side, and the only thing a terminal ever talks to. It guards (no byte a terminal sends reaches the
//! broker unchecked) and delivers (packet ids, window, retransmission, keep-alive and acknowledgements are its own).
//!
//! From the ground up; no file imports one that stands above it.
//!
//! | file | job |
//! | --- | --- |
//! | [`codec`], [`publish_frame`], [`shared_frames`], [`topic_filters`], [`acl`], [`client_publish`] | bytes, names, and who may use which topics |
//! | [`session`], [`delivery_cursor`], [`inflight_window`], [`paused_deliveries`] | delivery to one client: the one rule, the cursor, QoS 1, what is taken back |
//! | [`connection_id`], [`take_over`], [`detached_sessions`], [`unanswered_pushes`], [`wills`], [`orders`], [`directory`] | what the workers share: who has which client id and which user |
//! | [`connection`], [`transport`], [`send_buffer`], [`routes`], [`wildcard_watch`], [`flush`], [`feed_position`], [`worker`] | a worker's state: its connections, who wants what, what is to be written down |
//! | [`catch_up`], [`attach`], [`client_messages`], [`subscribe`], [`group_requests`], [`answer_size`] | what connections and packets ask for |
//! | [`connect`], [`sign_in`], [`connect_refusal`], [`packets`], [`set_aside`], [`connection_task`] | one connection: its CONNECT, who it is, its packets, what it cannot take, its task |
//! | [`fan_out`], [`feed_follower`], [`missed_pushes`], [`keep_alive`], [`run`] | a worker's thread: pushes from the broker, what happened elsewhere, what the broker lost, time, orders from outside |

mod acl;
mod answer_size;
mod attach;
mod catch_up;
mod client_messages;
mod client_publish;
mod codec;
mod connect;
mod connect_refusal;
mod connection;
mod connection_events;
mod connection_id;
mod connection_task;
mod delivery_cursor;
mod detached_sessions;
mod directory;
mod fan_out;
mod feed_follower;
mod feed_position;
mod flush;
mod group_requests;
mod inflight_window;
mod keep_alive;
mod missed_pushes;
#[cfg(test)]
mod model;
mod orders;
mod packets;
mod paused_deliveries;
mod publish_frame;
mod routes;
mod run;
mod send_buffer;
mod session;
mod set_aside;
mod shared_frames;
mod sign_in;
mod subscribe;
mod take_over;
mod tally;
mod topic_filters;
mod trace_readers;
mod trace_topics;
mod transport;
mod unanswered_pushes;
mod wildcard_watch;
mod wills;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, Publisher};
use crate::config::{ClientName, Config, UserIdFrom};
use crate::faults;
use crate::gateway::Gateway;
use crate::listeners::{Accepted, Listeners, Upgraded};
use crate::log_limit::LogLimit;
use crate::rate_limit::Rate;
use crate::supervision::Health;
use acl::Acl;
use connection::Arrival;
use directory::{Bounds, Registry};
use orders::{Command, Layers};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Broker(#[from] crate::broker::Error),
    #[error("an MQTT worker cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// What the configuration says about the MQTT side. A worker has it of its own, and gets it anew when it is read again.
#[derive(Debug, Clone)]
struct Settings {
    connect_timeout: Duration,
    max_packet: usize,
    /// Bytes of a CONNECT: nobody knows yet who sends it.
    max_connect: usize,
    /// Bytes of a topic, a filter or a Response Topic.
    max_topic: usize,
    /// Connections of one user that may wait for their session to begin.
    max_waiting: usize,
    user_id: UserIdFrom,
    client_name: ClientName,
    /// Group requests of one connection.
    requests: Rate,
    inflight: u16,
    ack_timeout: Duration,
    /// A push that ended so many connections in a row is set aside.
    poison_after: u32,
    /// Milliseconds.
    max_session_expiry: i64,
    max_subscriptions: usize,
    /// Stored sessions of one user.
    max_sessions: u32,
    flush_interval: Duration,
    acl: Acl,
    publisher: Publisher,
}

impl Settings {
    fn of(config: &Config, publisher: Publisher) -> Self {
        Self {
            connect_timeout: config.mqtt.connect_timeout,
            max_packet: config.mqtt.max_packet,
            max_connect: config.mqtt.max_connect.min(config.mqtt.max_packet),
            max_topic: config.mqtt.max_topic,
            max_waiting: config.mqtt.max_waiting,
            user_id: config.mqtt.user_id,
            client_name: config.tls.client_name,
            requests: Rate { most: config.mqtt.max_requests_per_minute, window: Duration::from_secs(60) },
            inflight: config.mqtt.inflight,
            ack_timeout: config.mqtt.ack_timeout,
            poison_after: config.mqtt.poison_after,
            max_session_expiry: i64::try_from(config.mqtt.max_session_expiry.as_millis()).unwrap_or(i64::MAX),
            max_subscriptions: config.mqtt.max_subscriptions,
            max_sessions: config.mqtt.max_sessions_per_user,
            flush_interval: config.store.flush_interval,
            acl: Acl::new(&config.acl),
            publisher,
        }
    }
}

fn bounds(config: &Config) -> Bounds {
    Bounds {
        connections: config.mqtt.max_connections,
        of_address: config.mqtt.max_connections_per_address,
        of_user: config.mqtt.max_connections_per_user,
        connects: config.mqtt.max_connects_per_minute,
        unfinished: config.mqtt.max_unfinished,
        wills: config.mqtt.max_wills,
        watchers: config.mqtt.max_watchers,
    }
}

/// How many workers the configuration asks for.
#[must_use]
pub fn worker_count(config: &Config) -> usize {
    match config.mqtt.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

/// The workers and what they share.
#[derive(Debug)]
pub struct Server {
    registry: Arc<Registry>,
    workers: usize,
    keepalive: TcpKeepalive,
    publisher: Publisher,
    gateway: Arc<Gateway>,
}

/// Lines that anybody can cause: a few a minute, the rest is counted.
static NOT_ACCEPTED: LogLimit = LogLimit::new(2);

/// Connections that may have been accepted without having been looked at.
const ARRIVALS: usize = 256;

/// A socket that is to become a connection.
struct Newcomer {
    stream: std::net::TcpStream,
    remote: SocketAddr,
    layers: Layers,
}

async fn accept_one(
    listeners: &Listeners,
    upgrades: &mut mpsc::Receiver<Upgraded>,
    arrivals: &Arc<Semaphore>,
) -> std::io::Result<(Newcomer, Arrival)> {
    // Never closed.
    let arrival = Arc::clone(arrivals).acquire_owned().await.map_err(std::io::Error::other)?;
    let newcomer = tokio::select! {
        accepted = listeners.accept() => {
            let Accepted { stream, remote, tls } = accepted?;
            let layers = tls.map_or(Layers::None, |tls| Layers::Tls(tls.config()));
            Newcomer { stream: stream.into_std()?, remote, layers }
        }
        Some(Upgraded { stream, remote, tls, read }) = upgrades.recv() => {
            Newcomer { stream, remote, layers: Layers::WebSocket { tls: tls.map(Box::new), read } }
        }
    };
    Ok((newcomer, arrival))
}

/// Questions of TCP keep-alive that may stay without an answer, and what they follow each other in.
const QUESTIONS: u32 = 3;
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(10);

impl Server {
    /// Starts the workers; sockets come from [`Server::accept`].
    pub fn start(config: &Config, broker: &Broker, gateway: &Arc<Gateway>, health: &Health) -> Result<Self, Error> {
        let count = worker_count(config);
        let settings = Settings::of(config, broker.publisher());
        let (handles, queues): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let registry = Arc::new(Registry::new(handles, bounds(config)));
        for (number, commands) in queues.into_iter().enumerate() {
            let feed = broker.feed(number)?;
            let (gateway, registry, settings) = (Arc::clone(gateway), Arc::clone(&registry), settings.clone());
            let parts = run::Parts::new(health, number);
            std::thread::Builder::new().name(format!("mqtt-worker-{number}")).spawn(move || {
                if let Err(error) = run::run(number, parts, feed, commands, gateway, registry, settings) {
                    tracing::error!(%error, worker = number, "an MQTT worker could not start");
                }
            })?;
        }
        gateway.set_terminals(Arc::clone(&registry) as Arc<dyn crate::gateway::Terminals>);
        let keepalive = TcpKeepalive::new()
            .with_time(config.mqtt.tcp_keepalive)
            .with_interval(BETWEEN_QUESTIONS.min(config.mqtt.tcp_keepalive))
            .with_retries(QUESTIONS);
        Ok(Self { registry, workers: count, keepalive, publisher: broker.publisher(), gateway: Arc::clone(gateway) })
    }

    /// From now on what this configuration says holds, but for addresses, workers and TCP keep-alive.
    pub fn follow(&self, config: &Config) {
        self.registry.follow(bounds(config), &Settings::of(config, self.publisher.clone()));
    }

    /// Takes connections until told to stop. A socket stays with the worker that gets it.
    pub async fn accept(&self, listeners: Listeners, mut upgrades: mpsc::Receiver<Upgraded>, stop: CancellationToken) {
        let mut next = 0;
        let arrivals = Arc::new(Semaphore::new(ARRIVALS));
        loop {
            let accepted = tokio::select! {
                accepted = accept_one(&listeners, &mut upgrades, &arrivals) => accepted,
                () = stop.cancelled() => return,
            };
            faults::trip("mqtt-accept");
            match accepted {
                Ok((newcomer, arrival)) => {
                    self.hand_over(next, newcomer, arrival);
                    next = (next + 1) % self.workers;
                }
                Err(error) => {
                    // Out of file descriptors, most likely: nothing to do but let some close.
                    if let Some(left_out) = NOT_ACCEPTED.pass() {
                        tracing::warn!(%error, left_out, "a connection could not be accepted");
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Takes a connection that came another way than by a listener.
    pub async fn adopt(&self, stream: std::net::TcpStream, remote: SocketAddr) -> std::io::Result<()> {
        let arrival = Arc::new(Semaphore::new(1)).acquire_owned().await.map_err(std::io::Error::other)?;
        self.hand_over(0, Newcomer { stream, remote, layers: Layers::None }, arrival);
        Ok(())
    }

    fn hand_over(&self, worker: usize, newcomer: Newcomer, arrival: Arrival) {
        let Newcomer { stream, remote, layers } = newcomer;
        if let Err(key) = self.registry.open_socket(remote.ip()) {
            self.gateway.over_limit(key, remote);
            return;
        }
        let _ = stream.set_nodelay(true);
        if let Err(error) = SockRef::from(&stream).set_tcp_keepalive(&self.keepalive) {
            tracing::debug!(%error, %remote, "TCP keep-alive could not be set");
        }
        self.registry.send(worker, Command::Accept { stream, remote, layers, arrival });
    }

    /// Connections that watch with wildcards, or what happens to groups.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.registry.watcher_count()
    }

    /// Returns when every worker has answered.
    pub async fn ask_workers(&self) {
        self.registry.ask_workers().await;
    }

    /// Closes all connections; what they acknowledged is stored when this returns.
    pub async fn stop(&self) {
        self.registry.stop().await;
    }
}
