//! What operators change is written down, with their names.

use super::Gateway;
use crate::caller::Caller;
use crate::clock;
use crate::log_limit::LogLimit;
use crate::signals::Event;
use crate::store::{AuditEntry, Error};

impl Gateway {
    /// Somebody has changed something. It has been done by now: that it cannot be written down undoes nothing.
    pub async fn changed(&self, caller: &Caller, act: &'static str, object: String, detail: String) {
        self.note_change(caller.hand(), act, object, detail).await;
    }

    /// The same for what the gateway does by a rule.
    pub(super) async fn note_change(&self, by: String, act: &'static str, object: String, detail: String) {
        static FAILED: LogLimit = LogLimit::new(1);
        let stored = self.store.record_act(by.clone(), act, object.clone(), detail.clone(), clock::now()).await;
        if let Err(error) = stored
            && let Some(left_out) = FAILED.pass()
        {
            tracing::error!(%error, by, act, object, left_out, "what an operator changed could not be written down");
        }
        self.signals.report(Event::Change { by, act, object, detail });
    }

    /// What was changed, newest first, before this entry.
    pub async fn audit(&self, before: Option<i64>, limit: usize) -> Result<Vec<AuditEntry>, Error> {
        self.store.audit(before.unwrap_or(i64::MAX), limit).await
    }
}
