//! The only place that knows everything: configuration in, bound addresses out, then running until told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{self, Broker, Watchdog};
use crate::clock;
use crate::config::Config;
use crate::door::{self, Door};
use crate::gateway::{self, Gateway, Heads};
use crate::http::{self, Readiness};
use crate::store::Store;

/// All of the stop has to happen within this.
const GRACE: Duration = Duration::from_secs(10);

/// A gateway whose listeners are bound and whose store is open.
#[derive(Debug)]
pub struct App {
    addresses: Addresses,
    http: TcpListener,
    mqtt: TcpListener,
    config: Config,
    store: Store,
    gateway: Arc<Gateway>,
    door: Arc<Door>,
    watchdog: Watchdog,
}

/// The addresses actually bound.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Addresses {
    pub http: SocketAddr,
    pub mqtt: SocketAddr,
}

impl App {
    /// Opens the store and binds every listener; nothing is served yet.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        // Listeners first: an address in use is the first error.
        let http = bind("http.listen", config.http.listen)?;
        let mqtt = bind("mqtt.listen", config.mqtt.listen)?;
        let addresses = Addresses { http: http.local_addr()?, mqtt: mqtt.local_addr()? };
        raise_file_limit(&config);
        let settings = broker::Settings {
            max_topics: config.broker.max_topics,
            segment_size: config.broker.segment_size,
            segment_count: config.broker.segment_count,
            feeds: door::worker_count(&config),
        };
        let (broker, watchdog) = Broker::start(settings)?;
        let heads = Arc::new(Heads::default());
        let observer = gateway::announce(Arc::clone(&heads), broker.publisher());
        let store = Store::open(&config.store.path, config.store.readers, observer)?;
        let ended = store.begin_sessions(clock::now()).await.with_context(|| {
            format!("{}: sessions of the last process cannot be ended", config.store.path.display())
        })?;
        if ended > 0 {
            tracing::info!(sessions = ended, "sessions that ended with the last process were cleared");
        }
        let gateway = Arc::new(Gateway::new(store.clone(), heads, &config));
        let door = Arc::new(Door::start(&config, &broker, &gateway)?);
        Ok(Self { addresses, http, mqtt, config, store, gateway, door, watchdog })
    }

    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `stop`, then drains. An error: a part that must not end has ended, or the drain took too long.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let readiness = Readiness::default();
        // Before anything is answered: whoever has read the ready line finds it so.
        readiness.set(true);
        let router = http::router(Arc::clone(&self.gateway), readiness.clone(), &self.config);
        let intake = CancellationToken::new();
        let tracker = TaskTracker::new();
        let http_stop = http::Stop { begin: intake.clone(), end: CancellationToken::new() };
        let http = tracker.spawn(http::serve(self.http, router, self.config.http, http_stop.clone()));
        let door = Arc::clone(&self.door);
        let accept_stop = intake.clone();
        let mqtt = tracker.spawn(async move { door.accept(self.mqtt, accept_stop).await });
        let gateway = Arc::clone(&self.gateway);
        let (notifier, notify_stop) = (Arc::clone(&self.gateway), intake.clone());
        let notify = tracker.spawn(notifier.notify_initiators(notify_stop));
        let house_stop = intake.clone();
        let house = tracker.spawn(async move { gateway.keep_house(house_stop).await });
        let (punctual, clock_stop) = (Arc::clone(&self.gateway), intake.clone());
        let clock = tracker.spawn(async move { punctual.keep_time(clock_stop).await });
        let (forgetful, forget_stop) = (Arc::clone(&self.gateway), intake.clone());
        let retention = tracker.spawn(async move { forgetful.forget_old(forget_stop).await });
        let failure = tokio::select! {
            () = stop.cancelled() => None,
            died = self.watchdog.died() => Some(anyhow::Error::new(died)),
            _ = http => Some(anyhow::anyhow!("the HTTP server has ended")),
            _ = mqtt => Some(anyhow::anyhow!("the MQTT listener has ended")),
            _ = notify => Some(anyhow::anyhow!("the sending of notifications has ended")),
            _ = house => Some(anyhow::anyhow!("the housekeeping has ended")),
            _ = clock => Some(anyhow::anyhow!("the clock of pushes has ended")),
            _ = retention => Some(anyhow::anyhow!("the forgetting of old pushes has ended")),
        };
        readiness.set(false);
        intake.cancel();
        tracker.close();
        let drained = tokio::time::timeout(GRACE, drain(&tracker, &self.door, &http_stop, &self.store)).await;
        match (failure, drained) {
            (Some(failure), _) => Err(failure),
            (None, Ok(())) => Ok(()),
            (None, Err(_)) => Err(anyhow::anyhow!("stopping took longer than {} seconds", GRACE.as_secs())),
        }
    }
}

/// Requests that are under way finish, terminals are told, what they acknowledged is stored, the store is closed.
async fn drain(tracker: &TaskTracker, door: &Door, http: &http::Stop, store: &Store) {
    door.stop().await;
    http.end.cancel();
    tracker.wait().await;
    let store = store.clone();
    let _ = tokio::task::spawn_blocking(move || store.close()).await;
}

/// Connections that may wait to be accepted: a fleet that reconnects at once. The system's default of 128 would make
/// most of it wait a second for its next try.
const BACKLOG: u32 = 4_096;

fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| format!("{key}: cannot listen on {address}"))
}

/// One file descriptor for each connection: as many as the system gives.
fn raise_file_limit(config: &Config) {
    let wanted = (config.mqtt.max_connections + config.http.max_connections + 256) as u64;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(got) if got < wanted => {
            tracing::info!(files = got, wanted, "the limit on open files is lower than the limit on connections");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit on open files could not be raised"),
    }
}
