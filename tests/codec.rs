//! A search for what the codec gets wrong: what it writes and cannot read again, what makes it panic, and what makes it
//! slower than the body is long.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "codec/entries.rs"]
mod entries;
#[path = "codec/linear.rs"]
mod linear;
#[path = "codec/robust.rs"]
mod robust;
#[path = "codec/round_trip.rs"]
mod round_trip;
#[path = "codec/strict.rs"]
mod strict;
