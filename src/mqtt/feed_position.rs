//! How far a worker has read the feed, and which pushes it still awaits from the broker. Pure; `feed_follower.rs` acts on it.

use std::collections::{HashMap, VecDeque};

use crate::feed::{Dispatched, Feed, News, Place, Reader};

#[derive(Debug)]
pub(super) struct Follower {
    pub(super) reader: Reader,
    /// Pushes for sessions of this worker that have not come yet, in order.
    pub(super) awaited: VecDeque<Dispatched>,
    /// The number of the newest push that came on each channel that several flows share.
    arrived: HashMap<u32, u64>,
    /// How often entries were lost.
    pub(super) lost: u64,
}

impl Follower {
    pub(super) fn new(feed: &Feed) -> Self {
        Self { reader: feed.reader(), awaited: VecDeque::new(), arrived: HashMap::new(), lost: 0 }
    }

    pub(super) fn news(&self) -> News {
        self.reader.news()
    }

    /// Changes whenever something may have been cancelled without a word of it.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// A push has come; answers whether one before it on its channel has not.
    pub(super) fn arrives(&mut self, place: Option<Place>) -> bool {
        let Some(Place { channel, number }) = place else { return false };
        let before = self.arrived.insert(channel, number);
        before.is_some_and(|before| number > before + 1)
    }

    pub(super) fn is_overtaken(&self, push: &Dispatched) -> bool {
        push.place.is_some_and(|place| self.arrived.get(&place.channel).is_some_and(|newest| *newest > place.number))
    }
}
