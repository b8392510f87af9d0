//! The attempts under way, and what waits for a place.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use tokio::task::{Id, JoinSet};

use super::receiver_shares::Places;
use crate::store::{Error, Notification};

/// How often the store is asked what is due, unless what it said is used up before.
const TICK: Duration = Duration::from_millis(500);
/// Notifications of one receiver that are read at a time, beside those that may be under way to it.
const AHEAD: usize = 32;

/// Each attempt answers whether the notification was received, once that is stored.
#[derive(Debug)]
pub(super) struct Attempts {
    places: Places,
    /// Row of the notification, and its receiver.
    rows: HashMap<Id, (i64, String)>,
    tasks: JoinSet<Result<bool, Error>>,
    /// What was due when the store was asked, the next one first; and when that was.
    waiting: Vec<Notification>,
    asked: Option<Instant>,
}

impl Attempts {
    pub(super) fn new(parallel: usize) -> Self {
        let places = Places::new(parallel);
        Self { places, rows: HashMap::new(), tasks: JoinSet::new(), waiting: Vec::new(), asked: None }
    }

    /// How many of one receiver are worth reading.
    pub(super) fn share(&self) -> usize {
        self.places.total() + AHEAD
    }

    /// Whether the store should be asked again: with many receivers the question is not cheap.
    pub(super) fn wants_more(&self) -> bool {
        let stale = self.asked.is_none_or(|asked| asked.elapsed() >= TICK);
        !self.places.is_full() && (stale || self.waiting.is_empty())
    }

    /// What the store said. Those under way are still due.
    pub(super) fn found(&mut self, due: Vec<Notification>) {
        let known: HashSet<i64> = self.rows.values().map(|(row, _)| *row).collect();
        self.waiting = due.into_iter().filter(|one| !known.contains(&one.dispatch)).collect();
        self.asked = Some(Instant::now());
    }

    /// What is to be tried next: of those for which there is room, one of the receiver that has the fewest places, so that
    /// nobody who takes his time keeps the others waiting longer than it takes.
    pub(super) fn next(&mut self) -> Option<Notification> {
        if self.places.is_full() {
            return None;
        }
        let receiver = |at: &usize| self.waiting[*at].notify.receiver.as_str();
        let fitting = (0..self.waiting.len()).filter(|at| self.places.has_room(receiver(at)));
        let at = fitting.min_by_key(|at| self.places.held(receiver(at)))?;
        Some(self.waiting.remove(at))
    }

    pub(super) fn begin(
        &mut self,
        row: i64,
        receiver: String,
        attempt: impl Future<Output = Result<bool, Error>> + Send + 'static,
    ) {
        self.places.take(&receiver);
        let id = self.tasks.spawn(attempt).id();
        self.rows.insert(id, (row, receiver));
    }

    /// Until it is worth looking for more: an attempt has ended, or some time has passed.
    pub(super) async fn pause(&mut self) {
        let mut ended = tokio::select! {
            Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => Some(ended),
            () = tokio::time::sleep(TICK) => None,
        };
        let mut failed = false;
        while let Some(attempt) = ended.take().or_else(|| self.tasks.try_join_next_with_id()) {
            let (id, outcome) = match attempt {
                Ok((id, outcome)) => (id, outcome.map_err(|error| error.to_string())),
                Err(error) => (error.id(), Err(error.to_string())),
            };
            if let Some((_, receiver)) = self.rows.remove(&id) {
                self.places.give_back(&receiver, *outcome.as_ref().unwrap_or(&false));
            }
            if let Err(error) = outcome {
                failed = true;
                tracing::error!(error, "what became of a result notification could not be stored; it is sent again");
            }
        }
        if failed {
            // The row is still due: without a pause it would be posted as fast as its receiver answers.
            tokio::time::sleep(TICK).await;
        }
    }
}
