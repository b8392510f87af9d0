//! A small HTTP client for the commands that talk to a running gateway.

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Where the gateway is.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Gateway {
    /// Address of the gateway's HTTP side.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", global = true)]
    gateway: Uri,
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

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Gateway {
    pub(super) fn at(address: std::net::SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { gateway: format!("http://{address}").parse()? })
    }

    pub(super) fn of(gateway: Uri) -> Self {
        Self { gateway }
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
        let Some(authority) = self.gateway.authority() else {
            bail!("{}: not a URL such as http://127.0.0.1:8080", self.gateway)
        };
        if self.gateway.scheme_str().is_some_and(|scheme| scheme != "http") {
            bail!("{}: only http is supported", self.gateway);
        }
        let place = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
        let stream =
            TcpStream::connect(place).await.with_context(|| format!("no gateway answers at {}", self.gateway))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("host", authority.as_str());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let request = request.body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body =
            Limited::new(response.into_body(), ANSWER).collect().await.map_err(|error| anyhow::anyhow!(error))?;
        Ok(Reply { status, headers, body: body.to_bytes() })
    }

    /// A JSON request whose answer is JSON; a problem document becomes the error.
    pub(super) async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> anyhow::Result<serde_json::Value> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let reply = self.send(method, path, "application/json", body).await?;
        let value: serde_json::Value =
            if reply.body.is_empty() { serde_json::Value::Null } else { serde_json::from_slice(&reply.body)? };
        if !reply.status.is_success() {
            bail!("{}", value["detail"].as_str().unwrap_or_else(|| reply.status.as_str()));
        }
        Ok(value)
    }

    /// All pages of a list.
    pub(super) async fn all(&self, path: &str, field: &str) -> anyhow::Result<Vec<serde_json::Value>> {
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

/// One path segment or query value.
pub(super) fn escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Prints values as JSON, or one line each.
pub(super) fn print(
    json: bool,
    values: &[serde_json::Value],
    line: impl Fn(&serde_json::Value) -> String,
) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(values)?);
    } else {
        values.iter().for_each(|value| println!("{}", line(value)));
    }
    Ok(())
}
