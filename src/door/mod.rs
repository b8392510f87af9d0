//! The door: the MQTT side, and the only thing a terminal ever talks to. It guards (no byte a terminal sends reaches the
//! broker unchecked) and delivers (packet ids, window, retransmission, keep-alive and acknowledgements are its own).
//!
//! | file | job |
//! | --- | --- |
//! | [`worker`] | a thread and its connections; orders from outside, pushes from the broker |
//! | [`serve`], [`conn`], [`outbox`] | one connection: its task, its state, what its socket has not taken |
//! | [`connect`], [`packets`], [`subscribe`], [`control`], [`open`] | what packets do |
//! | [`session`], [`flow`], [`window`], [`pump`], [`withheld`] | delivery: the one rule, the cursor, QoS 1, catching up, what is taken back |
//! | [`wire`], [`frame`], [`frames`], [`topics`], [`acl`] | bytes and names |
//! | [`table`], [`registry`] | who wants what: within a worker, and between workers |

mod acl;
mod conn;
mod connect;
mod control;
mod flow;
mod frame;
mod frames;
#[cfg(test)]
mod model;
mod open;
mod outbox;
mod packets;
mod pump;
mod registry;
mod serve;
mod session;
mod subscribe;
mod table;
mod topics;
mod window;
mod wire;
mod withheld;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, Publisher};
use crate::config::Config;
use crate::gateway::Gateway;
use acl::Acl;
use registry::{Command, Registry};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Broker(#[from] crate::broker::Error),
    #[error("a door worker cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// What the configuration says about the MQTT side.
#[derive(Debug)]
struct Settings {
    connect_timeout: Duration,
    max_packet: usize,
    inflight: u16,
    ack_timeout: Duration,
    /// Milliseconds.
    max_session_expiry: i64,
    max_subscriptions: usize,
    flush_interval: Duration,
    acl: Acl,
    publisher: Publisher,
}

/// How many workers the configuration asks for.
#[must_use]
pub fn worker_count(config: &Config) -> usize {
    match config.mqtt.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

/// The door's workers.
#[derive(Debug)]
pub struct Door {
    registry: Arc<Registry>,
    workers: usize,
}

impl Door {
    /// Starts the workers; sockets come from [`Door::accept`].
    pub fn start(config: &Config, broker: &Broker, gateway: &Arc<Gateway>) -> Result<Self, Error> {
        let count = worker_count(config);
        let settings = Arc::new(Settings {
            connect_timeout: config.mqtt.connect_timeout,
            max_packet: config.mqtt.max_packet,
            inflight: config.mqtt.inflight,
            ack_timeout: config.mqtt.ack_timeout,
            max_session_expiry: i64::try_from(config.mqtt.max_session_expiry.as_millis()).unwrap_or(i64::MAX),
            max_subscriptions: config.mqtt.max_subscriptions,
            flush_interval: config.store.flush_interval,
            acl: Acl::new(&config.acl),
            publisher: broker.publisher(),
        });
        let (handles, queues): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let registry = Arc::new(Registry::new(handles, config.mqtt.max_connections));
        for (number, commands) in queues.into_iter().enumerate() {
            let feed = broker.feed(number)?;
            let (gateway, registry, settings) = (Arc::clone(gateway), Arc::clone(&registry), Arc::clone(&settings));
            std::thread::Builder::new().name(format!("door-{number}")).spawn(move || {
                if let Err(error) = worker::run(number, feed, commands, gateway, registry, settings) {
                    tracing::error!(%error, worker = number, "a door worker could not start");
                }
            })?;
        }
        gateway.set_terminals(Arc::clone(&registry) as Arc<dyn crate::gateway::Terminals>);
        Ok(Self { registry, workers: count })
    }

    /// Takes connections until told to stop. A socket stays with the worker that gets it.
    pub async fn accept(&self, listener: TcpListener, stop: CancellationToken) {
        let mut next = 0;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, remote)) => {
                    self.hand_over(next, stream, remote);
                    next = (next + 1) % self.workers;
                }
                Err(error) => {
                    // Out of file descriptors, most likely: nothing to do but let some close.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn hand_over(&self, worker: usize, stream: tokio::net::TcpStream, remote: SocketAddr) {
        if !self.registry.open_socket() {
            tracing::warn!(%remote, "too many MQTT connections (mqtt.max_connections): one was turned away");
            return;
        }
        let _ = stream.set_nodelay(true);
        match stream.into_std() {
            Ok(stream) => self.registry.send(worker, Command::Accept { stream, remote }),
            Err(error) => {
                tracing::warn!(%error, %remote, "a connection could not be handed over");
                self.registry.close_socket();
            }
        }
    }

    /// Closes all connections; what they acknowledged is stored when this returns.
    pub async fn stop(&self) {
        self.registry.stop().await;
    }
}
