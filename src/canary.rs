//! The canary: a terminal of the gateway's own that gets a push once in a while, over MQTT like any other. How long ago the last
//! one came is a metric (`papcast_canary_age_seconds`): as long as it is small, everything between a submission and a device works.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::caller::{Caller, Kind, Role};
use crate::credentials::Order;
use crate::gateway::{Content, Gateway, PushRequest};
use crate::log_limit::LogLimit;
use crate::mqtt;
use crate::store::{DeliveryMethod, Digest, Priority};

/// The user that it acts for, and the client id that it has.
const NAME: &str = "papcast-canary";

/// How soon it tries again where its connection has ended, and how often its age is told.
const AGAIN: Duration = Duration::from_secs(1);

/// Longest packet that it reads; its own pushes are much smaller.
const LONGEST: usize = 65_536;

/// How long one step may take: a connection, its CONNACK, a submission.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until told to stop.
pub async fn run(gateway: Arc<Gateway>, server: Arc<mqtt::Server>, every: Duration, stop: CancellationToken) {
    let last = Mutex::new(Instant::now());
    let tell_age = async {
        // Beside everything else: it grows where anything hangs.
        loop {
            let age = last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
            gateway.signals().metrics.gauges.canary_age_seconds.set(age.as_secs_f64());
            tokio::time::sleep(AGAIN).await;
        }
    };
    let submit = async {
        let mut due = tokio::time::interval(every);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            due.tick().await;
            // What cannot be submitted shows in the age.
            let _ = tokio::time::timeout(PATIENCE, submit(&gateway, every)).await;
        }
    };
    let mut canary = Canary { gateway: &gateway, server, token: None, last: &last };
    tokio::select! {
        () = tell_age => {}
        () = submit => {}
        () = canary.live() => {}
        () = stop.cancelled() => {}
    }
}

/// The terminal.
struct Canary<'a> {
    gateway: &'a Gateway,
    server: Arc<mqtt::Server>,
    /// Its token, where everybody has to have one.
    token: Option<String>,
    /// When it got a push last, or came to life.
    last: &'a Mutex<Instant>,
}

