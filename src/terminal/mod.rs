//! The reference terminal: what a device does, with rumqttc. The only user of rumqttc.
//!
//! It speaks MQTT 5 with a persistent session, asks to join with `$push/request`, and keeps the gateway's answers on disk
//! ([`Memory`]): at its next start it knows its groups and their topics without asking.

mod memory;

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish, PublishProperties};
use rumqttc::v5::{AsyncClient, Event as MqttEvent, EventLoop, MqttOptions};
use serde::Deserialize;

pub use memory::{Joined, Memory};

const REQUEST: &str = "$push/request";
const RESPONSE: &str = "$push/response";
/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// A pause after a lost connection.
const RETRY: Duration = Duration::from_secs(1);
/// Group requests that are under way at once. rumqttc makes room for as many publishes when a terminal is made, 200 bytes
/// each: with its default of 65,535, every terminal began with 14 MB.
const UNDER_WAY: u16 = 16;
/// Group requests that may wait to be sent; a user may be in 1,000 groups.
const WAITING: usize = 1_024;

/// Bytes of the largest packet that a terminal takes where nobody says otherwise: a push of `push.max_content` bytes
/// (512 KiB) with its headers, and room for more.
pub const MAX_PACKET: u32 = 2 << 20;

/// Whom to be and whom to talk to.
#[derive(Clone)]
pub struct Options {
    pub host: String,
    pub port: u16,
    pub user: String,
    /// The MQTT password, where the gateway asks for one.
    pub token: Option<String>,
    pub client_id: String,
    /// How long the session may be away, in seconds; 0: it ends with the connection.
    pub session_expiry: u32,
    /// Bytes of the largest packet that is taken. The gateway is told, so that it refuses what is larger for this terminal
    /// instead of sending what cannot be read.
    pub max_packet: u32,
}

/// Without the token.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, user, client_id, .. } = self;
        write!(f, "Options({user} as {client_id} at {host}:{port})")
    }
}

/// The gateway's answer to a group request.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    #[serde(default)]
    pub op: Option<String>,
    pub status: String,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub desc: Option<String>,
    #[serde(default)]
    pub group: Option<String>,
    #[serde(default)]
    pub topic: Option<String>,
}

/// A push as it arrived.
#[derive(Debug, Clone)]
pub struct Push {
    pub topic: String,
    pub push_id: Option<String>,
    pub address: Option<String>,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

/// What happens to a terminal.
#[derive(Debug)]
pub enum Event {
    Connected,
    /// The connection was lost, or could not be made; it is tried again by itself.
    Disconnected(String),
    Answer(Answer),
    Push(Push),
}

/// A terminal; nothing happens unless [`Terminal::next`] is awaited.
pub struct Terminal {
    client: AsyncClient,
    events: EventLoop,
    /// Handed out by the last [`Terminal::next`], and not acknowledged yet.
    unacknowledged: Option<Publish>,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Terminal")
    }
}

impl Terminal {
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let mut mqtt = MqttOptions::new(&options.client_id, &options.host, options.port);
        mqtt.set_keep_alive(Duration::from_secs(30));
        mqtt.set_credentials(&options.user, options.token.as_deref().unwrap_or_default());
        // rumqttc would acknowledge all that it reads at once, before anybody has seen it.
        mqtt.set_manual_acks(true);
        mqtt.set_clean_start(options.session_expiry == 0);
        mqtt.set_session_expiry_interval(Some(options.session_expiry));
        mqtt.set_max_packet_size(Some(options.max_packet));
        mqtt.set_outgoing_inflight_upper_limit(UNDER_WAY);
        let (client, events) = AsyncClient::new(mqtt, WAITING);
        Self { client, events, unacknowledged: None }
    }

    /// Asks to join a group. The answer comes as an event.
    pub fn join(&self, group: &str) {
        let request = serde_json::json!({ "op": "join", "id": group, "group": group });
        // Fails only if 1,024 requests wait already, and then the answers would not have come either.
        let _ = self.client.try_publish(REQUEST, QoS::AtLeastOnce, false, request.to_string());
    }

    /// Acknowledges the last push and says goodbye; returns when the gateway has heard both and closed. A socket that is
    /// closed with pushes in it that nobody read would take them back.
    pub async fn close(mut self) {
        self.acknowledge();
        let _ = self.client.try_disconnect();
        let gone = async { while self.events.poll().await.is_ok() {} };
        let _ = tokio::time::timeout(GOODBYE, gone).await;
    }

    /// The last push was not dealt with: it is not acknowledged and comes again.
    pub fn keep_back(&mut self) {
        self.unacknowledged = None;
    }

    fn acknowledge(&mut self) {
        if let Some(publish) = self.unacknowledged.take() {
            let _ = self.client.try_ack(&publish);
        }
    }

    /// What happens next. A push is acknowledged when this is called again: by then it has been dealt with.
    pub async fn next(&mut self) -> Event {
        self.acknowledge();
        loop {
            match self.events.poll().await {
                Ok(MqttEvent::Incoming(Packet::ConnAck(_))) => return Event::Connected,
                Ok(MqttEvent::Incoming(Packet::Publish(publish))) => {
                    self.unacknowledged = Some(publish.clone());
                    if let Some(event) = incoming(publish) {
                        return event;
                    }
                    self.acknowledge();
                }
                Ok(_) => {}
                Err(error) => {
                    tokio::time::sleep(RETRY).await;
                    return Event::Disconnected(error.to_string());
                }
            }
        }
    }
}

fn incoming(publish: Publish) -> Option<Event> {
    let topic = String::from_utf8_lossy(&publish.topic).into_owned();
    if topic == RESPONSE {
        return serde_json::from_slice(&publish.payload).ok().map(Event::Answer);
    }
    let PublishProperties { user_properties, content_type, .. } = publish.properties.unwrap_or_default();
    let property = |name: &str| user_properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    Some(Event::Push(Push {
        topic,
        push_id: property("push-id"),
        address: property("address"),
        content_type,
        body: publish.payload.to_vec(),
    }))
}
