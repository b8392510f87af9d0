//! Result notifications: one for each address that is over, in the form the submission came in, posted until somebody
//! takes it or it is given up.
//!
//! Any 2xx answer counts as taken (WAP-247 has no rule; initiators answer all sorts of bodies). A PAP
//! resultnotification-response in it is read: a code of failure is logged. What failed is tried again
//! after 1 s, 2 s, 4 s … up to an hour, each time by a random part longer, also after a restart of the gateway.

mod attempts;
mod backoff;
mod http_post;
mod receiver_shares;
mod result_document;
mod ssrf_guard;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use result_document::{pap_quality, pap_state};
pub(super) use ssrf_guard::{check_url, receiver};

use attempts::Attempts;

use super::Gateway;
use crate::clock::{self, Millis};
use crate::config::{self, ForbiddenUrl};
use crate::store::{Error, Notification};
use crate::tls::{self, Trust};
use crate::trace::Span;

/// `[notify]` of the configuration.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) allow_private: bool,
    pub(super) forbidden: ForbiddenUrl,
    timeout: Duration,
    give_up: Millis,
    parallel: usize,
    /// Whose https receivers are trusted.
    trust: Trust,
}

impl Rules {
    pub(super) fn new(config: &config::Notify) -> Result<Self, tls::Error> {
        Ok(Self {
            allow_private: config.allow_private,
            forbidden: config.forbidden_url,
            timeout: config.timeout,
            give_up: Millis::try_from(config.give_up.as_millis()).unwrap_or(Millis::MAX),
            parallel: config.parallel,
            trust: Trust::new(config.ca.as_deref(), "notify.ca")?,
        })
    }
}

impl Gateway {
    /// Posts what is due until told to stop. An attempt that is cut off by the stop is made again after the start.
    pub async fn notify_initiators(self: Arc<Self>, stop: CancellationToken) {
        let mut attempts = Attempts::new(self.notify.parallel);
        while stop.run_until_cancelled(attempts.pause()).await.is_some() {
            crate::faults::trip("notifications");
            if let Some(Err(error)) = stop.run_until_cancelled(self.notify_due(&mut attempts)).await {
                tracing::error!(%error, "notifications could not be looked up; it is tried again");
            }
        }
    }

    /// Begins as many attempts as there are places for.
    async fn notify_due(self: &Arc<Self>, attempts: &mut Attempts) -> Result<(), Error> {
        if attempts.wants_more() {
            let due = self.store.due_notifications(clock::now(), attempts.share()).await?;
            attempts.found(due);
        }
        while let Some(notification) = attempts.next() {
            let (row, receiver) = (notification.dispatch, notification.notify.receiver.clone());
            let gateway = Arc::clone(self);
            let span = Span::notification(&notification.push_id, &receiver, notification.attempts + 1);
            attempts.begin(row, receiver, async move {
                let received = span.around(gateway.notify_one(notification)).await;
                span.received(matches!(received, Ok(true)));
                received
            });
        }
        Ok(())
    }

    /// Whether it was received.
    async fn notify_one(&self, notification: Notification) -> Result<bool, Error> {
        let (content_type, body) = result_document::of(&notification);
        let failure = match http_post::post(&notification.notify.url, content_type, body, &self.notify).await {
            Ok(answer) => {
                if let Some(complaint) = result_document::complaint(answer.content_type.as_deref(), &answer.body) {
                    tracing::warn!(
                        push_id = notification.push_id,
                        complaint,
                        "a result notification was taken, but not liked"
                    );
                }
                self.store.notified(notification.dispatch).await?;
                self.signals.metrics.notifications.received.inc();
                return Ok(true);
            }
            Err(failure) => failure.to_string(),
        };
        let next_at = backoff::next_attempt(&notification, self.notify.give_up);
        let counts = &self.signals.metrics.notifications;
        counts.failed.inc();
        if next_at.is_none() {
            counts.given_up.inc();
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
