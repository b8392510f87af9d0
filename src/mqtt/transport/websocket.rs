//! MQTT over WebSocket (MQTT 5.0 §6): binary frames, whose borders say nothing. tungstenite speaks it; its `WebSocket` works on
//! whatever reads and writes without waiting.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Read, Write};
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use tungstenite::protocol::{Message, Role, WebSocketConfig};

use super::{AHEAD, Transport, would_block};
use crate::mqtt::send_buffer::Sink as _;

#[derive(Debug)]
pub(in crate::mqtt) struct WebSocket {
    socket: RefCell<tungstenite::WebSocket<Below>>,
    below: Rc<Transport>,
    /// Of the last frame, what has not been read.
    rest: RefCell<Bytes>,
    /// Frames may have been read from the socket that nobody has asked for.
    may_have_more: Cell<bool>,
    intake: Rc<Intake>,
    /// It has frames that the transport below has not taken.
    has_pending: Cell<bool>,
}

/// What one look at the socket may take, and what has been taken and not come out as a frame.
#[derive(Debug, Default)]
struct Intake {
    left: Cell<usize>,
    held: Cell<usize>,
}

/// Bytes, and frames without content, of one look: pings must not keep a worker from everything else.
const LOOK: usize = 64 * 1024;
const FRAMES: usize = 64;

/// TCP or TLS.
#[derive(Debug)]
struct Below(Rc<Transport>, Rc<Intake>);

impl Read for Below {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.1.left.get());
        if most == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.0.try_read(&mut buffer[..most])?;
        self.1.left.set(self.1.left.get() - count);
        self.1.held.set(self.1.held.get() + count);
        Ok(count)
    }
}

impl Write for Below {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(&[IoSlice::new(bytes)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As an error of a socket.
fn as_io(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => io::ErrorKind::UnexpectedEof.into(),
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

impl WebSocket {
    pub(super) fn new(below: Transport, read: &Bytes, longest: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(4 * 1024)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * AHEAD)
            .max_message_size(Some(longest))
            .max_frame_size(Some(longest));
        let below = Rc::new(below);
        let intake = Rc::<Intake>::default();
        let stream = Below(Rc::clone(&below), Rc::clone(&intake));
        let socket = tungstenite::WebSocket::from_partially_read(stream, read.to_vec(), Role::Server, Some(config));
        let has_pending = Cell::new(false);
        // What was read already may be whole frames.
        let may_have_more = Cell::new(true);
        Self { socket: RefCell::new(socket), below, rest: RefCell::default(), has_pending, may_have_more, intake }
    }

    pub(super) fn below(&self) -> &Transport {
        &self.below
    }

    pub(super) fn has_more(&self) -> bool {
        self.may_have_more.get() || !self.rest.borrow().is_empty()
    }

    pub(super) fn has_pending(&self) -> bool {
        self.has_pending.get()
    }

    /// Bytes that have been read and not come out as a frame: of one that is not whole.
    pub(super) fn held(&self) -> usize {
        self.intake.held.get()
    }

    /// From now on a frame may be as long as this.
    pub(super) fn set_longest(&self, longest: usize) {
        self.socket.borrow_mut().set_config(|config| {
            config.max_message_size = Some(longest);
            config.max_frame_size = Some(longest);
        });
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.intake.left.set(LOOK);
        let mut rest = self.rest.borrow_mut();
        for _ in 0..FRAMES {
            if !rest.is_empty() {
                let count = rest.len().min(buffer.len());
                rest.copy_to_slice(&mut buffer[..count]);
                return Ok(count);
            }
            match self.next_frame() {
                Ok(Some(bytes)) => *rest = bytes,
                Ok(None) => {}
                Err(error) if would_block(&error) => {
                    // It was the look that ended, or the socket has no more.
                    self.may_have_more.set(self.intake.left.get() == 0);
                    return Err(error);
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
        }
        self.may_have_more.set(true);
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// The content of the next frame; none where it has none for us.
    fn next_frame(&self) -> io::Result<Option<Bytes>> {
        let message = self.socket.borrow_mut().read();
        // A ping has been answered, or a goodbye.
        self.flush();
        match message.map_err(as_io)? {
            Message::Binary(bytes) => {
                self.intake.held.set(0);
                self.may_have_more.set(true);
                Ok(Some(bytes))
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
            Message::Close(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            // MQTT 5.0 §6.0: it is closed for that.
            Message::Text(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    pub(super) fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        // Nothing is framed for a socket that has not taken what was framed before.
        if self.has_pending.get() {
            self.flush();
            if self.has_pending.get() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        let mut frame = BytesMut::new();
        for part in parts {
            frame.extend_from_slice(&part[..part.len().min(AHEAD - frame.len())]);
        }
        let taken = frame.len();
        let written = self.socket.borrow_mut().write(Message::Binary(frame.freeze()));
        match written.map_err(as_io) {
            Err(error) if !would_block(&error) => return Err(error),
            _ => {}
        }
        self.flush();
        Ok(taken)
    }

    pub(super) fn flush(&self) {
        let flushed = self.socket.borrow_mut().flush().map_err(as_io);
        self.has_pending.set(flushed.is_err_and(|error| would_block(&error)));
    }

    pub(super) fn end(&self) {
        let _ = self.socket.borrow_mut().close(None);
        self.flush();
    }
}
