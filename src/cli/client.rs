//! A small HTTP client for the commands that talk to a running gateway.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::bail;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::settings::{Flags, Settings, Token};
pub(super) use super::stream::Lines;
use crate::tls::Trust;

/// Where the gateway is. What the command line leaves open is looked up when the first request is sent, once.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Gateway {
    #[command(flatten)]
    flags: Flags,
    #[arg(skip)]
    settings: Arc<OnceLock<Settings>>,
    /// Seconds for an answer, where nobody has set a limit.
    #[arg(skip)]
    patience: Option<u64>,
}

/// A gateway's PAP endpoint, and how to print what it answers.
#[derive(Debug, clap::Args)]
pub(super) struct Endpoint {
    #[command(flatten)]
    pub(super) gateway: Gateway,
    /// Path of the PAP endpoint.
    #[arg(long, default_value = "/pap")]
    pub(super) path: String,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A gateway's JSON API, and how to print what it answers.
#[derive(Debug, clap::Args)]
pub(super) struct Admin {
    #[command(flatten)]
    pub(super) gateway: Gateway,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// Longest answer that is read, in bytes.
const ANSWER: usize = 64 << 20;
/// Seconds for one answer, where nobody says otherwise.
const PATIENCE: u64 = 30;

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What the gateway says of a request that it refused (RFC 9457).
#[derive(Debug, Clone, thiserror::Error)]
#[error("{said}")]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The whole document; it may be none.
    pub(super) document: Value,
    said: String,
}

impl Problem {
    fn new(status: StatusCode, document: Value) -> Self {
        let detail = document["detail"].as_str().unwrap_or_else(|| status.as_str());
        Self { said: format!("{detail}{}", hint(status)), status, document }
    }

    /// Of an answer to another request than one of the JSON API.
    pub(super) fn of(reply: &Reply) -> Self {
        Self::new(reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
    }
}

/// No answer that could be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no gateway answers at {gateway} (--gateway names another one)")]
    NoGateway { gateway: Uri, source: std::io::Error },
    #[error("no TLS with {gateway}: {source} (--ca names the authority to trust)")]
    Tls { gateway: Uri, source: std::io::Error },
    #[error("{gateway} did not answer within {seconds} seconds (--timeout)")]
    Late { gateway: Uri, seconds: u64 },
    #[error("{gateway} is no HTTP server, or has just stopped: it closed the connection without an answer")]
    Mute { gateway: Uri },
    #[error("{gateway} is no HTTP server: what it answers is no HTTP; one that speaks TLS begins with https://")]
    NotHttp { gateway: Uri },
    #[error(transparent)]
    Refused(#[from] Problem),
    #[error("{gateway} is an HTTP server, but has no JSON API of papcast: it answered {status} to {method} {path}")]
    Foreign { gateway: Uri, status: StatusCode, method: Method, path: String },
}

impl Gateway {
    pub(super) fn at(address: std::net::SocketAddr) -> anyhow::Result<Self> {
        Ok(Self::of(format!("http://{address}").parse()?))
    }

    pub(super) fn of(gateway: Uri) -> Self {
        let settings = Arc::new(OnceLock::from(Settings::of(gateway)));
        Self { flags: Flags::default(), settings, patience: None }
    }

    fn settings(&self) -> anyhow::Result<&Settings> {
        if let Some(known) = self.settings.get() {
            return Ok(known);
        }
        let settings = self.flags.resolve()?;
        Ok(self.settings.get_or_init(|| settings))
    }

    /// The limit that somebody has set.
    pub(super) fn timeout(&self) -> anyhow::Result<Option<Duration>> {
        Ok(self.settings()?.timeout.map(Duration::from_secs))
    }

    /// Whether somebody has said where it is.
    pub(super) fn is_named(&self) -> anyhow::Result<bool> {
        Ok(self.settings()?.is_named)
    }

    /// The same gateway, with so much time for each answer unless somebody has set a limit.
    pub(super) fn patient(&self, seconds: u64) -> Self {
        Self { patience: Some(seconds), ..self.clone() }
    }

    /// Sends a body of this type.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<Reply> {
        self.request(method, path, &[("content-type".to_owned(), content_type.to_owned())], body).await
    }

    /// Sends one request on a connection of its own.
    pub(super) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> anyhow::Result<Reply> {
        let settings = self.settings()?;
        let seconds = settings.timeout.or(self.patience).unwrap_or(PATIENCE);
        let late = || Failure::Late { gateway: settings.gateway.clone(), seconds };
        let exchange = async {
            let response = Self::exchange(settings, method, path, headers, body).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body =
                Limited::new(response.into_body(), ANSWER).collect().await.map_err(|error| anyhow::anyhow!(error))?;
            Ok(Reply { status, headers, body: body.to_bytes() })
        };
        tokio::time::timeout(Duration::from_secs(seconds), exchange).await.map_err(|_| late())?
    }

