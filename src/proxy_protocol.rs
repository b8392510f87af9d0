//! The PROXY protocol (HAProxy, versions 1 and 2): a proxy says before anything else where a connection is really from. It is
//! believed where the configuration names the proxy, and there it has to say so. `ppp` reads the headers.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use ppp::{HeaderResult, v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};

use crate::config::Networks;
use crate::log_limit::LogLimit;
use crate::tls::Certificates;

/// A socket that was accepted.
#[derive(Debug)]
pub struct Accepted {
    pub stream: TcpStream,
    pub remote: SocketAddr,
    /// With this TLS.
    pub tls: Option<Arc<Certificates>>,
}

/// Connections that may be asked at a time; further ones are closed.
const ASKED: usize = 4_096;
/// Longest header in bytes: of version 1 by its specification, of version 2 with room for what may follow the addresses.
const V1_LONGEST: usize = 107;
const V2_LONGEST: usize = 2_048;
/// Signature, version, family and length.
const V2_FIXED: usize = 16;

static REFUSED: LogLimit = LogLimit::new(2);

/// Connections of proxies, on their way from where they were accepted to where they are served.
#[derive(Debug)]
pub struct Proxied {
    proxies: Networks,
    timeout: Duration,
    places: Arc<Semaphore>,
    done: mpsc::UnboundedSender<Accepted>,
    ready: Mutex<mpsc::UnboundedReceiver<Accepted>>,
}

impl Default for Proxied {
    fn default() -> Self {
        Self::new(Networks::default(), Duration::ZERO)
    }
}

impl Proxied {
    pub fn new(proxies: Networks, timeout: Duration) -> Self {
        // Bounded by the places.
        let (done, ready) = mpsc::unbounded_channel();
        Self { proxies, timeout, places: Arc::new(Semaphore::new(ASKED)), done, ready: Mutex::new(ready) }
    }

    pub fn is_from_one(&self, accepted: &Accepted) -> bool {
        self.proxies.has(accepted.remote.ip())
    }

    /// Waits for the header, and gives the connection on with the address that it says.
    pub fn ask(&self, accepted: Accepted) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return refuse(accepted.remote, "so many connections of proxies wait for their headers");
        };
        let (done, timeout) = (self.done.clone(), self.timeout);
        tokio::spawn(async move {
            let Accepted { mut stream, remote, tls } = accepted;
            match tokio::time::timeout(timeout, client(&mut stream)).await {
                Ok(Ok(client)) => {
                    let _ = done.send(Accepted { stream, remote: client.unwrap_or(remote), tls });
                }
                Ok(Err(error)) => refuse(remote, &error.to_string()),
                Err(_) => refuse(remote, "its header did not come in time"),
            }
            drop(place);
        });
    }

    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Accepted> {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner).poll_recv(cx);
        match ready {
            Poll::Ready(Some(accepted)) => Poll::Ready(accepted),
            _ => Poll::Pending,
        }
    }
}

fn refuse(proxy: SocketAddr, why: &str) {
    if let Some(left_out) = REFUSED.pass() {
        tracing::warn!(%proxy, left_out, "a connection of a proxy (proxy_protocol_from) was closed: {why}");
    }
}

fn wrong(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

/// Reads the header and nothing behind it. None where the proxy speaks for itself (`LOCAL`, `UNKNOWN`).
async fn client(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; V2_FIXED - 4];
    stream.read_exact(&mut header).await?;
    if header == v2::PROTOCOL_PREFIX {
        header.resize(V2_FIXED, 0);
        stream.read_exact(&mut header[V2_FIXED - 4..]).await?;
        let length = V2_FIXED + usize::from(u16::from_be_bytes([header[14], header[15]]));
        if length > V2_LONGEST {
            return Err(wrong("its PROXY header is too long"));
        }
        header.resize(length, 0);
        stream.read_exact(&mut header[V2_FIXED..]).await?;
    } else if header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        while !header.ends_with(b"\r\n") {
            if header.len() >= V1_LONGEST {
                return Err(wrong("its PROXY header is too long"));
            }
            header.push(stream.read_u8().await?);
        }
    } else {
        return Err(wrong("it does not begin with a PROXY header"));
    }
    said(&header).ok_or_else(|| wrong("its PROXY header cannot be read"))
}

/// The address of the client; the outer `None` is a header that is none.
#[allow(clippy::option_option)]
fn said(header: &[u8]) -> Option<Option<SocketAddr>> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => Some(match header.addresses {
            v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) if header.command == v2::Command::Local => Some(None),
        HeaderResult::V2(Ok(header)) => Some(match header.addresses {
            v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
            v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
            v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// What is read of these bytes, and what is left behind them.
    async fn read(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut from = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut to, _) = listener.accept().await.unwrap();
        from.write_all(bytes).await.unwrap();
        drop(from);
        let said = client(&mut to).await;
        let mut rest = Vec::new();
        to.read_to_end(&mut rest).await.unwrap();
        (said, rest)
    }

    /// The headers are those of the specification, §2.1 and §2.2.
    #[tokio::test]
    async fn headers_of_both_versions_say_where_a_connection_is_from() {
        let ipv4 = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C"[..], &[192, 0, 2, 7, 10, 0, 0, 1, 0xD4, 0x31, 0x07, 0x5B]];
        let ipv4 = ipv4.concat();
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 54321 1883\r\n".to_vec(), Some("192.0.2.7:54321")),
            (b"PROXY TCP6 2001:db8::7 ::1 54321 1883\r\n".to_vec(), Some("[2001:db8::7]:54321")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (ipv4, Some("192.0.2.7:54321")),
            (local, None),
        ] {
            let (said, rest) = read(&[&header[..], b"\x10rest"].concat()).await;
            assert_eq!(said.unwrap(), expected.map(|address| address.parse().unwrap()), "{header:?}");
            assert_eq!(rest, b"\x10rest", "what follows is the client's");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        for bad in [
            &b"\x10\x10\0\x04MQTT\x04\x02\0\0\0\0"[..],
            b"PROXY TCP4 1.2.3 10.0.0.1 1 2\r\n",
            b"PROXY TCP4",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xFF\xFF",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
            &[b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
        ] {
            assert!(read(bad).await.0.is_err(), "{bad:?}");
        }
    }
}
