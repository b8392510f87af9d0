//! What could not be written to a socket yet.
//!
//! At most one push stands here in part (see [`Outbox::is_free`]), and replies only while their number is small: the
//! connection is not read from while they wait. So a socket that nobody reads costs a bounded amount.
//!
//! A socket that fails while it is written to is no error here: what the other side said before may still have to be read.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

/// Replies that may wait before the connection is not read from any more, in bytes.
const ENOUGH: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// Bytes ever handed over to the socket.
    written: u64,
    /// The socket takes nothing any more. What is sent now is thrown away.
    broken: bool,
}

/// Where bytes go; a socket, or a list in tests.
pub(super) trait Sink {
    fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Outbox {
    /// Nothing waits: a push may be written.
    pub(super) fn is_free(&self) -> bool {
        self.waiting.is_empty() && !self.broken
    }

    /// Nothing waits that could still be written.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// So much waits that the other side should read before it may ask for more.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > ENOUGH
    }

    /// The mark that [`Outbox::has_passed`] is asked about: the end of what was sent so far.
    pub(super) fn mark(&self) -> u64 {
        if self.broken { u64::MAX } else { self.written + self.bytes as u64 }
    }

    pub(super) fn has_passed(&self, mark: u64) -> bool {
        self.written >= mark
    }

    /// Writes `head` and `body`, and keeps what the socket does not take.
    pub(super) fn send(&mut self, sink: &impl Sink, head: &[u8], body: &Bytes) {
        let mut taken = 0;
        if self.waiting.is_empty() && !self.broken {
            taken = if body.is_empty() {
                self.attempt(sink, &[IoSlice::new(head)])
            } else {
                self.attempt(sink, &[IoSlice::new(head), IoSlice::new(body)])
            };
        }
        if taken < head.len() {
            self.keep(Bytes::copy_from_slice(&head[taken..]));
            self.keep(body.clone());
        } else if taken < head.len() + body.len() {
            self.keep(body.slice(taken - head.len()..));
        }
    }

    fn keep(&mut self, bytes: Bytes) {
        if !bytes.is_empty() && !self.broken {
            self.bytes += bytes.len();
            self.waiting.push_back(bytes);
        }
    }

    /// Goes on writing until the socket takes no more or nothing waits; answers whether it took anything.
    pub(super) fn flush(&mut self, sink: &impl Sink) -> bool {
        let before = self.written;
        while let Some(mut front) = self.waiting.pop_front() {
            let taken = self.attempt(sink, &[IoSlice::new(&front)]);
            if self.broken {
                break;
            }
            self.bytes -= taken;
            front.advance(taken);
            if !front.is_empty() {
                self.waiting.push_front(front);
                break;
            }
        }
        self.written > before
    }

    /// Bytes that the socket took now.
    fn attempt(&mut self, sink: &impl Sink, parts: &[IoSlice<'_>]) -> usize {
        match sink.try_write(parts) {
            Ok(taken) => {
                self.written += taken as u64;
                taken
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
            Err(_) => {
                self.broken = true;
                self.waiting.clear();
                self.bytes = 0;
                0
            }
        }
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
            outbox.send(&pipe, b"head", &Bytes::from_static(b"body"));
            let mark = outbox.mark();
            outbox.send(&pipe, b"next", &Bytes::new());
            assert_eq!(outbox.is_free(), room >= 12);
            assert_eq!(outbox.has_passed(mark), room >= 8);
            pipe.room.set(100);
            outbox.flush(&pipe);
            assert!(outbox.is_free() && outbox.has_passed(mark));
            assert_eq!(&*pipe.got.borrow(), b"headbodynext", "room for {room}");
        }
    }
    #[test]
    fn a_broken_socket_passes_no_mark_and_keeps_nothing() {
        struct Broken;
        impl Sink for Broken {
            fn try_write(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let pipe = Pipe { room: Cell::new(6), got: RefCell::default() };
        let mut outbox = Outbox::default();
        outbox.send(&pipe, b"head", &Bytes::from_static(b"body"));
        let before = outbox.mark();
        outbox.flush(&Broken);
        outbox.send(&Broken, b"next", &Bytes::from_static(b"body"));
        assert!(outbox.is_broken() && outbox.is_done() && !outbox.is_free() && !outbox.is_full());
        assert!(!outbox.has_passed(before) && !outbox.has_passed(outbox.mark()));
    }
}
