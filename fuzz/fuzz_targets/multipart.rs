//! A boundary and a multipart body, split and read part by part.
#![no_main]

#[path = "../../tests/codec/entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entries::multipart(bytes));
