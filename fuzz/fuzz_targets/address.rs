//! An address value.
#![no_main]

#[path = "../../tests/codec/entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entries::address(bytes));
