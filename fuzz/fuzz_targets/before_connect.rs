//! Bytes before the CONNECT.
#![no_main]

mod support;

use support::noise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    noise::before_connect(support::doors(), bytes);
    noise::assert_well(support::doors());
});
