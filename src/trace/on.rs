//! Traces by way of `tracing`. What a stranger has written is cut: a queue of spans has a number of them, not of bytes.

use hyper::{HeaderMap, Method};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::field::Empty;
use tracing::instrument::Instrumented;
use tracing::{Instrument as _, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Of every span here, and of nothing else: the log leaves it out, the exporter takes only this.
pub const TARGET: &str = "papcast::trace";

/// Longest text in a span, in bytes. A push-id that was accepted is not longer.
const LONGEST: usize = 255;
/// Longest `tracestate` that is kept: what W3C asks for at least.
const LONGEST_STATE: usize = 512;

/// One span; ends when its last clone is dropped.
#[derive(Debug, Clone)]
pub struct Span(tracing::Span);

impl Span {
    /// A request that came in, as part of the trace that its `traceparent` names.
    #[must_use]
    pub fn request(method: &Method, route: Option<&str>, headers: &HeaderMap) -> Self {
        let method = known(method);
        let span = info_span!(
            target: TARGET,
            "request",
            otel.name = Empty,
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = Empty,
        );
        if !span.is_disabled() {
            let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
            span.record("otel.name", name);
            // An error: nobody exports it.
            let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(headers)));
        }
        Self(span)
    }

    /// A push that is submitted.
    #[must_use]
    pub fn submission(push_id: &str, initiator: impl FnOnce() -> String) -> Self {
        let span = info_span!(target: TARGET, "submission", push_id = cut(push_id), initiator = Empty, code = Empty);
        if !span.is_disabled() {
            span.record("initiator", cut(&initiator()));
        }
        Self(span)
    }

    /// The wait for a commit of the store: only where there is something that it is a part of.
    #[must_use]
    pub fn commit() -> Self {
        let within = tracing::Span::current();
        if within.metadata().is_some_and(|within| within.target() == TARGET) {
            return Self(info_span!(target: TARGET, "store commit"));
        }
        Self(tracing::Span::none())
    }

    /// A result notification that is posted. The trace of its push may be over since days: it has one of its own.
    #[must_use]
    pub fn notification(push_id: &str, receiver: &str, attempt: u32) -> Self {
        let (push_id, receiver) = (cut(push_id), cut(receiver));
        Self(info_span!(
            target: TARGET,
            parent: None,
            "result notification",
            otel.kind = "client",
            otel.status_code = Empty,
            push_id,
            receiver,
            attempt,
            received = Empty,
        ))
    }

    /// The work is done within this span.
    pub fn around<F: Future>(&self, work: F) -> Instrumented<F> {
        work.instrument(self.0.clone())
    }

    /// What the request was answered with.
    pub fn status(&self, status: u16) {
        self.0.record("http.response.status_code", status);
        if status >= 500 {
            self.0.record("otel.status_code", "ERROR");
        }
    }

    /// The code of PAP that a push was answered with.
    pub fn code(&self, code: u16) {
        self.0.record("code", code);
    }

    pub fn received(&self, received: bool) {
        self.0.record("received", received);
        if !received {
            self.0.record("otel.status_code", "ERROR");
        }
    }
}

/// Work that goes on in a task of its own, within the span it was begun in.
pub fn inherit<F: Future>(work: F) -> Instrumented<F> {
    work.in_current_span()
}

/// Methods that nobody knows are one (the semantic conventions of OpenTelemetry say so).
fn known(method: &Method) -> &str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::CONNECT,
        Method::TRACE,
    ];
    if KNOWN.contains(method) { method.as_str() } else { "_OTHER" }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST)]
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?.to_str().ok()?;
        (value.len() <= LONGEST_STATE).then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(hyper::header::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_writes_fills_no_memory() {
        assert_eq!(cut("p-1"), "p-1");
        assert_eq!(cut(&"é".repeat(200)).len(), 254);
        assert_eq!(known(&Method::from_bytes(&[b'X'; 10_000]).unwrap()), "_OTHER");
        let mut headers = HeaderMap::new();
        headers.insert("tracestate", "x".repeat(513).parse().unwrap());
        headers.insert("traceparent", "00-1-2-01".parse().unwrap());
        assert_eq!(Headers(&headers).get("tracestate"), None);
        assert_eq!(Headers(&headers).get("traceparent"), Some("00-1-2-01"));
    }
}
