//! What is read again while the gateway runs: rules, limits, the log level, certificates and keys. Addresses, threads and files need
//! a restart, and are named. A faulty configuration changes nothing.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::config::{self, Config};
use crate::gateway::Gateway;
use crate::http::{self, Live, Site};
use crate::jwt::Jwt;
use crate::mqtt;
use crate::open_files;
use crate::telemetry;
use crate::tls::Certificates;

/// Reads the configuration as it was read at the start; an error says what is wrong with it.
pub type Load = Arc<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// What a reload has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// What is as the files say now.
    pub reloaded: Vec<&'static str>,
    /// Keys and sections that have changed and are as they were, until a restart.
    pub needs_restart: Vec<&'static str>,
}

/// The parts that follow a configuration that was read again.
#[derive(Debug)]
pub struct Running {
    pub gateway: Arc<Gateway>,
    pub mqtt: Arc<mqtt::Server>,
    pub site: Site,
    pub http: Arc<Live>,
    /// That one, and those of the other ports.
    pub lives: Vec<Arc<Live>>,
    pub certificates: Option<Arc<Certificates>>,
}

#[derive(Clone)]
pub struct Reloader {
    load: Load,
    running: Arc<Running>,
    /// As the gateway runs.
    current: Arc<Mutex<Config>>,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reloader")
    }
}

impl Reloader {
    #[must_use]
    pub fn new(load: Load, running: Running, config: Config) -> Self {
        Self { load, running: Arc::new(running), current: Arc::new(Mutex::new(config)) }
    }

    /// Reads everything again that can be. An error: nothing has changed.
    pub fn reload(&self) -> Result<Reloaded, String> {
        // One at a time: what two read must not be mixed.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = (self.load)()?;
        if !telemetry::is_filter(&fresh.log.level) {
            return Err(format!("log.level: {:?} is no level and no filter", fresh.log.level));
        }
        let mut applied = apply(&current, &fresh);
        let needs_restart = differ(&applied, &fresh);
        applied.settings = config::mark_for_restart(fresh.settings, &needs_restart);
        let Running { gateway, mqtt, site, http, lives, certificates } = &*self.running;
        // First what may fail.
        let jwt = Jwt::load(&applied.jwt).map_err(|error| error.to_string())?;
        if let Some(certificates) = certificates {
            certificates.reload().map_err(|error| error.to_string())?;
        }
        let router = http::router(site, &applied);
        telemetry::set_level(&applied.log.level);
        open_files::raise_limit(&applied);
        gateway.follow(&applied, jwt);
        mqtt.follow(&applied);
        http.follow(router);
        lives.iter().for_each(|live| live.follow_limits(&applied.http));
        *current = applied;
        let mut reloaded = RELOADED.to_vec();
        if certificates.is_some() {
            reloaded.push("certificates");
        }
        Ok(Reloaded { reloaded, needs_restart })
    }

    /// The same where the log is told; answers it in a few words.
    pub fn reload_and_tell(&self) -> String {
        match self.reload() {
            Ok(done) if done.needs_restart.is_empty() => {
                tracing::info!(reloaded = ?done.reloaded, "read again");
                "the configuration was read again".to_owned()
            }
            Ok(done) => {
                let Reloaded { reloaded, needs_restart } = done;
                tracing::warn!(?reloaded, ?needs_restart, "read again; what has changed here needs a restart");
                format!("the configuration was read again; needs a restart: {}", needs_restart.join(", "))
            }
            Err(error) => {
                tracing::error!(error, "nothing was read again, and everything is as it was");
                format!("the configuration could not be read again: {error}")
            }
        }
    }

    /// Reads certificates and keys again whose files have changed.
    pub fn follow_files(&self) {
        let Running { gateway, certificates, .. } = &*self.running;
        gateway.follow_jwt_files();
        if let Some(certificates) = certificates.as_ref().filter(|certificates| certificates.has_changed()) {
            match certificates.reload() {
                Ok(()) => tracing::info!("the certificates were read again; connections that begin now get them"),
                Err(error) => tracing::error!(%error, "the certificates stay as they are"),
            }
        }
    }
}

