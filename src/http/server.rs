//! Serving sockets. hyper is used directly: it has the timeout for request heads that a connection which sends nothing
//! needs.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use super::NOBODY;
use super::connection_slots::{Slot, Slots};
use super::connection_socket::Socket as HttpSocket;
use super::live::{Live, Serving};
use super::pap::{Observer, Sender};
use super::remote::{Certified, Remote};
use super::request_body::Unreadable;
use super::stream::Stream;
use crate::config::ClientName;
use crate::listeners::{Accepted, Listeners};
use crate::log_limit::LogLimit;
use crate::tls;

static NOT_ACCEPTED: LogLimit = LogLimit::new(2);

/// How long requests that are under way may take to finish once the stop has begun.
const DRAIN: Duration = Duration::from_secs(5);

/// When to stop: requests that are under way finish from `begin` on, and until `end` new ones are still answered (that
/// there is no new work any more).
#[derive(Debug, Clone, Default)]
pub struct Stop {
    pub begin: CancellationToken,
    pub end: CancellationToken,
}

/// Serves until told to stop.
pub async fn serve(listeners: Listeners, live: Arc<Live>, names: ClientName, stop: Stop) {
    let cut = CancellationToken::new();
    let observer = Observer::default();
    let slots = live.slots.clone();
    let server = Server { live, names, observer, cut };
    let before = TaskTracker::new();
    loop {
        tokio::select! {
            socket = accept(&listeners, &slots, &server.cut) => if let Some(socket) = socket {
                server.spawn(&before, socket, stop.begin.clone(), true);
            },
            () = stop.begin.cancelled() => break,
        }
    }
    before.close();
    let after = TaskTracker::new();
    let late = async {
        loop {
            if let Some(socket) = accept(&listeners, &slots, &server.cut).await {
                server.spawn(&after, socket, CancellationToken::new(), false);
            }
        }
    };
    let drain = async {
        if tokio::time::timeout(DRAIN, before.wait()).await.is_err() {
            tracing::info!(connections = before.len(), "HTTP requests that did not finish in time are cut off");
            server.cut.cancel();
            before.wait().await;
        }
        stop.end.cancelled().await;
    };
    tokio::select! {
        () = late => {}
        () = drain => {}
    }
    server.cut.cancel();
    after.close();
    after.wait().await;
}

/// What every connection is served with.
struct Server {
    live: Arc<Live>,
    /// What in a certificate names its client.
    names: ClientName,
    /// For what is no HTTP: nobody else sees that.
    observer: Observer,
    /// Connections end at once.
    cut: CancellationToken,
}

impl Server {
    fn spawn(&self, tracker: &TaskTracker, (slot, accepted): Socket, stop: CancellationToken, keep_alive: bool) {
        let (live, observer) = (Arc::clone(&self.live), self.observer.clone());
        let Serving { timeout, patience, .. } = live.serving();
        let remote = Remote { address: accepted.remote, is_secure: accepted.tls.is_some() };
        let names = self.names;
        tracker.spawn(async move {
            let handshake = tokio::time::timeout(timeout, secure(accepted));
            let Some(Ok(Ok(stream))) = slot.cut().run_until_cancelled(handshake).await else { return };
            let certified =
                stream.certificate().and_then(|certificate| tls::client_name(certificate, names)).map(Certified);
            let stream = HttpSocket::new(stream, patience);
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(timeout).keep_alive(keep_alive);
            let serving = connection(builder, stream, (remote, certified), live, stop, Arc::clone(&slot));
            let served = slot.cut().run_until_cancelled(serving).await;
            if let Some(Err(error)) = served {
                tracing::debug!(%error, "an HTTP connection ended early");
                if error.is_parse() {
                    let sent_by = Sender { initiator: NOBODY, endpoint: "", remote: Some(remote), request: None };
                    observer.refused(&sent_by, "unreadable", 2000, &format!("HTTP 400: this is not HTTP: {error}"));
                }
            }
            drop(slot);
        });
    }
}

/// The stream of a socket, with its handshake behind it.
async fn secure(accepted: Accepted) -> std::io::Result<Stream> {
    let Accepted { stream, remote, tls } = accepted;
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return Ok(Stream::Tcp(stream)) };
    match TlsAcceptor::from(tls.config()).accept(stream).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(error) => {
            tracing::debug!(%error, %remote, "a TLS handshake failed");
            Err(error)
        }
    }
}

type Socket = (Arc<Slot>, Accepted);

/// A socket with a place for it; further ones wait in the accept queue of the system meanwhile.
async fn accept(listeners: &Listeners, slots: &Slots, cut: &CancellationToken) -> Option<Socket> {
    match listeners.accept().await {
        Ok(accepted) => Some((slots.take(cut, accepted.remote.ip()).await?, accepted)),
        Err(error) => {
            if let Some(left_out) = NOT_ACCEPTED.pass() {
                tracing::warn!(%error, left_out, "an HTTP connection could not be accepted");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection(
    builder: http1::Builder,
    stream: HttpSocket,
    (remote, certified): (Remote, Option<Certified>),
    live: Arc<Live>,
    stop: CancellationToken,
    slot: Arc<Slot>,
) -> hyper::Result<()> {
    let refusal = stream.refusal();
    let service = service_fn(move |mut request| {
        request.extensions_mut().insert(remote);
        if let Some(certified) = &certified {
            request.extensions_mut().insert(certified.clone());
        }
        request.extensions_mut().insert(Arc::clone(&slot));
        // It is known before hyper gets the request that stands in for the refused one, and that is the last.
        if let Some(why) = refusal.get() {
            request.extensions_mut().insert(Unreadable(why));
        }
        let (answer, slot) = (live.router().call(request), Arc::clone(&slot));
        async move {
            let answer = answer.await;
            slot.waits();
            answer
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
