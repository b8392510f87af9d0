//! What carries the bytes of a connection: TCP, or TLS over it. Never waits: a worker serves thousands.
//!
//! With TLS, bytes count as written when they are encrypted for the socket, of which [`AHEAD`] at most may wait for it.

use std::cell::{Cell, RefCell, RefMut};
use std::io::{self, IoSlice, Read, Write};

use rustls::ServerConnection;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

use super::send_buffer::Sink;

/// Bytes that may be encrypted before the socket takes them.
const AHEAD: usize = 64 * 1024;

#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    Tls(Box<Tls>),
}

#[derive(Debug)]
pub(super) struct Tls {
    tcp: TcpStream,
    session: RefCell<ServerConnection>,
    /// Some of what was decrypted has not been read: the socket will not tell.
    has_more: Cell<bool>,
}

impl Transport {
    pub(super) fn tls(tcp: TcpStream, mut session: ServerConnection) -> Self {
        session.set_buffer_limit(Some(AHEAD));
        Self::Tls(Box::new(Tls { tcp, session: RefCell::new(session), has_more: Cell::new(false) }))
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => &tls.tcp,
        }
    }

    pub(super) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        if let Self::Tls(tls) = self
            && tls.has_more.get()
            && interest.is_readable()
        {
            return Ok(Ready::READABLE);
        }
        self.tcp().ready(interest).await
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.ready(Interest::READABLE).await.map(|_| ())
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        self.tcp().writable().await
    }

    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.try_read(buffer),
            Self::Tls(tls) => tls.try_read(buffer),
        }
    }

    /// Whether something was written that the socket has not taken.
    pub(super) fn has_pending(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(tls) => tls.session.borrow().wants_write(),
        }
    }

    /// Gives the socket what is pending, as far as it takes it.
    pub(super) fn flush(&self) {
        if let Self::Tls(tls) = self {
            // A broken socket is found when it is read.
            let _ = tls.write_out(&mut tls.session.borrow_mut());
        }
    }

    /// Says that nothing more will be written.
    pub(super) fn end(&self) {
        if let Self::Tls(tls) = self {
            let mut session = tls.session.borrow_mut();
            session.send_close_notify();
            let _ = tls.write_out(&mut session);
        }
    }
}

impl Tls {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        loop {
            match session.reader().read(buffer) {
                Ok(count) => {
                    self.has_more.set(count == buffer.len());
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.has_more.set(false),
                Err(error) => return Err(error),
            }
            let has_ended = session.read_tls(&mut Socket(&self.tcp))? == 0;
            let faulty = session.process_new_packets().err();
            // The handshake goes on, or the other side is told why it does not.
            match self.write_out(&mut session) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
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

    fn write_out(&self, session: &mut RefMut<'_, ServerConnection>) -> io::Result<()> {
        while session.wants_write() {
            session.write_tls(&mut Socket(&self.tcp))?;
        }
        Ok(())
    }
}

impl Sink for Transport {
    fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let tls = match self {
            Self::Tcp(tcp) => {
                return match parts {
                    [one] => tcp.try_write(one),
                    many => tcp.try_write_vectored(many),
                };
            }
            Self::Tls(tls) => tls,
        };
        let mut session = tls.session.borrow_mut();
        // Nothing is encrypted for a socket that has not taken what was encrypted before.
        tls.write_out(&mut session)?;
        let taken = session.writer().write_vectored(parts)?;
        match tls.write_out(&mut session) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
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
