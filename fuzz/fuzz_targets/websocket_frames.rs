//! Bytes in the place of WebSocket frames.
#![no_main]

mod support;

use support::noise;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    noise::websocket_frames(support::doors(), bytes);
    noise::assert_well(support::doors());
});
