//! The listeners of one side: several addresses, with and without TLS; and connections that go from one side to the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpSocket};

use crate::config::Networks;
pub use crate::proxy_protocol::Accepted;
use crate::proxy_protocol::Proxied;
use crate::tls::Certificates;

/// Connections that may wait to be accepted: a fleet that reconnects at once. The system's default of 128 would make
/// most of it wait a second for its next try.
const BACKLOG: u32 = 4_096;

#[derive(Debug)]
struct Listener {
    listener: TcpListener,
    tls: Option<Arc<Certificates>>,
}

/// All listeners of one side.
#[derive(Debug, Default)]
pub struct Listeners {
    all: Vec<Listener>,
    /// Whose turn it is: none keeps the others waiting.
    next: AtomicUsize,
    proxied: Proxied,
}

/// A connection that speaks WebSocket from now on, on its way from the HTTP side to the MQTT side.
#[derive(Debug)]
pub struct Upgraded {
    pub stream: std::net::TcpStream,
    pub remote: SocketAddr,
    /// The TLS that is under way on it.
    pub tls: Option<rustls::ServerConnection>,
    /// What has been read behind the request.
    pub read: Bytes,
}

/// Where they go. They wait there in a small number.
pub type Upgrades = tokio::sync::mpsc::Sender<Upgraded>;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: cannot listen on {address}: {source}")]
pub struct Error {
    key: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

impl Listeners {
    /// Connections from these proxies begin with a header that says where they are from; it has to be there within this time.
    #[must_use]
    pub fn behind(proxies: Networks, timeout: Duration) -> Self {
        Self { proxied: Proxied::new(proxies, timeout), ..Self::default() }
    }

    /// Listens on further addresses; answers them as they are bound.
    pub fn bind(
        &mut self,
        key: &'static str,
        addresses: &[SocketAddr],
        tls: Option<&Arc<Certificates>>,
    ) -> Result<Vec<SocketAddr>, Error> {
        let mut bound = Vec::with_capacity(addresses.len());
        for &address in addresses {
            let fail = |source| Error { key, address, source };
            let listener = listen(address).map_err(fail)?;
            bound.push(listener.local_addr().map_err(fail)?);
            self.all.push(Listener { listener, tls: tls.cloned() });
        }
        Ok(bound)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The next socket of any of them.
    pub async fn accept(&self) -> std::io::Result<Accepted> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(accepted) = self.proxied.poll(cx) {
                return Poll::Ready(Ok(accepted));
            }
            let first = self.next.load(Ordering::Relaxed);
            for at in (0..self.all.len()).map(|at| (first + at) % self.all.len()) {
                let Listener { listener, tls } = &self.all[at];
                while let Poll::Ready(accepted) = listener.poll_accept(cx) {
                    self.next.store(at + 1, Ordering::Relaxed);
                    let accepted = accepted.map(|(stream, remote)| Accepted { stream, remote, tls: tls.clone() });
                    match accepted {
                        // It comes back with the address of its client.
                        Ok(accepted) if self.proxied.is_from_one(&accepted) => self.proxied.ask(accepted),
                        accepted => return Poll::Ready(accepted),
                    }
                }
            }
            Poll::Pending
        })
        .await
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() {
        // "[::]" and "0.0.0.0" can both be named.
        socket2::SockRef::from(&socket).set_only_v6(true)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
