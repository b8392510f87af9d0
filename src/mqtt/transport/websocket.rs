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
    /// It has not been read from yet.
    is_fresh: Cell<bool>,
    /// It has frames that the transport below has not taken.
    has_pending: Cell<bool>,
}

/// TCP or TLS.
#[derive(Debug)]
struct Below(Rc<Transport>);

impl Read for Below {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
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
        let stream = Below(Rc::clone(&below));
        let socket = tungstenite::WebSocket::from_partially_read(stream, read.to_vec(), Role::Server, Some(config));
        let has_pending = Cell::new(false);
        // What was read already may be whole frames.
        let is_fresh = Cell::new(true);
        Self { socket: RefCell::new(socket), below, rest: RefCell::default(), has_pending, is_fresh }
    }

    pub(super) fn below(&self) -> &Transport {
        &self.below
    }

    pub(super) fn has_more(&self) -> bool {
        self.is_fresh.get() || !self.rest.borrow().is_empty()
    }

    pub(super) fn has_pending(&self) -> bool {
        self.has_pending.get()
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.is_fresh.set(false);
        let mut rest = self.rest.borrow_mut();
        while rest.is_empty() {
            let message = self.socket.borrow_mut().read();
            // A ping has been answered, or a goodbye.
            self.flush();
            match message {
                Ok(Message::Binary(bytes)) => *rest = bytes,
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(_)) => return Ok(0),
                // MQTT 5.0 §6.0: it is closed for that.
                Ok(Message::Text(_)) => return Err(io::ErrorKind::InvalidData.into()),
                Err(error) => return Err(as_io(error)),
            }
        }
        let count = rest.len().min(buffer.len());
        rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
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
