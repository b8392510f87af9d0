//! What has happened, in the order of commits: a log in memory that every worker reads at its own pace.
//!
//! Pushes themselves travel through the broker; here stand only their numbers, so that a worker which missed one notices.
//! Memberships, cancellations and pauses are read from here and from nowhere else. Whoever waits for such a change to be
//! in force waits until every worker has read that far (docs/ledger.md, rules 14, 17 and 19).
//!
//! The log is a ring of bounded length. A reader that fell so far behind that something was overwritten is told so, and
//! has to look at the store for everything that it serves.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::ids::{Target, UserId};
use crate::parcel::{BindingId, DispatchId, FlowId, Membership, Seq};

/// Entries that are kept. A worker that stands still for a second at the highest rate of pushes loses none.
const KEPT: usize = 65_536;
/// Entries that are handed out at once.
const PORTION: usize = 4_096;

/// A place in the log: how many entries come before it.
pub type Position = u64;

/// Where a push went out in the broker: several flows may share a channel, which counts what goes out on it from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub channel: u32,
    pub number: u64,
}

/// A push that was dispatched.
#[derive(Debug, Clone)]
pub struct Dispatched {
    pub id: DispatchId,
    /// None where it went out on a channel of its flow's own.
    pub place: Option<Place>,
    /// Whose own push it is.
    pub user: Option<UserId>,
    pub at: Instant,
}

/// Dispatches that are not sent for now, while it is found out to whom one of them is under way.
#[derive(Debug)]
pub struct Pause {
    pub dispatches: Vec<DispatchId>,
    /// The bindings to which one is under way, as readers find them, and how many readers have looked.
    found: Mutex<(Vec<(BindingId, DispatchId)>, usize)>,
    over: AtomicBool,
}

impl Pause {
    #[must_use]
    pub fn new(dispatches: Vec<DispatchId>) -> Self {
        Self { dispatches, found: Mutex::default(), over: AtomicBool::new(false) }
    }

    /// A reader has put it into force, and has these under way.
    pub fn answer(&self, holders: impl IntoIterator<Item = (BindingId, DispatchId)>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.0.extend(holders);
        found.1 += 1;
    }

    /// What readers have found; none where one of so many has not looked, because it had fallen off the log.
    #[must_use]
    pub fn found(&self, readers: usize) -> Option<Vec<(BindingId, DispatchId)>> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        (found.1 >= readers).then(|| found.0.clone())
    }

    /// From now on they are sent again, as soon as readers look.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

#[derive(Debug, Clone)]
pub enum Entry {
    Dispatched(Dispatched),
    /// The user is a member: its terminals get the flow's pushes from here on.
    Joined {
        user: UserId,
        membership: Membership,
    },
    /// The binding is closed: nothing of the flow is sent to it any more.
    Left {
        user: UserId,
        flow: FlowId,
        binding: BindingId,
    },
    /// Not to be sent any more.
    Cancelled(Arc<[DispatchId]>),
    /// Not to be sent until the pause ends.
    Paused(Arc<Pause>),
    /// A pause has ended.
    Resumed,
}

impl Entry {
    /// A push comes by the broker; everything else is news only here.
    fn wakes(&self) -> bool {
        !matches!(self, Self::Dispatched(_))
    }
}

/// What a reader gets.
#[derive(Debug)]
pub enum Read {
    /// In order; none where there is nothing new.
    Entries(Vec<Entry>),
    /// Entries were overwritten before this reader came to them. It goes on with what comes now.
    Lost,
}

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<Entry>,
    /// The position of the first one.
    first: Position,
    /// The newest dispatch to each group since the process began.
    heads: HashMap<FlowId, Seq>,
    readers: Vec<Arc<Progress>>,
}

impl Log {
    fn newest(&self) -> Position {
        self.first + self.entries.len() as u64
    }
}

/// How far a reader has come.
#[derive(Debug)]
struct Progress {
    passed: AtomicU64,
    news: Notify,
}

#[derive(Debug, Default)]
struct Shared {
    log: Mutex<Log>,
    /// A reader has come further, or is gone.
    progress: Notify,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Feed(Arc<Shared>);

impl Feed {
    /// Adds entries that happened together; answers the position behind them.
    pub fn append(&self, entries: impl IntoIterator<Item = Entry>) -> Position {
        let mut log = self.0.log();
        let mut wakes = false;
        for entry in entries {
            wakes |= entry.wakes();
            if let Entry::Dispatched(Dispatched { id, user: None, .. }) = &entry {
                log.heads.insert(id.flow, id.seq);
            }
            if log.entries.len() >= KEPT {
                log.entries.pop_front();
                log.first += 1;
            }
            log.entries.push_back(entry);
        }
        if wakes {
            log.readers.iter().for_each(|reader| reader.news.notify_one());
        }
        log.newest()
    }

    /// The position behind everything that has happened.
    #[must_use]
    pub fn newest(&self) -> Position {
        self.0.log().newest()
    }

    /// The newest dispatch to a group since the process began; before the first one where there was none.
    #[must_use]
    pub fn head(&self, flow: FlowId) -> Seq {
        self.0.log().heads.get(&flow).copied().unwrap_or_default()
    }

