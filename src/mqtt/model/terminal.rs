//! A terminal of the model: a session, a socket that takes everything, and what the device at its end has seen.

use std::cell::RefCell;
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
}

#[derive(Debug, Default)]
pub(super) struct Socket(RefCell<Vec<u8>>);

impl Sink for Socket {
    fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut got = self.0.borrow_mut();
        parts.iter().for_each(|part| got.extend_from_slice(part));
        Ok(parts.iter().map(|part| part.len()).sum())
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
            session: Session::new(Version::V3, client.into(), Some(user), window, None),
            outbox: Outbox::default(),
            socket: Socket::default(),
            fetched: None,
            open: Vec::new(),
            seen: BTreeSet::new(),
            last: BTreeMap::new(),
            known,
        }
    }

    /// What has been written to the socket since the last time.
    pub(super) fn read(&self) -> Vec<Arrived> {
        let bytes = self.socket.0.take();
        let mut rest = &bytes[..];
        let mut arrived = Vec::new();
        while let Some((&first, tail)) = rest.split_first() {
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
            rest = next;
            let name = usize::from(u16::from_be_bytes([packet[0], packet[1]]));
            let topic = String::from_utf8(packet[2..2 + name].to_vec()).unwrap();
            let body = &packet[2 + name..];
            let (id, body) = if first & 0b110 == 0 {
                (None, body)
            } else {
                (Some(u16::from_be_bytes([body[0], body[1]])), &body[2..])
            };
            let push = std::str::from_utf8(body).unwrap().parse().unwrap();
            arrived.push(Arrived { id, topic, push });
        }
        arrived
    }
}
