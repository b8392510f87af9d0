//! Replacing a push: the old one is taken back as far as that is possible, and the new one submitted, in one transaction.

use super::submit::Replace;
use super::{Gateway, Terminals};
use crate::parcel::{BindingId, FlowId, Seq};
use crate::store::{Error, Replacing, Submission, Submitted};

/// The old push may be dispatched to one more of its addresses between two looks; that often in a row it is not.
const ATTEMPTS: usize = 5;

/// Lets go of what is held back, whatever becomes of the replacement: nobody may wait for it for ever.
struct HeldBack<'a> {
    terminals: &'a dyn Terminals,
    dispatches: &'a [(FlowId, Seq)],
}

impl Drop for HeldBack<'_> {
    fn drop(&mut self) {
        self.terminals.let_go(self.dispatches);
    }
}

impl Gateway {
    /// With `pending-only`, who has the old push under way keeps it: the workers hold it back while that is found out and
    /// written down, so that nobody gets both and nobody neither (docs/ledger.md, rule 19). With `all` that is so for users,
    /// and nobody asks the members of a group.
    pub(super) async fn replace(&self, submission: Submission, replace: &Replace) -> Result<Submitted, Error> {
        for _ in 0..ATTEMPTS {
            let (initiator, push_id) = (submission.initiator.clone(), replace.push_id.clone());
            let old = self.store.to_be_held_back(initiator, push_id, replace.pending_only).await?;
            let holders = self.terminals().hold_back(&old).await;
            let held = HeldBack { terminals: self.terminals(), dispatches: &old };
            let held_back = old.iter().map(|(_, seq)| *seq).collect();
            let submitted = self.submit_replacing(submission.clone(), replace, held_back, holders).await;
            drop(held);
            if !matches!(submitted, Ok(Submitted::NotHeldBack)) {
                return submitted;
            }
        }
        Ok(Submitted::NotHeldBack)
    }

    async fn submit_replacing(
        &self,
        mut submission: Submission,
        replace: &Replace,
        held_back: Vec<Seq>,
        holders: Vec<(BindingId, Seq)>,
    ) -> Result<Submitted, Error> {
        // What was acknowledged until now has been delivered (rule 3).
        self.terminals().settle_all().await;
        let Replace { push_id, pending_only } = replace.clone();
        submission.replace = Some(Replacing { push_id, pending_only, held_back, holders });
        let submitted = self.store.submit(submission).await?;
        if let Submitted::Accepted { revoked, .. } = &submitted {
            self.terminals().revoke(revoked).await;
        }
        Ok(submitted)
    }
}