    /// These groups are no more.
    pub fn forget(&self, flows: &[FlowId]) {
        let mut log = self.0.log();
        for flow in flows {
            log.heads.remove(flow);
        }
    }

    /// A reader that begins here.
    #[must_use]
    pub fn reader(&self) -> Reader {
        let mut log = self.0.log();
        let progress = Arc::new(Progress { passed: AtomicU64::new(log.newest()), news: Notify::new() });
        log.readers.push(Arc::clone(&progress));
        Reader { feed: self.clone(), at: log.newest(), progress }
    }

    /// How many read it.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.0.log().readers.len()
    }

    /// Waits until every reader has dealt with everything before `position`.
    pub async fn until_read(&self, position: Position) {
        loop {
            let mut progress = std::pin::pin!(self.0.progress.notified());
            progress.as_mut().enable();
            if self.slowest() >= position {
                return;
            }
            progress.await;
        }
    }

    /// Waits until everything that has happened by now is in force everywhere.
    pub async fn until_in_force(&self) {
        self.until_read(self.newest()).await;
    }

    fn slowest(&self) -> Position {
        let log = self.0.log();
        let passed = log.readers.iter().map(|reader| reader.passed.load(Ordering::Acquire));
        passed.min().unwrap_or(Position::MAX)
    }
}

impl Dispatched {
    /// As the feed tells of it.
    #[must_use]
    pub fn new(id: DispatchId, target: &Target, place: Option<Place>) -> Self {
        let user = match target {
            Target::User(user) => Some(user.clone()),
            Target::Group(_) => None,
        };
        Self { id, place, user, at: Instant::now() }
    }
}

/// One who reads the log; nobody waits for it any more once it is dropped.
#[derive(Debug)]
pub struct Reader {
    feed: Feed,
    at: Position,
    progress: Arc<Progress>,
}

impl Reader {
    /// The next entries, and everything that was handed out before has been dealt with.
    pub fn read(&mut self) -> Read {
        self.pass();
        let log = self.feed.0.log();
        if self.at < log.first {
            self.at = log.newest();
            return Read::Lost;
        }
        let from = usize::try_from(self.at - log.first).unwrap_or(usize::MAX).min(log.entries.len());
        let entries: Vec<Entry> = log.entries.iter().skip(from).take(PORTION).cloned().collect();
        self.at += entries.len() as u64;
        Read::Entries(entries)
    }

    fn pass(&self) {
        if self.progress.passed.swap(self.at, Ordering::AcqRel) != self.at {
            self.feed.0.progress.notify_waiters();
        }
    }

    /// Told when there is something that comes by no other way.
    #[must_use]
    pub fn news(&self) -> News {
        News(Arc::clone(&self.progress))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.feed.0.log().readers.retain(|known| !Arc::ptr_eq(known, &self.progress));
        self.feed.0.progress.notify_waiters();
    }
}

/// To wait for entries while the reader is somewhere else.
#[derive(Debug)]
pub struct News(Arc<Progress>);

impl News {
    pub async fn come(&self) {
        self.0.news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispatched(flow: FlowId, seq: i64) -> Entry {
        let id = DispatchId { flow, seq: Seq(seq) };
        Entry::Dispatched(Dispatched { id, place: None, user: None, at: Instant::now() })
    }

    fn cancelled() -> Entry {
        Entry::Cancelled([].into())
    }

    fn count(read: Read) -> Option<usize> {
        match read {
            Read::Entries(entries) => Some(entries.len()),
            Read::Lost => None,
        }
    }

    #[tokio::test]
    async fn a_change_is_in_force_when_every_reader_has_dealt_with_it() {
        let feed = Feed::default();
        feed.until_in_force().await;
        let (mut one, mut other) = (feed.reader(), feed.reader());
        let position = feed.append([cancelled()]);
        let mut wait = Box::pin(feed.until_read(position));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert_eq!(count(one.read()), Some(1));
        assert_eq!(count(one.read()), Some(0), "and has dealt with it");
        assert!(wait.as_mut().poll(&mut context).is_pending());
        assert_eq!(count(other.read()), Some(1));
        assert!(wait.as_mut().poll(&mut context).is_pending(), "handed out, and not dealt with");
        drop(other);
        wait.await;
    }

    #[tokio::test]
    async fn pushes_wake_nobody_and_everything_else_does() {
        let feed = Feed::default();
        let reader = feed.reader();
        let news = reader.news();
        feed.append([dispatched(1, 1)]);
        let mut wait = Box::pin(news.come());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        feed.append([dispatched(1, 2), cancelled()]);
        wait.await;
    }

    #[test]
    fn who_falls_off_the_ring_is_told_so_and_goes_on() {
        let feed = Feed::default();
        let mut reader = feed.reader();
        feed.append((1..=KEPT as i64 + 1).map(|seq| dispatched(7, seq)));
        assert_eq!(count(reader.read()), None);
        feed.append([dispatched(7, 1)]);
        assert_eq!(count(reader.read()), Some(1));
        assert_eq!(feed.0.log().entries.len(), KEPT);
        assert_eq!((feed.head(7), feed.head(8)), (Seq(1), Seq(0)));
        feed.forget(&[7]);
        assert_eq!(feed.head(7), Seq(0));
    }
}
