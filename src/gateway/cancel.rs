//! Cancelling a push: who has not got it will not.

use super::Gateway;
use crate::clock;
use crate::store::{Asked, Cancelled, Error};

impl Gateway {
    /// Cancels a push for these addresses, or all; `None` for an unknown push. When this returns, no terminal is sent it
    /// any more: what was acknowledged before counts as delivered, and the workers have confirmed the rest.
    pub async fn cancel(
        &self,
        initiator: &str,
        push_id: &str,
        addresses: Vec<Asked>,
    ) -> Result<Option<Cancelled>, Error> {
        self.terminals().settle_all().await;
        let (initiator, push_id) = (initiator.to_owned(), push_id.to_owned());
        let cancelled = self.store.cancel(initiator, push_id, addresses, clock::now()).await?;
        if cancelled.as_ref().is_some_and(|cancelled| !cancelled.dispatches.is_empty()) {
            self.feed.until_in_force().await;
        }
        Ok(cancelled)
    }
}
