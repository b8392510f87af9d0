//! A small HTTP client for the commands that talk to a running gateway.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::tls::Trust;

/// Where the gateway is.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Gateway {
    /// Address of the gateway's HTTP side, HOST:PORT with or without http:// before it.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        global = true,
        env = "PAPCAST_GATEWAY",
        value_parser = address
    )]
    gateway: Uri,
    /// Give up after so many seconds. Where nothing is said: 30 for each answer of the gateway, and no limit for what
    /// `push --wait` waits for.
    #[arg(long, value_name = "SECONDS", global = true, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// Token of an initiator or operator, where the gateway asks for one. Others on this machine can read a command line: the
    /// environment is the better place.
    #[arg(long, value_name = "TOKEN", global = true, env = "PAPCAST_TOKEN", hide_env_values = true)]
    token: Option<Token>,
    /// PEM file with the authority that has signed the gateway's certificate; else those of the system are trusted.
    #[arg(long, value_name = "FILE", global = true, env = "PAPCAST_CA")]
    ca: Option<PathBuf>,
}

/// A token; never shown.
#[derive(Clone)]
struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl std::str::FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err("a token has neither blanks nor other than ASCII characters".into())
        }
    }
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
/// For one answer, where nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
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
    #[error("{gateway} is an HTTP server, but has no JSON API of papcast: it answered {status} to {method} {path}")]
    Foreign { gateway: Uri, status: StatusCode, method: Method, path: String },
}

/// The value of `--gateway`.
fn address(text: &str) -> Result<Uri, String> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri: Uri = with_scheme.parse().map_err(|_| "expected HOST:PORT or http://HOST:PORT".to_owned())?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("only http and https are supported".into());
    }
    if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
        return Err("expected an address without a path; the path of a PAP endpoint is said with --path".into());
    }
    let whole = |authority: &Authority| {
        let alone = authority.as_str() == authority.host();
        !authority.host().is_empty() && !authority.as_str().contains('@') && (alone || authority.port_u16().is_some())
    };
    if uri.authority().is_some_and(whole) { Ok(uri) } else { Err("expected HOST:PORT or http://HOST:PORT".into()) }
}

impl Gateway {
    pub(super) fn at(address: std::net::SocketAddr) -> anyhow::Result<Self> {
        Ok(Self::of(format!("http://{address}").parse()?))
    }

    pub(super) fn of(gateway: Uri) -> Self {
        Self { gateway, timeout: None, token: None, ca: None }
    }

    /// The limit that somebody has set.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs)
    }

    /// The same gateway, with more time for each answer unless somebody has set a limit.
    pub(super) fn patient(&self, seconds: u64) -> Self {
        Self { timeout: self.timeout.or(Some(seconds)), ..self.clone() }
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
        let limit = self.timeout().unwrap_or(PATIENCE);
        let late = || Failure::Late { gateway: self.gateway.clone(), seconds: limit.as_secs() };
        tokio::time::timeout(limit, self.exchange(method, path, headers, body)).await.map_err(|_| late())?
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> anyhow::Result<Reply> {
        let Some(authority) = self.gateway.authority() else {
            bail!("{}: not a URL such as http://127.0.0.1:8080", self.gateway)
        };
        let is_secure = self.gateway.scheme_str() == Some("https");
        let host = authority.host().trim_matches(['[', ']']);
        let place = (host, authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 }));
        let nobody = |source| Failure::NoGateway { gateway: self.gateway.clone(), source };
        let stream = TcpStream::connect(place).await.map_err(nobody)?;
        let request = Request::builder().method(method).uri(path).header("host", authority.as_str());
        let authorization =
            self.token.iter().map(|Token(token)| ("authorization".to_owned(), format!("Bearer {token}")));
        let request = authorization.fold(request, |request, (name, value)| request.header(name, value));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let request = request.body(Full::new(Bytes::from(body)))?;
        let sent = if is_secure {
            let trust = Trust::new(self.ca.as_deref(), "--ca")?;
            let insecure = |source| Failure::Tls { gateway: self.gateway.clone(), source };
            exchange(trust.connect(host, stream).await.map_err(insecure)?, request).await
        } else {
            exchange(stream, request).await
        };
        let response = sent.map_err(|error| self.no_answer(error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body =
            Limited::new(response.into_body(), ANSWER).collect().await.map_err(|error| anyhow::anyhow!(error))?;
        Ok(Reply { status, headers, body: body.to_bytes() })
    }

    fn no_answer(&self, error: hyper::Error) -> anyhow::Error {
        let gateway = self.gateway.clone();
        if error.is_parse() {
            return Failure::NotHttp { gateway }.into();
        }
        if error.is_incomplete_message() {
            return Failure::Mute { gateway }.into();
        }
        error.into()
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
            bail!("{}{}", value["detail"].as_str().unwrap_or_else(|| status.as_str()), hint(status));
        }
        Ok((status, value))
    }

    /// What a path shows; none where there is no such thing.
    pub(super) async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        let (status, value) = self.answer(Method::GET, path, None, &[]).await?;
        match value["detail"].as_str() {
            _ if status.is_success() => Ok(Some(value)),
            Some(_) if status == StatusCode::NOT_FOUND => Ok(None),
            detail => bail!("{}{}", detail.unwrap_or_else(|| status.as_str()), hint(status)),
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
        let value = serde_json::from_slice(&reply.body).map_err(|_| Failure::Foreign {
            gateway: self.gateway.clone(),
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

/// What a command can do about it.
fn hint(status: StatusCode) -> &'static str {
    if status == StatusCode::UNAUTHORIZED { " (--token, or PAPCAST_TOKEN)" } else { "" }
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

/// A text of a JSON object; empty where there is none.
pub(super) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_had_three_rules_for_its_address_and_lost_its_path() {
        for good in
            ["127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080/", "[::1]:8080", "gateway.example"]
        {
            let uri = address(good).unwrap();
            assert_eq!(uri.scheme_str(), Some("http"), "{good}");
            assert!(uri.authority().is_some(), "{good}");
        }
        assert!(address("http://h:8080/pap").unwrap_err().contains("--path"));
        assert!(address("h:8080/pap").unwrap_err().contains("--path"));
        assert_eq!(address("ftp://h:8080").unwrap_err(), "only http and https are supported");
        assert_eq!(address("https://h:8443").unwrap().scheme_str(), Some("https"));
        for bad in ["", "http://", "a b", "user@host:80", "h:port"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