impl Canary<'_> {
    async fn live(&mut self) {
        static FAILED: LogLimit = LogLimit::new(1);
        loop {
            if let Err(error) = self.serve().await
                && let Some(left_out) = FAILED.pass()
            {
                tracing::warn!(%error, left_out, "the canary's terminal was cut off; it comes back");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// One connection, until it ends.
    async fn serve(&mut self) -> io::Result<()> {
        let mut stream = tokio::time::timeout(PATIENCE, self.sign_in()).await??;
        let (mut reading, mut writing) = stream.split();
        loop {
            let read = packet(&mut reading).await?;
            if let Some(id) = read.packet_id() {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                writing.write_all(&[0x40, 2, id[0], id[1]]).await?;
            }
        }
    }

    async fn sign_in(&mut self) -> io::Result<TcpStream> {
        if self.token.is_none() && self.gateway.requires_sign_in() {
            self.token = Some(self.new_token().await?);
        }
        let mut stream = self.connect().await?;
        stream.write_all(&connect(self.token.as_deref())).await?;
        let answer = packet(&mut stream).await?;
        // CONNACK, and its return code (MQTT 3.1.1 §3.2.2.3).
        match (answer.first, answer.body.get(1)) {
            (0x20, Some(0)) => Ok(stream),
            (0x20, Some(code)) => {
                if [BAD_PASSWORD, NOT_AUTHORIZED].contains(code) {
                    // Somebody has taken its token away.
                    self.token = None;
                }
                Err(io::Error::other(format!("its CONNECT was refused with {code}")))
            }
            _ => Err(io::Error::other("its CONNECT was not answered with a CONNACK")),
        }
    }

    async fn new_token(&self) -> io::Result<String> {
        let add = Order::Add { kind: Kind::Device, names: vec![NAME.into()], role: None };
        let rotate = Order::Rotate { kind: Kind::Device, name: NAME.into(), keep_old: None };
        let made = match self.gateway.look_after_credentials(add).await {
            Ok(made) => made[0]["token"].clone(),
            Err(_) => self.gateway.look_after_credentials(rotate).await.map_err(io::Error::other)?["token"].clone(),
        };
        made.as_str().map(ToOwned::to_owned).ok_or_else(|| io::Error::other("no token was made for it"))
    }

    /// A connection to a worker by a socket of our own: the listeners may want TLS, or be none of ours.
    async fn connect(&self) -> io::Result<TcpStream> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let ours = TcpStream::connect(listener.local_addr()?).await?;
        loop {
            let (theirs, remote) = listener.accept().await?;
            // Anybody on this machine may have been faster.
            if remote == ours.local_addr()? {
                self.server.adopt(theirs.into_std()?, remote).await?;
                return Ok(ours);
            }
        }
    }
}

/// MQTT 3.1.1 §3.2.2.3.
const BAD_PASSWORD: u8 = 4;
const NOT_AUTHORIZED: u8 = 5;

async fn submit(gateway: &Gateway, every: Duration) {
    let now = crate::clock::now();
    let request = PushRequest {
        caller: Caller::Operator { name: NAME.into(), role: Role::Operator },
        push_id: uuid::Uuid::now_v7().to_string(),
        addresses: vec![format!("user:{NAME}")],
        content: Content { content_type: "text/plain".into(), headers: Vec::new(), body: "tweet".into() },
        delivery: DeliveryMethod::Confirmed,
        priority: Priority::Medium,
        deliver_after: None,
        // One that is late is of no use when the next one comes.
        deliver_before: Some(now + i64::try_from(every.as_millis()).unwrap_or(i64::MAX).max(10_000)),
        source: None,
        request_id: None,
        notify: None,
        push_all: false,
        literal: true,
        skip_unknown: false,
        digest: Digest { stable: now, former: now },
        replace: None,
    };
    if let Err(error) = gateway.submit(request).await {
        tracing::debug!(%error, "the canary's push was not taken");
    }
}

/// MQTT 3.1.1 §3.1: a clean session, without keep-alive.
fn connect(token: Option<&str>) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
    let flags = if token.is_some() { 0xC2 } else { 0x82 };
    let mut body = [&text("MQTT")[..], &[4, flags, 0, 0]].concat();
    body.extend(text(NAME));
    body.extend(text(NAME));
    body.extend(token.map(text).unwrap_or_default());
    // It is shorter than 128 bytes, or its length has two digits.
    let length = body.len();
    let head = if length < 128 {
        vec![0x10, length as u8]
    } else {
        vec![0x10, (length % 128) as u8 | 0x80, (length / 128) as u8]
    };
    [head, body].concat()
}

/// A packet from the gateway.
struct Packet {
    first: u8,
    body: Vec<u8>,
}

impl Packet {
    /// Of a PUBLISH at QoS 1.
    fn packet_id(&self) -> Option<[u8; 2]> {
        if self.first & 0xF6 != 0x32 {
            return None;
        }
        let topic = usize::from(u16::from_be_bytes([*self.body.first()?, *self.body.get(1)?]));
        Some([*self.body.get(2 + topic)?, *self.body.get(3 + topic)?])
    }
}

async fn packet(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<Packet> {
    let first = stream.read_u8().await?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = stream.read_u8().await?;
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 21 {
            break;
        }
    }
    if length > LONGEST {
        return Err(io::Error::other("a packet that is too long for a canary"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Packet { first, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packets_are_read_as_mqtt_writes_them() {
        // PUBLISH QoS 1 on "a/b", packet id 10, payload "x" (MQTT 3.1.1 §3.3).
        let bytes = [0x32, 8, 0, 3, b'a', b'/', b'b', 0, 10, b'x'];
        let read = packet(&mut &bytes[..]).await.unwrap();
        assert_eq!(read.packet_id(), Some([0, 10]));
        assert!(Packet { first: 0xD0, body: vec![] }.packet_id().is_none());
        assert!(packet(&mut &[0x32, 0xFF, 0xFF, 0x7F][..]).await.is_err());
        let long = connect(Some(&"t".repeat(100)));
        assert_eq!(usize::from(long[1] & 0x7F) + 128 * usize::from(long[2]), long.len() - 3);
    }
}
