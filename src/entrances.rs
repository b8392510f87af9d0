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
}

/// The listeners of both sides.
#[derive(Debug)]
pub struct Entrances {
    pub http: Listeners,
    pub mqtt: Listeners,
    pub websocket: Listeners,
    /// Of each kind, with what stands before an address in a URL.
    bound: [(&'static str, Vec<SocketAddr>); 6],
}

impl Entrances {
    pub fn open(config: &Config, tls: Option<&Arc<Certificates>>) -> Result<Self, Error> {
        let (mut http, mut mqtt, mut websocket) = (Listeners::default(), Listeners::default(), Listeners::default());
        let bound = [
            ("http://", http.bind("http.listen", &config.http.listen, None)?),
            ("https://", http.bind("http.tls_listen", &config.http.tls_listen, tls)?),
            ("", mqtt.bind("mqtt.listen", &config.mqtt.listen, None)?),
            ("mqtts://", mqtt.bind("mqtt.tls_listen", &config.mqtt.tls_listen, tls)?),
            ("ws://", websocket.bind("mqtt.ws_listen", &config.mqtt.ws_listen, None)?),
            ("wss://", websocket.bind("mqtt.wss_listen", &config.mqtt.wss_listen, tls)?),
        ];
        Ok(Self { http, mqtt, websocket, bound })
    }

    #[must_use]
    pub fn addresses(&self) -> Addresses {
        let [http, https, mqtt, mqtts, ws, wss] = self.bound.each_ref().map(|(_, bound)| bound.first().copied());
        Addresses { http, https, mqtt, mqtts, ws, wss }
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
