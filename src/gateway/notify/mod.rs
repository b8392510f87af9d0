//! Result notifications: one for each address that is over, in the form the submission came in, posted until somebody
//! takes it or it is given up.
//!
//! Any 2xx answer counts as taken (WAP-247 has no rule; initiators answer all sorts of bodies). A PAP
//! resultnotification-response in it is read: a code of failure is logged. What failed is tried again
//! after 1 s, 2 s, 4 s … up to an hour, each time by a random part longer, also after a restart of the gateway.

mod guard;
mod message;
mod post;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

pub(super) use guard::check_url;
pub use message::{pap_quality, pap_state};

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

/// The attempts under way, with the row of the notification.
#[derive(Debug, Default)]
struct Attempts {
    rows: HashMap<Id, i64>,
    tasks: JoinSet<Result<(), Error>>,
}

impl Attempts {
    fn begin(&mut self, row: i64, attempt: impl Future<Output = Result<(), Error>> + Send + 'static) {
        let id = self.tasks.spawn(attempt).id();
        self.rows.insert(id, row);
    }

    /// Until it is worth looking for more: an attempt has ended, or some time has passed.
    async fn pause(&mut self) {
        let mut ended = tokio::select! {
            Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => Some(ended),
            () = tokio::time::sleep(TICK) => None,
        };
        let mut failed = false;
        while let Some(attempt) = ended.take().or_else(|| self.tasks.try_join_next_with_id()) {
            let (id, failure) = match attempt {
                Ok((id, outcome)) => (id, outcome.err().map(|error| error.to_string())),
                Err(error) => (error.id(), Some(error.to_string())),
            };
            self.rows.remove(&id);
            if let Some(error) = failure {
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
        let mut attempts = Attempts::default();
        while stop.run_until_cancelled(attempts.pause()).await.is_some() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.notify_due(&mut attempts)).await {
                tracing::error!(%error, "notifications could not be looked up; it is tried again");
            }
        }
    }

    /// Begins as many attempts as there is room for. A receiver that is slow holds its own place and no other.
    async fn notify_due(self: &Arc<Self>, attempts: &mut Attempts) -> Result<(), Error> {
        // Those under way are still due: they are read again, and left out.
        let known: HashSet<i64> = attempts.rows.values().copied().collect();
        let due = self.store.due_notifications(clock::now(), self.notify.parallel + known.len()).await?;
        let free = self.notify.parallel - known.len();
        for notification in due.into_iter().filter(|one| !known.contains(&one.dispatch)).take(free) {
            let gateway = Arc::clone(self);
            attempts.begin(notification.dispatch, async move { gateway.notify_one(notification).await });
        }
        Ok(())
    }

    async fn notify_one(&self, notification: Notification) -> Result<(), Error> {
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
                return self.store.notified(notification.dispatch).await;
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
        self.store.not_notified(notification.dispatch, failure, next_at).await
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
