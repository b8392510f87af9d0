//! Every address that the configuration says to listen on, bound before anything else happens.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::config::Config;
use crate::listeners::{Error, Listeners};
use crate::tls::Certificates;

/// The addresses actually bound: of several of one kind the first one.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Addresses {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub https: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtts: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ws: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wss: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
}

/// The listeners of both sides.
#[derive(Debug)]
pub struct Entrances {
    pub http: Listeners,
    pub mqtt: Listeners,
    pub websocket: Listeners,
    pub metrics: Listeners,
    /// Of each kind, with what stands before an address in a URL.
    bound: [(&'static str, Vec<SocketAddr>); 6],
    metrics_bound: Vec<SocketAddr>,
}

impl Entrances {
    pub fn open(config: &Config, tls: Option<&Arc<Certificates>>) -> Result<Self, Error> {
        let (settings, times) = (&config.mqtt, (config.http.header_timeout, config.mqtt.connect_timeout));
        let mut http = Listeners::behind(config.http.proxy_protocol_from.clone(), times.0);
        let mut mqtt = Listeners::behind(settings.proxy_protocol_from.clone(), times.1);
        let mut websocket = Listeners::behind(settings.proxy_protocol_from.clone(), times.1);
        let mut metrics = Listeners::default();
        let bound = [
            ("http://", http.bind("http.listen", &config.http.listen, None)?),
            ("https://", http.bind("http.tls_listen", &config.http.tls_listen, tls)?),
            ("", mqtt.bind("mqtt.listen", &config.mqtt.listen, None)?),
            ("mqtts://", mqtt.bind("mqtt.tls_listen", &config.mqtt.tls_listen, tls)?),
            ("ws://", websocket.bind("mqtt.ws_listen", &config.mqtt.ws_listen, None)?),
            ("wss://", websocket.bind("mqtt.wss_listen", &config.mqtt.wss_listen, tls)?),
        ];
        let metrics_bound = metrics.bind("http.metrics_listen", &config.http.metrics_listen, None)?;
        Ok(Self { http, mqtt, websocket, metrics, bound, metrics_bound })
    }

    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let [http, https, mqtt, mqtts, ws, wss] = self.bound.each_ref().map(|(_, bound)| bound.first().copied());
        Addresses { http, https, mqtt, mqtts, ws, wss, metrics: self.metrics_bound.first().copied() }
    }

    /// Where HTTP and MQTT are to be found, in words.
    #[must_use]
    pub fn in_words(&self) -> (String, String) {
        let words = |some: &[(&str, Vec<SocketAddr>)]| {
            let all =
                some.iter().flat_map(|(scheme, bound)| bound.iter().map(move |address| format!("{scheme}{address}")));
            all.collect::<Vec<_>>().join(", ")
        };
        (words(&self.bound[..2]), words(&self.bound[2..]))
    }
}
