//! Requests that a browser makes for a page of another site: they would act for whoever looks at that page.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// Whether a browser says that a page of another host asks (RFC 6454 §7, RFC 6455 §10.2).
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let origin: Option<Uri> = origin.to_str().ok().and_then(|origin| origin.parse().ok());
    let page = origin.as_ref().and_then(Uri::host);
    let own: Option<Authority> = text(header::HOST).and_then(|host| host.parse().ok());
    match (page, own) {
        (Some(page), Some(own)) => !page.eq_ignore_ascii_case(own.host()),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_page_is_from_elsewhere_where_its_host_is_another_one() {
        let asks = |origin: Option<&'static str>| {
            let origin = origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin)));
            let host = (header::HOST, HeaderValue::from_static("gateway.example:8080"));
            is_from_elsewhere(&HeaderMap::from_iter(origin.into_iter().chain([host])))
        };
        assert!(!asks(None) && !asks(Some("https://gateway.example")) && !asks(Some("http://Gateway.Example:8080")));
        assert!(asks(Some("https://evil.example")) && asks(Some("null")) && asks(Some("https://gateway.example.evil")));
    }
}