/// Sections that are read again, but for what [`differ`] names.
const RELOADED: [&str; 14] = [
    "acl",
    "aliases",
    "auth",
    "devices",
    "groups",
    "history",
    "http",
    "initiators",
    "jwt",
    "log",
    "mqtt",
    "pap",
    "push",
    "store",
];

/// The configuration that the gateway can run with from now on: what is fresh, but for what needs a restart.
fn apply(current: &Config, fresh: &Config) -> Config {
    let (now, then) = (current.clone(), fresh.clone());
    Config {
        http: config::Http {
            listen: now.http.listen,
            tls_listen: now.http.tls_listen,
            metrics_listen: now.http.metrics_listen,
            proxy_protocol_from: now.http.proxy_protocol_from,
            ..then.http
        },
        mqtt: config::Mqtt {
            listen: now.mqtt.listen,
            tls_listen: now.mqtt.tls_listen,
            ws_listen: now.mqtt.ws_listen,
            wss_listen: now.mqtt.wss_listen,
            proxy_protocol_from: now.mqtt.proxy_protocol_from,
            workers: now.mqtt.workers,
            tcp_keepalive: now.mqtt.tcp_keepalive,
            ..then.mqtt
        },
        store: config::Store { path: now.store.path, readers: now.store.readers, ..then.store },
        log: config::Log { format: now.log.format, ..then.log },
        broker: now.broker,
        tls: now.tls,
        notify: now.notify,
        groups: then.groups,
        history: config::History {
            events: now.history.events,
            device_events: now.history.device_events,
            ..then.history
        },
        canary: now.canary,
        push: then.push,
        pap: then.pap,
        // It means something in one of the modes only, and the mode needs a restart.
        jwt: if then.auth.mode == now.auth.mode { then.jwt } else { now.jwt },
        auth: config::Auth { mode: now.auth.mode, ..then.auth },
        aliases: then.aliases,
        initiators: then.initiators,
        devices: then.devices,
        acl: then.acl,
        settings: then.settings,
    }
}

/// Keys and sections that say something else and need a restart: those that [`apply`] leaves as they are.
fn differ(applied: &Config, fresh: &Config) -> Vec<&'static str> {
    let texts = |config: &Config| {
        let Config { http, mqtt, store, broker, auth, tls, notify, jwt, log, history, canary, .. } = config;
        [
            ("http.listen", format!("{:?}", http.listen)),
            ("http.tls_listen", format!("{:?}", http.tls_listen)),
            ("http.metrics_listen", format!("{:?}", http.metrics_listen)),
            ("http.proxy_protocol_from", format!("{:?}", http.proxy_protocol_from)),
            ("mqtt.listen", format!("{:?}", mqtt.listen)),
            ("mqtt.tls_listen", format!("{:?}", mqtt.tls_listen)),
            ("mqtt.ws_listen", format!("{:?}", mqtt.ws_listen)),
            ("mqtt.wss_listen", format!("{:?}", mqtt.wss_listen)),
            ("mqtt.proxy_protocol_from", format!("{:?}", mqtt.proxy_protocol_from)),
            ("mqtt.workers", format!("{:?}", mqtt.workers)),
            ("mqtt.tcp_keepalive", format!("{:?}", mqtt.tcp_keepalive)),
            ("store.path", format!("{:?}", store.path)),
            ("store.readers", format!("{:?}", store.readers)),
            ("auth.mode", format!("{:?}", auth.mode)),
            ("history.events", format!("{:?}", history.events)),
            ("history.device_events", format!("{:?}", history.device_events)),
            ("canary", format!("{canary:?}")),
            ("log.format", format!("{:?}", log.format)),
            ("broker", format!("{broker:?}")),
            ("jwt", format!("{jwt:?}")),
            ("tls", format!("{tls:?}")),
            ("notify", format!("{notify:?}")),
        ]
    };
    let pairs = texts(applied).into_iter().zip(texts(fresh));
    pairs.filter(|(one, other)| one.1 != other.1).map(|(one, _)| one.0).collect()
}
