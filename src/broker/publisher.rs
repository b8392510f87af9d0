//! The only one who publishes into the router: a link of its own on a thread of its own, because a send can block for a
//! moment, and that shall not be the store's writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::envelope::{self, Payload};
use super::router::{Link, RouterTopic, Sender};
use super::router_topics::{Interest, SHARED};
use super::{Channel, Error, OpenMessage};
use crate::faults;
use crate::feed::Place;
use crate::ids::Target;
use crate::parcel::{Parcel, Siblings};
use crate::supervision::Health;

/// What may wait for the router: messages, and bytes of bodies. Beyond it a push is dropped here; the workers see the
/// hole and fetch it from the store.
const QUEUE: usize = 8_192;
const QUEUE_BYTES: usize = 64 << 20;

#[derive(Debug)]
enum Out {
    Push { parcel: Arc<Parcel>, place: Option<Place> },
    Open(OpenMessage),
}

impl Out {
    fn size(&self) -> usize {
        match self {
            Self::Push { parcel, .. } => parcel.body.len(),
            Self::Open(message) => message.payload.len(),
        }
    }
}

/// How many pushes went out on each channel that several flows share.
#[derive(Debug)]
struct Numbers([AtomicU64; 1 + SHARED as usize]);

impl Default for Numbers {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// Sends into the router without waiting; cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    queue: SyncSender<Out>,
    bytes: Arc<AtomicUsize>,
    interest: Arc<Interest>,
    numbers: Arc<Numbers>,
}

impl Publisher {
    pub(super) fn start(link: Link, interest: Arc<Interest>, health: &Health) -> Result<Self, Error> {
        let (queue, outgoing) = sync_channel(QUEUE);
        let publisher = Self { queue, bytes: Arc::default(), interest: Arc::clone(&interest), numbers: Arc::default() };
        let bytes = Arc::clone(&publisher.bytes);
        let part = health.part("broker-publish");
        std::thread::Builder::new()
            .name("broker-publish".into())
            .spawn(move || {
                let _part = part;
                run(link, &outgoing, &bytes, &interest);
            })
            .map_err(|source| Error::Thread { name: "broker-publish", source })?;
        Ok(publisher)
    }

    /// The place of the next push to `target`, to be taken in the order of dispatch and whether or not that push goes out in
    /// the end: one that does not leaves a hole, by which it is missed.
    #[must_use]
    pub fn place(&self, target: &Target) -> Option<Place> {
        let channel = Channel::of(target);
        let channel = self.interest.route(&channel).unwrap_or(channel).number()?;
        let count = self.numbers.0.get(channel as usize)?;
        Some(Place { channel, number: count.fetch_add(1, Ordering::Relaxed) + 1 })
    }

    /// Hands a committed push to the workers that have members of its flow. Never waits.
    pub fn push(&self, parcel: Arc<Parcel>, place: Option<Place>) {
        if faults::is_set("broker-loses-all") {
            return;
        }
        if self.interest.has(&Channel::of(&parcel.target)) || self.interest.has(&Channel::Watch) {
            self.enqueue(Out::Push { parcel, place });
        }
    }

    /// Hands on a message between terminals. Never waits; `false` where it had to be dropped.
    #[must_use]
    pub fn open(&self, message: OpenMessage) -> bool {
        !self.interest.has(&Channel::Open) || self.enqueue(Out::Open(message))
    }

    /// Bytes of what waits for the router.
    #[must_use]
    pub fn bytes_waiting(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Topics that groups have of their own in the router.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.interest.own_topics()
    }

    fn enqueue(&self, out: Out) -> bool {
        let size = out.size();
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size <= QUEUE_BYTES && self.queue.try_send(out).is_ok() {
            return true;
        }
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        false
    }
}

fn run((mut link, _receiver): Link, outgoing: &Receiver<Out>, bytes: &AtomicUsize, interest: &Interest) {
    while let Ok(out) = outgoing.recv() {
        faults::trip("broker-publish");
        bytes.fetch_sub(out.size(), Ordering::Relaxed);
        let sent = match out {
            Out::Push { parcel, place } => {
                let route = interest.route(&Channel::of(&parcel.target));
                let live = route.is_none_or(|channel| send(&mut link, &channel, live_payload(&parcel, place)));
                let watched = interest.has(&Channel::Watch);
                live && (!watched || send(&mut link, &Channel::Watch, envelope::encode_push(&parcel, place)))
            }
            Out::Open(message) => send(&mut link, &Channel::Open, envelope::encode_open(&message)),
        };
        if !sent {
            return; // The router is gone; the watchdog says so.
        }
    }
}

/// A push that goes through the store only has to be announced.
fn live_payload(parcel: &Arc<Parcel>, place: Option<Place>) -> Payload {
    if parcel.siblings == Siblings::Unknown {
        let announcement = Parcel { body: bytes::Bytes::new(), ..(**parcel).clone() };
        return envelope::encode_push(&announcement, place);
    }
    envelope::encode_push(parcel, place)
}

fn send(link: &mut Sender, channel: &Channel, payload: Payload) -> bool {
    link.publish(RouterTopic::of(channel), payload)
}
