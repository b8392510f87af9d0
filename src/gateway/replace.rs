//! Replacing a push: the old one is taken back as far as that is possible, and the new one submitted, in one transaction.

use std::sync::Arc;

use super::Gateway;
use super::submit::Replace;
use crate::feed::{Entry, Feed, Pause};
use crate::parcel::{BindingId, DispatchId};
use crate::store::{Error, Replacing, Submission, Submitted};

/// The old push may be dispatched to one more of its addresses between two looks; that often in a row it is not.
const ATTEMPTS: usize = 5;

/// Resumes what is paused, whatever becomes of the replacement: nobody may wait for it for ever.
struct Paused<'a> {
    feed: &'a Feed,
    pause: Arc<Pause>,
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.pause.end();
        self.feed.append([Entry::Resumed]);
    }
}

impl Gateway {
    /// With `pending-only`, who has the old push under way keeps it: the workers pause it while that is found out and
    /// written down, so that nobody gets both and nobody neither (docs/ledger.md, rule 19). With `all` that is so for users,
    /// and nobody asks the members of a group.
    pub(super) async fn replace(&self, submission: Submission, replace: &Replace) -> Result<Submitted, Error> {
        for _ in 0..ATTEMPTS {
            let (initiator, push_id) = (submission.initiator.clone(), replace.push_id.clone());
            let old = self.store.to_be_held_back(initiator, push_id, replace.pending_only).await?;
            let paused = Paused { feed: &self.feed, pause: Arc::new(Pause::new(old.clone())) };
            let Some(holders) = self.holders(&paused.pause).await else { continue };
            let submitted = self.submit_replacing(submission.clone(), replace, old, holders).await;
            drop(paused);
            if !matches!(submitted, Ok(Submitted::NotHeldBack)) {
                return submitted;
            }
        }
        Ok(Submitted::NotHeldBack)
    }

    /// The bindings to which a dispatch is under way that is paused everywhere once this returns; none where a worker has not
    /// looked.
    async fn holders(&self, pause: &Arc<Pause>) -> Option<Vec<(BindingId, DispatchId)>> {
        let readers = self.feed.readers();
        let position = self.feed.append([Entry::Paused(Arc::clone(pause))]);
        // Before the workers have read it: a session that is just being resumed is found here.
        let mut holders = self.terminals().interrupted(&pause.dispatches);
        self.feed.until_read(position).await;
        holders.extend(pause.found(readers)?);
        // And after that: a connection that has ended meanwhile is found here.
        holders.extend(self.terminals().interrupted(&pause.dispatches));
        holders.sort_unstable();
        holders.dedup();
        Some(holders)
    }

    async fn submit_replacing(
        &self,
        mut submission: Submission,
        replace: &Replace,
        held_back: Vec<DispatchId>,
        holders: Vec<(BindingId, DispatchId)>,
    ) -> Result<Submitted, Error> {
        // What was acknowledged until now has been delivered (rule 3).
        self.terminals().settle_all().await;
        let Replace { push_id, pending_only } = replace.clone();
        submission.replace = Some(Replacing { push_id, pending_only, held_back, holders });
        let submitted = self.store.submit(submission).await?;
        if matches!(submitted, Submitted::Accepted { .. }) {
            self.feed.until_in_force().await;
        }
        Ok(submitted)
    }
}
