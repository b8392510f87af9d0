//! The only place that knows everything: configuration in, bound addresses out, then running until told to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::{self, Broker, Publisher, Watchdog};
use crate::canary;
use crate::clock;
use crate::config::Config;
use crate::control;
use crate::credentials::Credentials;
use crate::entrances::Entrances;
use crate::feed::Feed;
use crate::gateway::{self, Gateway};
use crate::http::{self, Live, Readiness, Site};
use crate::listeners::Upgraded;
use crate::liveness::Liveness;
use crate::mqtt;
use crate::open_files;
use crate::reload::{Load, Reloader, Running};
use crate::signals::{self, Signals};
use crate::store::{Event, Store};
use crate::supervision::Health;
use crate::tls::Certificates;

/// All of the stop has to happen within this.
const GRACE: Duration = Duration::from_secs(10);
/// The same where a part has ended: what depends on it would wait in vain.
const FAILED_GRACE: Duration = Duration::from_secs(3);
/// So long the answer of `/healthz` says which part has ended before the process follows it.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// A gateway whose listeners are bound and whose store is open.
#[derive(Debug)]
pub struct App {
    entrances: Entrances,
    reloader: Reloader,
    control: Option<control::Listener>,
    config: Config,
    store: Store,
    gateway: Arc<Gateway>,
    readiness: Readiness,
    lives: Lives,
    upgraded: Receiver<Upgraded>,
    mqtt: Arc<mqtt::Server>,
    publisher: Publisher,
    watchdog: Watchdog,
    health: Health,
}

/// What each kind of HTTP port serves.
#[derive(Debug)]
struct Lives {
    http: Arc<Live>,
    websocket: Arc<Live>,
    metrics: Arc<Live>,
}

impl App {
    /// Opens the store and binds every listener; nothing is served yet.
    /// `load` reads the configuration again, when that is asked for.
    pub async fn build(config: Config, load: Load) -> anyhow::Result<Self> {
        // Listeners first: an address in use is the first error.
        let certificates = Certificates::load(&config.tls)?.map(Arc::new);
        let entrances = Entrances::open(&config, certificates.as_ref())?;
        open_files::raise_limit(&config);
        let health = Health::default();
        let settings = broker::Settings {
            max_topics: config.broker.max_topics,
            segment_size: config.broker.segment_size,
            segment_count: config.broker.segment_count,
            feeds: mqtt::worker_count(&config),
        };
        let (broker, watchdog) = Broker::start(settings, &health)?;
        let feed = Feed::default();
        let signals = Arc::new(Signals::new(bounds(&config)));
        let observer = gateway::announce(feed.clone(), broker.publisher(), Arc::clone(&signals));
        let store = open_store(&config, &health, observer, &signals).await?;
        let credentials = Credentials::open(&store).await.context("the key of the credentials cannot be read")?;
        let gateway = Arc::new(Gateway::new(store.clone(), feed, credentials, Arc::clone(&signals), &config)?);
        let control = control::Listener::bind(&config.store.path)
            .inspect_err(
                |error| tracing::warn!(%error, "commands that look after credentials need the gateway to be stopped"),
            )
            .ok();
        let mqtt = Arc::new(mqtt::Server::start(&config, &broker, &gateway, &health)?);
        let readiness = Readiness::new(store.clone(), watchdog.pulse(), health.clone());
        let (upgrades, upgraded) = tokio::sync::mpsc::channel(UPGRADES);
        let site = Site::new(Arc::clone(&gateway), readiness.clone(), Arc::clone(&signals), upgrades.clone());
        let live = |router| Arc::new(Live::new(router, &config.http, &signals));
        let lives = Lives {
            http: live(http::router(&site, &config)),
            websocket: live(http::websocket_router(upgrades, config.auth.mode)),
            metrics: live(http::metrics_router(&signals)),
        };
        let running = Running {
            gateway: Arc::clone(&gateway),
            mqtt: Arc::clone(&mqtt),
            site,
            http: Arc::clone(&lives.http),
            lives: vec![Arc::clone(&lives.http), Arc::clone(&lives.websocket), Arc::clone(&lives.metrics)],
            certificates,
        };
        let reloader = Reloader::new(load, running, config.clone());
        Ok(Self {
            entrances,
            reloader,
            control,
            config,
            store,
            gateway,
            readiness,
            lives,
            upgraded,
            mqtt,
            publisher: broker.publisher(),
            watchdog,
            health,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn entrances(&self) -> &Entrances {
        &self.entrances
    }

    /// Whether it hangs.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        Liveness::new(self.watchdog.pulse(), Arc::clone(&self.mqtt))
    }

    /// What can be read again while it runs.
    #[must_use]
    pub fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// Serves until `stop`, then drains. An error: a part that must not end has ended, or the drain took too long.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        // Before anything is answered: whoever has read the ready line finds it so.
        self.readiness.set(true);
        let intake = CancellationToken::new();
        let tasks = Tasks { tracker: TaskTracker::new(), health: self.health.clone() };
        let http_stop = http::Stop { begin: intake.clone(), end: CancellationToken::new() };
        let Entrances { http, mqtt, websocket, metrics, .. } = self.entrances;
        let http = [
            ("http", http, self.lives.http),
            ("mqtt-websocket", websocket, self.lives.websocket),
            ("metrics", metrics, self.lives.metrics),
        ];
        for (part, listeners, live) in http.into_iter().filter(|(_, listeners, _)| !listeners.is_empty()) {
            tasks.spawn(part, http::serve(listeners, live, self.config.tls.client_name, http_stop.clone()));
        }
        let (server, accept_stop, upgraded) = (Arc::clone(&self.mqtt), intake.clone(), self.upgraded);
        tasks.spawn("mqtt-accept", async move { server.accept(mqtt, upgraded, accept_stop).await });
        if let Some(control) = self.control {
            tasks.spawn("control", control.serve(Arc::clone(&self.gateway), self.reloader.clone(), intake.clone()));
        }
        tasks.spawn_gateway(&self.gateway, &intake);
        tasks.spawn_gauges(&self.gateway, self.publisher, Arc::clone(&self.mqtt), intake.clone());
        let every = self.config.canary.every;
        if !every.is_zero() {
            let (gateway, server, canary_stop) = (Arc::clone(&self.gateway), Arc::clone(&self.mqtt), intake.clone());
            tasks.spawn("canary", canary::run(gateway, server, every, canary_stop));
        }
        tasks.spawn("files", watch_files(self.reloader.clone(), intake.clone()));
        let (watchdog, watch_stop) = (self.watchdog, intake.clone());
        tasks.spawn("router", async move {
            if let Some(died) = watch_stop.run_until_cancelled(watchdog.died()).await {
                tracing::error!(%died, "the embedded broker is watched no longer");
            }
        });
        let failed = tokio::select! {
            () = stop.cancelled() => None,
            part = self.health.first_end() => Some(part),
        };
        self.readiness.set(false);
        if let Some(part) = &failed {
            tracing::error!(part, "a part of the gateway has ended; the gateway stops");
            tokio::time::sleep(LAST_LOOK).await;
        }
        self.health.stopping();
        intake.cancel();
        tasks.tracker.close();
        let grace = if failed.is_some() { FAILED_GRACE } else { GRACE };
        let drained = tokio::time::timeout(
            grace,
            drain(&tasks.tracker, &self.mqtt, &http_stop, &self.store, self.gateway.signals()),
        )
        .await;
        match (failed, drained) {
            (Some(part), _) => {
                Err(anyhow::anyhow!("{part} has ended, which it must not: the log says why; start papcast again"))
            }
            (None, Ok(())) => Ok(()),
            (None, Err(_)) => Err(anyhow::anyhow!("stopping took longer than {} seconds", GRACE.as_secs())),
        }
    }
}

/// How much of what happens is kept in memory.
fn bounds(config: &Config) -> signals::Bounds {
    signals::Bounds { events: config.history.events, device_events: config.history.device_events }
}

/// The store, without the sessions that ended with the last process.
async fn open_store(
    config: &Config,
    health: &Health,
    observer: impl Fn(Vec<Event>) + Send + 'static,
    signals: &Arc<Signals>,
) -> anyhow::Result<Store> {
    let path = &config.store.path;
    let store = Store::open(path, config.store.readers, health, observer, Arc::clone(signals))?;
    let ended = store.begin_sessions(clock::now()).await;
    let ended = ended.with_context(|| format!("{}: sessions of the last process cannot be ended", path.display()))?;
    if ended > 0 {
        tracing::info!(sessions = ended, "sessions that ended with the last process were cleared");
    }
    Ok(store)
}

/// Connections that wait to go from the HTTP side to the MQTT side.
const UPGRADES: usize = 64;

/// How soon files that have changed are read.
const LOOK: Duration = Duration::from_secs(30);

/// Certificates, and keys of JSON Web Tokens.
async fn watch_files(reloader: Reloader, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        reloader.follow_files();
    }
}

