//! What is read again while the gateway runs: the log level, the rules of initiators and devices, and certificates. All else needs
//! a restart, and is named. A faulty configuration changes nothing.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::config::Config;
use crate::gateway::Gateway;
use crate::policy::Policy;
use crate::telemetry;
use crate::tls::Certificates;

/// Reads the configuration as it was read at the start; an error says what is wrong with it.
pub type Load = Arc<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// What a reload has done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// What is as the files say now.
    pub reloaded: Vec<&'static str>,
    /// Sections that have changed and are as they were, until a restart.
    pub needs_restart: Vec<&'static str>,
}

#[derive(Clone)]
pub struct Reloader {
    load: Load,
    gateway: Arc<Gateway>,
    certificates: Option<Arc<Certificates>>,
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
    pub fn new(load: Load, gateway: Arc<Gateway>, certificates: Option<Arc<Certificates>>, config: Config) -> Self {
        Self { load, gateway, certificates, current: Arc::new(Mutex::new(config)) }
    }

    /// Reads everything again that can be. An error: nothing has changed.
    pub fn reload(&self) -> Result<Reloaded, String> {
        let fresh = (self.load)()?;
        if !telemetry::is_filter(&fresh.log.level) {
            return Err(format!("log.level: {:?} is no level and no filter", fresh.log.level));
        }
        // First what may fail.
        if let Some(certificates) = &self.certificates {
            certificates.reload().map_err(|error| error.to_string())?;
        }
        telemetry::set_level(&fresh.log.level);
        self.gateway.set_policy(Policy::new(fresh.initiators.clone(), fresh.devices.clone()));
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let needs_restart = differ(&current, &fresh);
        (current.initiators, current.devices) = (fresh.initiators, fresh.devices);
        current.log.level = fresh.log.level;
        let mut reloaded = vec!["log.level", "initiators", "devices"];
        if self.certificates.is_some() {
            reloaded.push("certificates");
        }
        Ok(Reloaded { reloaded, needs_restart })
    }

    /// The same where nobody waits for the answer.
    pub fn reload_and_tell(&self) {
        match self.reload() {
            Ok(done) if done.needs_restart.is_empty() => tracing::info!(reloaded = ?done.reloaded, "read again"),
            Ok(done) => {
                let Reloaded { reloaded, needs_restart } = done;
                tracing::warn!(
                    ?reloaded,
                    ?needs_restart,
                    "read again; what has changed in these sections needs a restart"
                );
            }
            Err(error) => tracing::error!(error, "nothing was read again, and everything is as it was"),
        }
    }

    /// Reads certificates again whose files have changed.
    pub fn follow_certificates(&self) {
        let Some(certificates) = self.certificates.as_ref().filter(|certificates| certificates.has_changed()) else {
            return;
        };
        match certificates.reload() {
            Ok(()) => tracing::info!("the certificates were read again; connections that begin now get them"),
            Err(error) => tracing::error!(%error, "the certificates stay as they are"),
        }
    }
}

/// Sections that say something else, but for what is reloaded.
fn differ(current: &Config, fresh: &Config) -> Vec<&'static str> {
    // As they print: a key that is added counts without being named here.
    let texts = |config: &Config| {
        let Config { http, mqtt, store, broker, auth, tls, groups, push, notify, pap, aliases, acl, log, .. } = config;
        [
            ("http", format!("{http:?}")),
            ("mqtt", format!("{mqtt:?}")),
            ("store", format!("{store:?}")),
            ("broker", format!("{broker:?}")),
            ("auth", format!("{auth:?}")),
            ("tls", format!("{tls:?}")),
            ("groups", format!("{groups:?}")),
            ("push", format!("{push:?}")),
            ("notify", format!("{notify:?}")),
            ("pap", format!("{pap:?}")),
            ("aliases", format!("{aliases:?}")),
            ("acl", format!("{acl:?}")),
            ("log.format", format!("{:?}", log.format)),
        ]
    };
    let pairs = texts(current).into_iter().zip(texts(fresh));
    pairs.filter(|(one, other)| one.1 != other.1).map(|(one, _)| one.0).collect()
}
