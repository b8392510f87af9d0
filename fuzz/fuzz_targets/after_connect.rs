//! Bytes after the CONNECT.
#![no_main]

mod support;

use support::noise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    noise::after_connect(support::doors(), bytes);
    noise::assert_well(support::doors());
});
