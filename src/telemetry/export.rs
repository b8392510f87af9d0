//! Traces to a collector of OpenTelemetry. The variables `OTEL_…` say where to; without an endpoint there is none of it.
//!
//! Spans wait in a queue of bounded length; what does not fit is dropped. A thread of its own takes them from there, so that a
//! collector that is slow or away delays nobody.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::collector::Collector;
use crate::tls::Trust;
use crate::trace::TARGET;

/// What is left when the gateway stops has to be taken within this.
const LAST: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(10);
const NAME: &str = "papcast";

/// Never dropped: that would wait for the collector once more.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Whether spans are exported.
pub(super) fn is_on() -> bool {
    PROVIDER.get().is_some()
}

/// Starts what exports, where the environment asks for it; what is wrong with that, in words.
pub(super) fn start() -> Result<(), String> {
    let disabled = variable("SDK_DISABLED").is_some_and(|said| said.eq_ignore_ascii_case("true"))
        || variable("TRACES_EXPORTER").is_some_and(|said| said == "none");
    if disabled || of_traces("ENDPOINT").is_none() {
        return Ok(());
    }
    let protocol = of_traces("PROTOCOL").filter(|protocol| protocol != "http/protobuf");
    let provider = provider().map_err(|error| format!("no traces are exported: {error}"))?;
    let _ = PROVIDER.set(provider);
    match protocol {
        Some(other) => Err(format!("traces are exported by http/protobuf, not by {other}: nothing else is built in")),
        None => Ok(()),
    }
}

fn provider() -> Result<SdkTracerProvider, String> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|error| error.to_string())?;
    let timeout = of_traces("TIMEOUT").and_then(|text| text.parse().ok()).map_or(TIMEOUT, Duration::from_millis);
    let authority = of_traces("CERTIFICATE").map(PathBuf::from);
    let trust =
        Trust::new(authority.as_deref(), "OTEL_EXPORTER_OTLP_CERTIFICATE").map_err(|error| error.to_string())?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_http_client(Collector::new(runtime, trust, timeout))
        .build()
        .map_err(|error| error.to_string())?;
    let named = variable("SERVICE_NAME").is_some()
        || variable("RESOURCE_ATTRIBUTES").is_some_and(|said| said.contains("service.name="));
    let mut resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if !named {
        resource = resource.with_service_name(NAME);
    }
    Ok(SdkTracerProvider::builder()
        .with_resource(resource.build())
        .with_span_processor(BatchSpanProcessor::builder(exporter).build())
        .build())
}

/// `OTEL_…`; empty means that it is not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(format!("OTEL_{name}")).ok().filter(|value| !value.is_empty())
}

/// What is said for traces, else what is said for everything.
fn of_traces(name: &str) -> Option<String> {
    variable(&format!("EXPORTER_OTLP_TRACES_{name}")).or_else(|| variable(&format!("EXPORTER_OTLP_{name}")))
}

/// Takes the spans of traces, where there is somebody to send them to.
pub(super) fn layer<S>() -> Option<impl Layer<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let tracer = PROVIDER.get()?.tracer(NAME);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false);
    Some(layer.with_filter(filter_fn(|of| of.is_span() && of.target() == TARGET)))
}

/// Whether this is for the log: spans of traces would stand before its messages.
pub(super) fn is_for_the_log(of: &Metadata<'_>) -> bool {
    of.target() != TARGET
}

/// Sends what is left.
pub(super) async fn end() {
    if let Some(provider) = PROVIDER.get() {
        let _ = tokio::task::spawn_blocking(|| provider.shutdown_with_timeout(LAST)).await;
    }
}
