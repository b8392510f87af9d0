//! What could not be written to a socket yet.
//!
//! At most one push stands here in part (see [`Outbox::is_free`]), and replies only while their number is small: the
//! connection is not read from while they wait. So a socket that nobody reads costs a bounded amount.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;

/// Replies that may wait before the connection is not read from any more, in bytes.
const ENOUGH: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// Bytes ever handed over to the socket.
    written: u64,
}

/// Where bytes go; a socket, or a list in tests.
pub(super) trait Sink {
    fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Sink for TcpStream {
    fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match parts {
            [one] => Self::try_write(self, one),
            many => self.try_write_vectored(many),
        }
    }
}

impl Outbox {
    /// Nothing waits: a push may be written.
    pub(super) fn is_free(&self) -> bool {
        self.waiting.is_empty()
    }

    /// So much waits that the other side should read before it may ask for more.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > ENOUGH
    }

    /// The mark that [`Outbox::has_passed`] is asked about: the end of what was sent so far.
    pub(super) fn mark(&self) -> u64 {
        self.written + self.bytes as u64
    }

    pub(super) fn has_passed(&self, mark: u64) -> bool {
        self.written >= mark
    }

    /// Writes `head` and `body`, and keeps what the socket does not take.
    pub(super) fn send(&mut self, sink: &impl Sink, head: &[u8], body: &Bytes) -> io::Result<()> {
        let mut taken = 0;
        if self.waiting.is_empty() {
            taken = if body.is_empty() {
                attempt(sink, &[IoSlice::new(head)])?
            } else {
                attempt(sink, &[IoSlice::new(head), IoSlice::new(body)])?
            };
            self.written += taken as u64;
        }
        if taken < head.len() {
            self.keep(Bytes::copy_from_slice(&head[taken..]));
            self.keep(body.clone());
        } else if taken < head.len() + body.len() {
            self.keep(body.slice(taken - head.len()..));
        }
        Ok(())
    }

    fn keep(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.waiting.push_back(bytes);
        }
    }

    /// Goes on writing until the socket takes no more or nothing waits; answers whether it took anything.
    pub(super) fn flush(&mut self, sink: &impl Sink) -> io::Result<bool> {
        let before = self.written;
        while let Some(front) = self.waiting.front_mut() {
            let taken = attempt(sink, &[IoSlice::new(front)])?;
            if taken == 0 {
                break;
            }
            self.written += taken as u64;
            self.bytes -= taken;
            front.advance(taken);
            if front.is_empty() {
                self.waiting.pop_front();
            }
        }
        Ok(self.written > before)
    }
}

fn attempt(sink: &impl Sink, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    match sink.try_write(parts) {
        Ok(taken) => Ok(taken),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    struct Pipe {
        room: Cell<usize>,
        got: RefCell<Vec<u8>>,
    }

    impl Sink for Pipe {
        fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            if self.room.get() == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let all: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            let taken = all.len().min(self.room.get());
            self.room.set(self.room.get() - taken);
            self.got.borrow_mut().extend(&all[..taken]);
            Ok(taken)
        }
    }

    #[test]
    fn what_does_not_fit_follows_in_order() {
        for room in 0..12 {
            let pipe = Pipe { room: Cell::new(room), got: RefCell::default() };
            let mut outbox = Outbox::default();
            outbox.send(&pipe, b"head", &Bytes::from_static(b"body")).unwrap();
            let mark = outbox.mark();
            outbox.send(&pipe, b"next", &Bytes::new()).unwrap();
            assert_eq!(outbox.is_free(), room >= 12);
            assert_eq!(outbox.has_passed(mark), room >= 8);
            pipe.room.set(100);
            outbox.flush(&pipe).unwrap();
            assert!(outbox.is_free() && outbox.has_passed(mark));
            assert_eq!(&*pipe.got.borrow(), b"headbodynext", "room for {room}");
        }
    }
}
