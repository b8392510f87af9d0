//! A Content-Type and the body of a request, the whole way.
#![no_main]

#[path = "../../tests/codec/entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entries::body(bytes));
