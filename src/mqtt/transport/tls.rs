//! TLS over a socket that does not wait.

use std::cell::{Cell, RefCell, RefMut};
use std::io::{self, IoSlice, Read, Write};

use rustls::ServerConnection;
use tokio::net::TcpStream;

use super::{AHEAD, would_block};

#[derive(Debug)]
pub(in crate::mqtt) struct Tls {
    tcp: TcpStream,
    session: RefCell<ServerConnection>,
    /// Some of what was decrypted has not been read.
    has_more: Cell<bool>,
    /// The socket takes nothing any more.
    is_broken: Cell<bool>,
}

impl Tls {
    pub(super) fn new(tcp: TcpStream, mut session: ServerConnection) -> Self {
        session.set_buffer_limit(Some(AHEAD));
        // One that comes from elsewhere may have decrypted something already.
        Self { tcp, session: RefCell::new(session), has_more: Cell::new(true), is_broken: Cell::new(false) }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// The certificate that the client has shown, and that was verified.
    pub(super) fn certificate(&self) -> Option<Vec<u8>> {
        Some(self.session.borrow().peer_certificates()?.first()?.to_vec())
    }

    pub(super) fn has_more(&self) -> bool {
        self.has_more.get()
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.is_broken.get() && self.session.borrow().wants_write()
    }

    pub(super) fn flush(&self) {
        let _ = self.write_out(&mut self.session.borrow_mut());
    }

    pub(super) fn end(&self) {
        let mut session = self.session.borrow_mut();
        session.send_close_notify();
        let _ = self.write_out(&mut session);
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        loop {
            match session.reader().read(buffer) {
                Ok(count) => {
                    self.has_more.set(count == buffer.len());
                    return Ok(count);
                }
                Err(error) if would_block(&error) => self.has_more.set(false),
                Err(error) => return Err(error),
            }
            let has_ended = session.read_tls(&mut Socket(&self.tcp))? == 0;
            let faulty = session.process_new_packets().err();
            // The handshake goes on, or the other side is told why it does not.
            match self.write_out(&mut session) {
                Err(error) if !would_block(&error) => return Err(error),
                _ => {}
            }
            if let Some(error) = faulty {
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            if has_ended && session.is_handshaking() {
                return Ok(0);
            }
        }
    }

    pub(super) fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        // Nothing is encrypted for a socket that has not taken what was encrypted before.
        self.write_out(&mut session)?;
        let taken = session.writer().write_vectored(parts)?;
        match self.write_out(&mut session) {
            Err(error) if !would_block(&error) => Err(error),
            _ => Ok(taken),
        }
    }

    fn write_out(&self, session: &mut RefMut<'_, ServerConnection>) -> io::Result<()> {
        while session.wants_write() {
            if let Err(error) = session.write_tls(&mut Socket(&self.tcp)) {
                self.is_broken.set(!would_block(&error));
                return Err(error);
            }
        }
        Ok(())
    }
}

/// A socket that does not wait, as rustls wants one.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
