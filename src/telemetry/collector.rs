//! How spans get to the collector: one POST after the other, over a connection each.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::log_limit::LogLimit;
use crate::tls::Trust;

/// So much of an answer is read; it says how many spans were not liked.
const ANSWER: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Collector {
    /// The exporter's thread is none of the runtime's, and cannot wait for sockets.
    runtime: Handle,
    trust: Arc<Trust>,
    timeout: Duration,
    told: LogLimit,
}

impl Collector {
    pub(super) fn new(runtime: Handle, trust: Trust, timeout: Duration) -> Self {
        Self { runtime, trust: Arc::new(trust), timeout, told: LogLimit::new(1) }
    }

    fn complain(&self, error: &str) {
        if let Some(left_out) = self.told.pass() {
            tracing::warn!(error, left_out, "traces could not be exported; spans are lost");
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (trust, timeout) = (Arc::clone(&self.trust), self.timeout);
        let work = async move { tokio::time::timeout(timeout, send(&trust, request)).await };
        // It ends early where the process does.
        let answer = match AbortOnDropHandle::new(self.runtime.spawn(work)).await? {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".into()),
        };
        match &answer {
            Ok(answer) if !answer.status().is_success() => self.complain(&format!("answered {}", answer.status())),
            Ok(_) => {}
            Err(error) => self.complain(error),
        }
        answer.map_err(Into::into)
    }
}

async fn send(trust: &Trust, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let uri = request.uri().clone();
    let is_https = uri.scheme_str() == Some("https");
    let written = uri.host().unwrap_or_default();
    let host = written.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let (mut parts, body) = request.into_parts();
    parts.uri = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    parts.headers.insert(HOST, HeaderValue::from_str(&format!("{written}:{port}"))?);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let request = Request::from_parts(parts, Full::new(body));
    let stream = TcpStream::connect((host, port)).await?;
    if is_https {
        return exchange(trust.connect(host, stream).await?, request).await;
    }
    exchange(stream, request).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, HttpError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
    Ok(Response::from_parts(parts, body))
}
