//! One POST, to a checked address: no redirects, no proxy, and only the head of the answer counts.

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};

use super::guard::{UrlError, bare, check_url, choose};

/// So much of an answer is read, to be polite; it may be anything.
const ANSWER: usize = 16 * 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error("the name cannot be resolved: {0}")]
    Resolve(std::io::Error),
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("answered {0}")]
    Status(StatusCode),
}

/// Any 2xx is a success.
pub(super) async fn post(url: &str, content_type: &str, body: String, allow_private: bool) -> Result<(), PostError> {
    let uri = check_url(url, allow_private)?;
    let host = bare(uri.host().unwrap_or_default()).to_owned();
    let found = lookup_host((host.as_str(), uri.port_u16().unwrap_or(80))).await.map_err(PostError::Resolve)?;
    let address = choose(&found.collect::<Vec<_>>(), allow_private)?;
    let stream = TcpStream::connect(address).await.map_err(PostError::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method("POST")
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header("host", uri.authority().map_or("", |authority| authority.as_str()))
        .header("content-type", content_type)
        .header("connection", "close")
        .body(Full::new(Bytes::from(body)))?;
    let answer = sender.send_request(request).await;
    let result = match answer {
        Ok(answer) if answer.status().is_success() => {
            let _ = Limited::new(answer.into_body(), ANSWER).collect().await;
            Ok(())
        }
        Ok(answer) => Err(PostError::Status(answer.status())),
        Err(error) => Err(error.into()),
    };
    connection.abort();
    result
}