/// The tasks that run as long as the gateway does; each is a part of its health.
struct Tasks {
    tracker: TaskTracker,
    health: Health,
}

impl Tasks {
    /// What the gateway does by itself.
    fn spawn_gateway(&self, gateway: &Arc<Gateway>, stop: &CancellationToken) {
        self.spawn("notifications", Arc::clone(gateway).notify_initiators(stop.clone()));
        let (ours, clock_stop) = (Arc::clone(gateway), stop.clone());
        self.spawn("clock", async move { ours.keep_time(clock_stop).await });
        let (ours, house_stop) = (Arc::clone(gateway), stop.clone());
        self.spawn("housekeeping", async move { ours.keep_house(house_stop).await });
        let (ours, forget_stop) = (Arc::clone(gateway), stop.clone());
        self.spawn("retention", async move { ours.forget_old(forget_stop).await });
    }

    /// Numbers for /metrics, with those that the gateway does not know.
    fn spawn_gauges(
        &self,
        gateway: &Arc<Gateway>,
        publisher: Publisher,
        mqtt: Arc<mqtt::Server>,
        stop: CancellationToken,
    ) {
        let others = move |gauges: &signals::Gauges| {
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            gauges.publisher_bytes.set(number(publisher.bytes_waiting()));
            gauges.router_topics.set(number(publisher.topics()));
            gauges.watchers.set(number(mqtt.watchers()));
        };
        let gateway = Arc::clone(gateway);
        self.spawn("gauges", async move { gateway.keep_gauges(others, stop).await });
    }

    fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let part = self.health.part(name);
        self.tracker.spawn(async move {
            let _part = part;
            work.await;
        });
    }
}

/// Requests that are under way finish, terminals are told, what they acknowledged is stored, the store is closed.
async fn drain(tracker: &TaskTracker, mqtt: &mqtt::Server, http: &http::Stop, store: &Store, signals: &Arc<Signals>) {
    mqtt.stop().await;
    http.end.cancel();
    tracker.wait().await;
    let store = store.clone();
    let signals = Arc::clone(signals);
    let close = move || {
        store.close();
        signals.flush_log();
    };
    let _ = tokio::task::spawn_blocking(close).await;
}
