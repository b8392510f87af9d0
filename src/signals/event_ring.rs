//! The newest events, for those who follow them. Whoever reports an event never waits; whoever reads too slowly loses some,
//! and is told how many.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::event::{Event, Happening};
use crate::clock::{self, Millis};

/// Events that a reader gets at once at most.
const BATCH: usize = 500;

/// The place of an event: which run of the gateway, and which event of it. Written as `RUN-NUMBER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    run: u64,
    id: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.run, self.id)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (run, id) = text.split_once('-').ok_or(())?;
        Ok(Self { run: u64::from_str_radix(run, 16).map_err(|_| ())?, id: id.parse().map_err(|_| ())? })
    }
}

#[derive(Debug)]
pub(super) struct Ring {
    run: u64,
    most: usize,
    inner: Mutex<Inner>,
    /// The id of the newest event.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Arc<Happening>>,
    /// The id of the newest event; the first one has 1.
    newest: u64,
}

impl Default for Ring {
    fn default() -> Self {
        Self::new(super::Bounds::default().events)
    }
}

impl Ring {
    pub(super) fn new(most: usize) -> Self {
        let run = clock::now().unsigned_abs();
        Self { run, most: most.max(1), inner: Mutex::default(), newest: watch::Sender::new(0) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, event: Event, at: Millis) -> Arc<Happening> {
        let happening = {
            let mut inner = self.inner();
            inner.newest += 1;
            let happening = Arc::new(Happening { id: inner.newest, at, event });
            inner.events.push_back(Arc::clone(&happening));
            if inner.events.len() > self.most {
                inner.events.pop_front();
            }
            happening
        };
        self.newest.send_replace(happening.id);
        happening
    }

    /// Events of a user become empty ones: their places stay.
    pub(super) fn blot_out(&self, user: &str) {
        for happening in &mut self.inner().events {
            if happening.event.names(user) {
                let event =
                    Event::Change { by: String::new(), act: "erased", object: String::new(), detail: String::new() };
                *happening = Arc::new(Happening { id: happening.id, at: happening.at, event });
            }
        }
    }

    pub(super) fn cursor(&self, id: u64) -> Cursor {
        Cursor { run: self.run, id }
    }

    pub(super) fn reader(ring: &Arc<Self>, from: Option<Cursor>) -> Reader {
        let (oldest, newest) = {
            let inner = ring.inner();
            (inner.events.front().map_or(inner.newest, |first| first.id - 1), inner.newest)
        };
        let (after, other_run) = match from {
            None => (newest, false),
            Some(cursor) if cursor.run == ring.run => (cursor.id.min(newest), false),
            // No run has this number: all there is.
            Some(cursor) if cursor.run == 0 => (oldest, false),
            // Of another run nothing is known; what this one still has comes.
            Some(_) => (0, true),
        };
        Reader { ring: Arc::clone(ring), after, other_run, news: ring.newest.subscribe() }
    }
}

/// Events that a reader has not seen, oldest first.
#[derive(Debug, Default)]
pub struct Batch {
    /// How many it was too slow for; or, where the gateway was started again meanwhile, at least one.
    pub lost: u64,
    pub events: Vec<Arc<Happening>>,
}

/// Follows events.
#[derive(Debug)]
pub struct Reader {
    ring: Arc<Ring>,
    after: u64,
    /// It goes on after an event of another run.
    other_run: bool,
    news: watch::Receiver<u64>,
}

impl Reader {
    /// The next events; waits for one where there are none.
    pub async fn next(&mut self) -> Batch {
        loop {
            self.news.borrow_and_update();
            let batch = self.take();
            if batch.lost > 0 || !batch.events.is_empty() {
                return batch;
            }
            // The ring lives as long as its reader.
            let _ = self.news.changed().await;
        }
    }

    fn take(&mut self) -> Batch {
        let inner = self.ring.inner();
        let oldest = inner.events.front().map_or(inner.newest + 1, |first| first.id);
        let missed = oldest.saturating_sub(self.after + 1);
        let from = usize::try_from(self.after.saturating_add(1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        let events: Vec<_> = inner.events.iter().skip(from).take(BATCH).cloned().collect();
        drop(inner);
        self.after = events.last().map_or((self.after).max(oldest - 1), |last| last.id);
        let restarted = u64::from(std::mem::take(&mut self.other_run));
        Batch { lost: missed.max(restarted), events }
    }

    /// The name of the last event that it has seen.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.ring.cursor(self.after)
    }

    /// The name of an event.
    #[must_use]
    pub fn cursor_of(&self, happening: &Happening) -> Cursor {
        self.ring.cursor(happening.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event::Change { by: "me".into(), act: "test", object: String::new(), detail: String::new() }
    }

    fn ids(batch: &Batch) -> Vec<u64> {
        batch.events.iter().map(|one| one.id).collect()
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_many_it_has_lost() {
        let ring = Arc::new(Ring::new(3));
        let mut reader = Ring::reader(&ring, None);
        for _ in 0..5 {
            ring.push(event(), 0);
        }
        let batch = reader.next().await;
        assert_eq!((batch.lost, ids(&batch)), (2, vec![3, 4, 5]));
        ring.push(event(), 0);
        let batch = reader.next().await;
        assert_eq!((batch.lost, ids(&batch)), (0, vec![6]));
    }

    #[tokio::test]
    async fn an_erased_user_is_in_no_event_that_is_kept() {
        let ring = Arc::new(Ring::new(10));
        let change = |object: &str, detail: &str| Event::Change {
            by: "kim".into(),
            act: "add",
            object: object.into(),
            detail: detail.into(),
        };
        ring.push(change("group news", "member alice"), 0);
        ring.push(change("user alice", ""), 0);
        ring.push(change("user bob", ""), 0);
        ring.blot_out("alice");
        let mut reader = Ring::reader(&ring, Some(ring.cursor(0)));
        let events = reader.next().await.events;
        assert_eq!(events.len(), 3);
        assert!(!format!("{events:?}").contains("alice") && format!("{events:?}").contains("bob"));
    }

    #[tokio::test]
    async fn a_reader_goes_on_after_the_last_event_that_it_saw() {
        let ring = Arc::new(Ring::new(10));
        for _ in 0..4 {
            ring.push(event(), 0);
        }
        let seen: Cursor = ring.cursor(2).to_string().parse().unwrap();
        let batch = Ring::reader(&ring, Some(seen)).next().await;
        assert_eq!((batch.lost, ids(&batch)), (0, vec![3, 4]));
    }

    #[tokio::test]
    async fn who_comes_back_after_a_restart_is_told_that_events_are_missing() {
        let ring = Arc::new(Ring::new(10));
        ring.push(event(), 0);
        let other = Cursor { run: 1, id: 70 };
        let batch = Ring::reader(&ring, Some(other)).next().await;
        assert_eq!((batch.lost, ids(&batch)), (1, vec![1]));
        assert!("".parse::<Cursor>().is_err() && "x-1".parse::<Cursor>().is_err());
        // One that claims to have seen what has not happened yet.
        let batch = ring.cursor(900);
        let mut reader = Ring::reader(&ring, Some(batch));
        ring.push(event(), 0);
        assert_eq!(ids(&reader.next().await), [2]);
    }
}
