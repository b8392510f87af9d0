//! The frames of one push, shared by all who get it, and the moment they are written.

use std::time::Instant;

use super::codec::Version;
use super::publish_frame::{self, Frame};
use crate::clock::Millis;
use crate::parcel::Parcel;

/// One moment, as the wall clock and as the steady one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) wall: Millis,
    pub(super) steady: Instant,
}

impl Now {
    pub(super) fn read() -> Self {
        Self { wall: crate::clock::now(), steady: Instant::now() }
    }
}

/// The frames of one parcel, built when somebody first needs them.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    pub(super) parcel: &'a Parcel,
    /// Taken back, or about to be: whoever comes upon it asks the store what became of it.
    pub(super) withheld: bool,
    topic: String,
    built: [Option<Frame>; 4],
}

impl<'a> Frames<'a> {
    pub(super) fn new(parcel: &'a Parcel, withheld: bool) -> Self {
        Self { parcel, withheld, topic: parcel.topic(), built: [const { None }; 4] }
    }

    pub(super) fn get(&mut self, version: Version, qos1: bool, now: Millis) -> &mut Frame {
        let at = usize::from(version == Version::V5) * 2 + usize::from(qos1);
        self.built[at].get_or_insert_with(|| publish_frame::of_parcel(version, qos1, self.parcel, &self.topic, now))
    }
}