    /// The lines of an answer that has no end, from an event on.
    pub(super) async fn stream(&self, path: &str, last_event: Option<&str>) -> anyhow::Result<Lines> {
        let settings = self.settings()?;
        let headers: Vec<(String, String)> =
            last_event.map(|id| ("last-event-id".to_owned(), id.to_owned())).into_iter().collect();
        let response = Self::exchange(settings, Method::GET, path, &headers, Vec::new()).await?;
        if response.status().is_success() {
            return Ok(Lines::new(response.into_body()));
        }
        let status = response.status();
        let body =
            Limited::new(response.into_body(), ANSWER).collect().await.map_err(|error| anyhow::anyhow!(error))?;
        let document = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        Err(Failure::from(Problem::new(status, document)).into())
    }

    async fn exchange(
        settings: &Settings,
        method: Method,
        path: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> anyhow::Result<Response<Incoming>> {
        let gateway = &settings.gateway;
        let Some(authority) = gateway.authority() else { bail!("{gateway}: not a URL such as http://127.0.0.1:8080") };
        let is_secure = gateway.scheme_str() == Some("https");
        let host = authority.host().trim_matches(['[', ']']);
        let place = (host, authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 }));
        let nobody = |source| Failure::NoGateway { gateway: gateway.clone(), source };
        let stream = TcpStream::connect(place).await.map_err(nobody)?;
        let request = Request::builder().method(method).uri(path).header("host", authority.as_str());
        let authorization =
            settings.token.iter().map(|Token(token)| ("authorization".to_owned(), format!("Bearer {token}")));
        let request = authorization.fold(request, |request, (name, value)| request.header(name, value));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let request = request.body(Full::new(Bytes::from(body)))?;
        let sent = if is_secure {
            let trust = Trust::new(settings.ca.as_deref(), "--ca")?;
            let insecure = |source| Failure::Tls { gateway: gateway.clone(), source };
            exchange(trust.connect(host, stream).await.map_err(insecure)?, request).await
        } else {
            exchange(stream, request).await
        };
        sent.map_err(|error| no_answer(gateway, error))
    }

    /// A JSON request whose answer is JSON; a problem document becomes the error.
    pub(super) async fn json(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        self.call(method, path, body, &[]).await.map(|(_, value)| value)
    }

    /// The same, with further headers, and with the status that came.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<(StatusCode, Value)> {
        let (status, value) = self.answer(method, path, body, headers).await?;
        if !status.is_success() {
            return Err(Failure::from(Problem::new(status, value)).into());
        }
        Ok((status, value))
    }

    /// What a path shows; none where there is no such thing.
    pub(super) async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let (status, value) = self.answer(Method::GET, path, None, &[]).await?;
        match value["detail"].as_str() {
            _ if status.is_success() => Ok(Some(value)),
            Some(_) if status == StatusCode::NOT_FOUND => Ok(None),
            _ => Err(Failure::from(Problem::new(status, value)).into()),
        }
    }

    async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<(StatusCode, Value)> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let mut all = vec![("content-type".to_owned(), "application/json".to_owned())];
        all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let reply = self.request(method.clone(), path, &all, body).await?;
        if reply.body.is_empty() && reply.status.is_success() {
            return Ok((reply.status, Value::Null));
        }
        let gateway = self.settings()?.gateway.clone();
        let value = serde_json::from_slice(&reply.body).map_err(|_| Failure::Foreign {
            gateway,
            status: reply.status,
            method,
            path: path.to_owned(),
        })?;
        Ok((reply.status, value))
    }

    /// All pages of a list.
    pub(super) async fn all(&self, path: &str, field: &str) -> anyhow::Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.json(Method::GET, &format!("{path}?limit=1000{after}"), None).await?;
            found.extend(page[field].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={}", escape(next)),
                None => return Ok(found),
            }
        }
    }
}

fn no_answer(gateway: &Uri, error: hyper::Error) -> anyhow::Error {
    let gateway = gateway.clone();
    if error.is_parse() {
        return Failure::NotHttp { gateway }.into();
    }
    if error.is_incomplete_message() {
        return Failure::Mute { gateway }.into();
    }
    error.into()
}

/// What a command can do about it.
fn hint(status: StatusCode) -> &'static str {
    if status == StatusCode::UNAUTHORIZED { " (--token-file, or PAPCAST_TOKEN)" } else { "" }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> hyper::Result<Response<Incoming>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    sender.send_request(request).await
}

/// One path segment or query value.
pub(super) fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub(super) fn group_path(group: &str) -> String {
    format!("/api/v1/groups/{}", escape(group))
}

/// A text of a JSON object; empty where there is none.
pub(super) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or("").to_owned()
}
