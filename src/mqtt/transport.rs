//! What carries the bytes of a connection: TCP, TLS over it, and WebSocket over either. Never waits: a worker serves thousands.
//!
//! Above TCP, bytes count as written when they are encrypted or framed for the socket, of which [`AHEAD`] at most may wait for
//! it.

mod tls;
mod websocket;

use std::io::{self, IoSlice};

use bytes::Bytes;
use rustls::ServerConnection;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

use super::send_buffer::Sink;
use tls::Tls;
use websocket::WebSocket;

/// Bytes that may be encrypted or framed before the socket takes them.
const AHEAD: usize = 64 * 1024;

#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    Tls(Box<Tls>),
    WebSocket(Box<WebSocket>),
}

impl Transport {
    pub(super) fn new(tcp: TcpStream, session: Option<ServerConnection>) -> Self {
        match session {
            None => Self::Tcp(tcp),
            Some(session) => Self::Tls(Box::new(Tls::new(tcp, session))),
        }
    }

    /// WebSocket over this, which has read so much already. `longest`: bytes of one frame.
    pub(super) fn websocket(self, read: &Bytes, longest: usize) -> Self {
        Self::WebSocket(Box::new(WebSocket::new(self, read, longest)))
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.tcp(),
            Self::WebSocket(socket) => socket.below().tcp(),
        }
    }

    /// As events and metrics have it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Tls(_) => "tls",
            Self::WebSocket(socket) => match socket.below() {
                Self::Tls(_) => "websocket-tls",
                Self::Tcp(_) | Self::WebSocket(_) => "websocket",
            },
        }
    }

    /// Whether something has been read from the socket and not by us: the socket will not tell.
    fn has_more(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(tls) => tls.has_more(),
            Self::WebSocket(socket) => socket.has_more() || socket.below().has_more(),
        }
    }

    pub(super) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        if interest.is_readable() && self.has_more() {
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
            Self::WebSocket(socket) => socket.try_read(buffer),
        }
    }

    /// The certificate of the client, in DER.
    pub(super) fn certificate(&self) -> Option<Vec<u8>> {
        match self {
            Self::Tcp(_) => None,
            Self::Tls(tls) => tls.certificate(),
            Self::WebSocket(socket) => socket.below().certificate(),
        }
    }

    /// Bytes that have been read from the socket and are no use yet.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Tcp(_) | Self::Tls(_) => 0,
            Self::WebSocket(socket) => socket.held(),
        }
    }

    /// It is known who it is: what comes may be as long as a packet.
    pub(super) fn set_longest(&self, longest: usize) {
        if let Self::WebSocket(socket) = self {
            socket.set_longest(longest);
        }
    }

    /// Whether something was written that the socket has not taken.
    pub(super) fn has_pending(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(tls) => tls.has_pending(),
            Self::WebSocket(socket) => socket.has_pending() || socket.below().has_pending(),
        }
    }

    /// Gives the socket what is pending, as far as it takes it. A broken socket is found when it is read.
    pub(super) fn flush(&self) {
        match self {
            Self::Tcp(_) => {}
            Self::Tls(tls) => tls.flush(),
            Self::WebSocket(socket) => {
                socket.flush();
                socket.below().flush();
            }
        }
    }

    /// Says that nothing more will be written.
    pub(super) fn end(&self) {
        match self {
            Self::Tcp(_) => {}
            Self::Tls(tls) => tls.end(),
            Self::WebSocket(socket) => {
                socket.end();
                socket.below().end();
            }
        }
    }
}

impl Sink for Transport {
    fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, parts) {
            (Self::Tcp(tcp), [one]) => tcp.try_write(one),
            (Self::Tcp(tcp), many) => tcp.try_write_vectored(many),
            (Self::Tls(tls), parts) => tls.try_write(parts),
            (Self::WebSocket(socket), parts) => socket.try_write(parts),
        }
    }
}

fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
