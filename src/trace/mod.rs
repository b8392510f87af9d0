//! Spans of traces: of what an initiator waits for, and of what is posted to him. docs/logs.md lists them.
//!
//! They are for OpenTelemetry alone. Without the feature `otel` none of this is there: `off.rs` compiles to nothing, so that a
//! request costs what it did. With it, spans are made only where they are exported.

#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod on;

#[cfg(not(feature = "otel"))]
pub use off::{Span, inherit};
#[cfg(feature = "otel")]
pub use on::{Span, TARGET, inherit};
