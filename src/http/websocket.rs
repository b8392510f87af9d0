//! `GET /mqtt`: the connection speaks WebSocket from here on, and is handed to the MQTT side. Whoever it is says so in his
//! CONNECT, as on every other connection there.

use std::net::SocketAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::upgrade::Upgraded as HttpUpgrade;
use hyper_util::rt::TokioIo;
use ring::digest;

use super::connection_socket::Socket;
use super::origin::is_from_elsewhere;
use super::problem::Problem;
use super::remote::Remote;
use crate::listeners::{Upgraded, Upgrades};

/// RFC 6455 §1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// MQTT 5.0 §6.0. Clients of MQTT 3.1 say the other one.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// What answers at the path.
pub(super) fn route<S: Clone + Send + Sync + 'static>(upgrades: Upgrades, believes_all: bool) -> MethodRouter<S> {
    get(move |request| upgrade(upgrades.clone(), believes_all, request))
}

async fn upgrade(upgrades: Upgrades, believes_all: bool, mut request: Request) -> Result<Response, Problem> {
    if believes_all && is_from_elsewhere(request.headers()) {
        let text = "a page of another host may not connect where everybody is believed (auth.mode = \"open\")";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    }
    let (accept, protocol) = check(request.headers())?;
    let remote =
        Remote::of(request.extensions()).ok_or_else(|| Problem::bad_request("nobody knows where it is from"))?;
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(upgraded) => hand_over(upgraded, remote.address, &upgrades).await,
            Err(error) => tracing::debug!(%error, "a WebSocket connection ended before it began"),
        }
    });
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol)),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// The answer to its key, and the subprotocol (RFC 6455 §4.2).
fn check(headers: &HeaderMap) -> Result<(HeaderValue, &'static str), Problem> {
    let lists = |name, word: &str| {
        let all = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        all.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    if !lists(header::UPGRADE, "websocket") || !lists(header::CONNECTION, "upgrade") {
        let mut problem =
            Problem::new(StatusCode::UPGRADE_REQUIRED, "this path speaks WebSocket, with the subprotocol mqtt");
        problem.upgrade = true;
        return Err(problem);
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Problem::bad_request("Sec-WebSocket-Version must be 13"));
    }
    let named = PROTOCOLS.into_iter().find(|name| lists(header::SEC_WEBSOCKET_PROTOCOL, name));
    let protocol = named.ok_or_else(|| Problem::bad_request("the WebSocket subprotocol must be mqtt"))?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let key = key.filter(|key| STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16));
    let key = key.ok_or_else(|| Problem::bad_request("Sec-WebSocket-Key must be 16 bytes in Base64"))?;
    Ok((accept_key(key), protocol))
}

fn accept_key(key: &str) -> HeaderValue {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    // Base64 is a header value.
    HeaderValue::from_str(&STANDARD.encode(hash)).unwrap_or_else(|_| HeaderValue::from_static(""))
}

async fn hand_over(upgraded: HttpUpgrade, remote: SocketAddr, upgrades: &Upgrades) {
    let Ok(parts) = upgraded.downcast::<TokioIo<Socket>>() else {
        return tracing::error!(%remote, "a WebSocket connection is not of this server's making");
    };
    let (stream, held) = parts.io.into_inner().into_parts();
    // hyper's part came before what the socket holds back.
    let read: Bytes = [&parts.read_buf[..], &held].concat().into();
    let Some((tcp, tls)) = stream.into_parts() else { return };
    match tcp.into_std() {
        Ok(stream) => {
            let _ = upgrades.send(Upgraded { stream, remote, tls, read }).await;
        }
        Err(error) => tracing::warn!(%error, %remote, "a WebSocket connection could not be handed over"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 §1.3 has this example.
    #[test]
    fn the_key_is_answered_as_the_specification_says() {
        assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
