//! Serving sockets. hyper is used directly: it has the timeout for request heads that a connection which sends nothing
//! needs.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config;

/// How long requests that are under way may take to finish once the stop has begun.
const DRAIN: Duration = Duration::from_secs(5);
/// An answer that nobody reads for so long is given up.
const WRITE: Duration = Duration::from_secs(30);

/// Serves until told to stop, then lets requests that are under way finish, for a moment.
pub async fn serve(listener: TcpListener, router: Router, settings: config::Http, stop: CancellationToken) {
    let tracker = TaskTracker::new();
    let cut = CancellationToken::new();
    let slots = Arc::new(Semaphore::new(settings.max_connections));
    loop {
        let accepted = tokio::select! {
            slot_and_stream = accept(&listener, &slots) => slot_and_stream,
            () = stop.cancelled() => break,
        };
        let Some((slot, stream)) = accepted else { continue };
        let (router, stop, cut) = (router.clone(), stop.clone(), cut.clone());
        let timeout = settings.header_timeout;
        tracker.spawn(async move {
            cut.run_until_cancelled(connection(stream, router, timeout, stop)).await;
            drop(slot);
        });
    }
    tracker.close();
    if tokio::time::timeout(DRAIN, tracker.wait()).await.is_err() {
        tracing::info!(connections = tracker.len(), "HTTP requests that did not finish in time are cut off");
        cut.cancel();
        tracker.wait().await;
    }
}

/// A slot first: sockets beyond the limit wait in the accept queue of the system.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(tokio::sync::OwnedSemaphorePermit, TcpStream)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((slot, stream)),
        Err(error) => {
            tracing::warn!(%error, "an HTTP connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, router: Router, header_timeout: Duration, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE));
    let stream = Box::pin(stream);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}
