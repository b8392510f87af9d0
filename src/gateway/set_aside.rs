//! A push that a client cannot take is set aside, so that it does not keep the others from it (docs/ledger.md, rule 20).

use super::Gateway;
use crate::clock;
use crate::ids::UserId;
use crate::store::{Error, Failed, Setting};

impl Gateway {
    /// A client of this user has failed to take a push. To be called with every acknowledgement of it written down or given
    /// to its worker.
    pub async fn set_aside(&self, user: &UserId, failed: Failed) -> Result<Setting, Error> {
        self.terminals().settle(user).await;
        self.store.set_aside(failed, clock::now()).await
    }
}
