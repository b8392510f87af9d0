//! One POST, to a checked address: no redirects, no proxy, and only the head of the answer decides.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_util::task::AbortOnDropHandle;

use super::Rules;
use super::ssrf_guard::{UrlError, bare, check_url, choose, port};
use crate::tls::Trust;

/// So much of an answer's body is read, and for so long; it may be anything, and need not come.
const ANSWER: usize = 16 * 1024;
const ANSWER_TIME: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error("the name cannot be resolved: {0}")]
    Resolve(std::io::Error),
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    #[error("no TLS: {0}")]
    Tls(std::io::Error),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("no answer in time")]
    Late,
}

/// The body of an answer that was a 2xx, as far as it came.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) content_type: Option<String>,
    pub(super) body: Bytes,
}

/// Any 2xx is a success, and its head has to be there within `timeout`.
pub(super) async fn post(url: &str, content_type: &str, body: String, rules: &Rules) -> Result<Answer, PostError> {
    let (timeout, allow_private) = (rules.timeout, rules.allow_private);
    let head = send(url, content_type, body, allow_private, &rules.trust);
    let (answer, connection) = tokio::time::timeout(timeout, head).await.map_err(|_| PostError::Late)??;
    if !answer.status().is_success() {
        return Err(PostError::Status(answer.status()));
    }
    let content_type =
        answer.headers().get("content-type").and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    let whole = tokio::time::timeout(ANSWER_TIME, Limited::new(answer.into_body(), ANSWER).collect()).await;
    drop(connection);
    let body = whole.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
    Ok(Answer { content_type, body })
}

/// The head of the answer, and what keeps its connection open.
async fn send(
    url: &str,
    content_type: &str,
    body: String,
    allow_private: bool,
    trust: &Trust,
) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), PostError> {
    let uri = check_url(url, allow_private)?;
    let host = bare(uri.host().unwrap_or_default()).to_owned();
    let found = lookup_host((host.as_str(), port(&uri))).await.map_err(PostError::Resolve)?;
    let address = choose(&found.collect::<Vec<_>>(), allow_private)?;
    let stream = TcpStream::connect(address).await.map_err(PostError::Connect)?;
    let request = Request::builder()
        .method("POST")
        .uri(target(&uri))
        .header("host", uri.authority().map_or("", |authority| authority.as_str()))
        .header("content-type", content_type)
        .header("connection", "close")
        .body(Full::new(Bytes::from(body)))?;
    if uri.scheme_str() == Some("https") {
        let stream = trust.connect(&host, stream).await.map_err(PostError::Tls)?;
        return exchange(stream, request).await;
    }
    exchange(stream, request).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), PostError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    Ok((sender.send_request(request).await?, connection))
}

/// Path and query; an empty path is `/` (RFC 9112 §3.2.1).
fn target(uri: &Uri) -> String {
    let given = uri.path_and_query().map_or("", |path| path.as_str());
    if given.starts_with('/') { given.to_owned() } else { format!("/{given}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_path_is_the_root_also_before_a_query() {
        for (url, expected) in [
            ("http://pi.example", "/"),
            ("http://pi.example?a=1", "/?a=1"),
            ("http://pi.example/", "/"),
            ("http://pi.example/n?a=1", "/n?a=1"),
        ] {
            assert_eq!(target(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
