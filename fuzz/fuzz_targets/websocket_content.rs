//! Bytes in whole WebSocket frames.
#![no_main]

mod support;

use support::noise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    noise::websocket_content(support::doors(), bytes);
    noise::assert_well(support::doors());
});
