//! A terminal of the model: a session, a socket that takes everything, and what the device at its end has seen.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};

use crate::ids::UserId;
use crate::mqtt::codec::Version;
use crate::mqtt::inflight_window::{Resume, Window};
use crate::mqtt::send_buffer::{Outbox, Sink};
use crate::mqtt::session::{Session, Wanted};
use crate::parcel::Seq;
use crate::store::Portion;

/// What the gateway and a terminal agree on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Pushes that may be under way: the Receive Maximum.
    pub(super) window: usize,
    /// The last connection ended with something unanswered.
    pub(super) careful: bool,
    /// It does not read some QoS 0 pushes to their end.
    pub(super) poison_every: Option<usize>,
}

/// What a message between terminals has for a number: one that any device takes, and one that cannot be taken.
pub(super) const GOOD: usize = usize::MAX;
pub(super) const BAD: usize = usize::MAX - 1;

#[derive(Debug, Default)]
pub(super) struct Socket {
    got: RefCell<Vec<u8>>,
    /// The device at its end does not read QoS 0 pushes of one number in so many.
    poison_every: Option<usize>,
    /// It reads nothing any more.
    stuck: Cell<bool>,
}

impl Socket {
    /// Whether it has met what it cannot take.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.get()
    }
}

impl Sink for Socket {
    fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.stuck.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let packet = parts.iter().map(|part| &**part).collect::<Vec<_>>().concat();
        let sticks = |arrived: &Arrived| {
            let every = self.poison_every.unwrap_or(usize::MAX);
            arrived.id.is_none() && arrived.push < BAD && arrived.push % every == every - 1
        };
        if sticks(&parse(&packet).0) {
            self.stuck.set(true);
            return Ok(1);
        }
        self.got.borrow_mut().extend_from_slice(&packet);
        Ok(packet.len())
    }
}

/// A push as it arrives: its number is its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) id: Option<u16>,
    pub(super) topic: String,
    pub(super) push: usize,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) outbox: Outbox,
    pub(super) socket: Socket,
    /// A portion that was read, and whether it was for one that is set aside.
    pub(super) fetched: Option<(Wanted, Portion, bool)>,
    /// Under way: packet id and push.
    pub(super) open: Vec<(u16, usize)>,
    /// On this connection.
    pub(super) seen: BTreeSet<usize>,
    /// By topic, the last seq that arrived.
    pub(super) last: BTreeMap<String, Seq>,
    /// Answered when it was made, and written down.
    pub(super) known: BTreeSet<usize>,
}

impl Connection {
    pub(super) fn new(client: &str, user: UserId, resume: Resume, terms: Terms, known: BTreeSet<usize>) -> Self {
        let window = Window::new(terms.window, resume.inflight);
        let window = if terms.careful { window.carefully() } else { window };
        Self {
            session: Session::new(Version::V3, client.into(), Some(user), window, None, Default::default()),
            outbox: Outbox::default(),
            socket: Socket { poison_every: terms.poison_every, ..Socket::default() },
            fetched: None,
            open: Vec::new(),
            seen: BTreeSet::new(),
            last: BTreeMap::new(),
            known,
        }
    }

    /// What has been written to the socket since the last time.
    pub(super) fn read(&self) -> Vec<Arrived> {
        let bytes = self.socket.got.take();
        let mut rest = &bytes[..];
        let mut all = Vec::new();
        while !rest.is_empty() {
            let (arrived, next) = parse(rest);
            all.push(arrived);
            rest = next;
        }
        all
    }
}

/// The first packet, and what follows it.
fn parse(bytes: &[u8]) -> (Arrived, &[u8]) {
    let (&first, tail) = bytes.split_first().unwrap();
    assert_eq!(first >> 4, 3, "only PUBLISH is sent here");
    let (mut length, mut at) = (0_usize, 0);
    loop {
        length |= usize::from(tail[at] & 0x7F) << (7 * at);
        at += 1;
        if tail[at - 1] < 0x80 {
            break;
        }
    }
    let (packet, next) = tail[at..].split_at(length);
    let name = usize::from(u16::from_be_bytes([packet[0], packet[1]]));
    let topic = String::from_utf8(packet[2..2 + name].to_vec()).unwrap();
    let body = &packet[2 + name..];
    let (id, body) =
        if first & 0b110 == 0 { (None, body) } else { (Some(u16::from_be_bytes([body[0], body[1]])), &body[2..]) };
    let push = std::str::from_utf8(body).unwrap().parse().unwrap();
    (Arrived { id, topic, push }, next)
}
