//! Result notifications: one for each address that is over, in the form the submission came in, posted until somebody
//! takes it or it is given up.
//!
//! Any 2xx answer counts as taken (WAP-247 has no rule; initiators answer all sorts of bodies). A PAP
//! resultnotification-response in it is read: a code of failure is logged. What failed is tried again
//! after 1 s, 2 s, 4 s … up to an hour, each time by a random part longer, also after a restart of the gateway.

mod guard;
mod message;
mod places;
mod post;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

pub(super) use guard::check_url;
pub use message::{pap_quality, pap_state};

use places::Places;

use super::Gateway;
use crate::clock::{self, Millis};
use crate::config::{self, ForbiddenUrl};
use crate::store::{Error, Notification};

const TICK: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Millis = 1_000;
const LONGEST_PAUSE: Millis = 3_600_000;

/// `[notify]` of the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) allow_private: bool,
    pub(super) forbidden: ForbiddenUrl,
    timeout: Duration,
    give_up: Millis,
    parallel: usize,
}

impl From<&config::Notify> for Rules {
    fn from(config: &config::Notify) -> Self {
        Self {
            allow_private: config.allow_private,
            forbidden: config.forbidden_url,
            timeout: config.timeout,
            give_up: Millis::try_from(config.give_up.as_millis()).unwrap_or(Millis::MAX),
            parallel: config.parallel,
        }
    }
}

/// The attempts under way. Each answers whether the notification was received, once that is stored.
#[derive(Debug)]
struct Attempts {
    places: Places,
    /// Row of the notification, and its receiver.
    rows: HashMap<Id, (i64, String)>,
    tasks: JoinSet<Result<bool, Error>>,
}

impl Attempts {
    fn new(parallel: usize) -> Self {
        Self { places: Places::new(parallel), rows: HashMap::new(), tasks: JoinSet::new() }
    }

    fn begin(
        &mut self,
        row: i64,
        receiver: String,
        attempt: impl Future<Output = Result<bool, Error>> + Send + 'static,
    ) {
        let id = self.tasks.spawn(attempt).id();
        self.rows.insert(id, (row, receiver));
    }

    /// Until it is worth looking for more: an attempt has ended, or some time has passed.
    async fn pause(&mut self) {
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

impl Gateway {
    /// Posts what is due until told to stop. An attempt that is cut off by the stop is made again after the start.
    pub async fn notify_initiators(self: Arc<Self>, stop: CancellationToken) {
        let mut attempts = Attempts::new(self.notify.parallel);
        while stop.run_until_cancelled(attempts.pause()).await.is_some() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.notify_due(&mut attempts)).await {
                tracing::error!(%error, "notifications could not be looked up; it is tried again");
            }
        }
    }

    /// Begins as many attempts as there are places for.
    async fn notify_due(self: &Arc<Self>, attempts: &mut Attempts) -> Result<(), Error> {
        if attempts.places.is_full() {
            return Ok(());
        }
        let due = self.store.due_notifications(clock::now(), attempts.places.share()).await?;
        // Those under way are still due, and the first of their receiver.
        let known: HashSet<i64> = attempts.rows.values().map(|(row, _)| *row).collect();
        for notification in due.into_iter().filter(|one| !known.contains(&one.dispatch)) {
            if attempts.places.take(&notification.receiver) {
                let (row, receiver) = (notification.dispatch, notification.receiver.clone());
                let gateway = Arc::clone(self);
                attempts.begin(row, receiver, async move { gateway.notify_one(notification).await });
            }
        }
        Ok(())
    }

    /// Whether it was received.
    async fn notify_one(&self, notification: Notification) -> Result<bool, Error> {
        let (content_type, body) = message::of(&notification);
        let Rules { allow_private, timeout, .. } = self.notify;
        let failure = match post::post(&notification.notify.url, content_type, body, allow_private, timeout).await {
            Ok(answer) => {
                if let Some(complaint) = message::complaint(answer.content_type.as_deref(), &answer.body) {
                    tracing::warn!(
                        push_id = notification.push_id,
                        complaint,
                        "a result notification was taken, but not liked"
                    );
                }
                self.store.notified(notification.dispatch).await?;
                return Ok(true);
            }
            Err(failure) => failure.to_string(),
        };
        let next_at = next_attempt(&notification, self.notify.give_up);
        if next_at.is_none() {
            tracing::warn!(
                push_id = notification.push_id,
                attempts = notification.attempts + 1,
                failure,
                "a result notification was given up"
            );
        }
        self.store.not_notified(notification.dispatch, failure, next_at).await?;
        Ok(false)
    }
}

/// When to try again; `None` where that would be too late.
fn next_attempt(notification: &Notification, give_up: Millis) -> Option<Millis> {
    let now = clock::now();
    let pause = FIRST_PAUSE.saturating_mul(1 << notification.attempts.min(20)).min(LONGEST_PAUSE);
    // Up to a half longer, so that what failed together is not tried together for ever.
    let jitter = (RandomState::new().hash_one(notification.dispatch) % 512) as Millis * pause / 1_024;
    let next = now + pause + jitter;
    (next - notification.begun_at <= give_up).then_some(next)
}
