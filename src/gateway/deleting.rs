//! Deleting a group: it is gone at once, and what it leaves behind is cleared away in steps that keep nobody waiting, for as
//! long as it takes and after a restart too.

use super::Gateway;
use crate::clock;
use crate::ids::{GroupId, UserId};
use crate::parcel::{BindingId, FlowId};
use crate::store::{Cleared, Error};

impl Gateway {
    /// Deletes a group and unbinds everybody; `false` for an unknown one.
    pub async fn delete_group(&self, group: &GroupId) -> Result<bool, Error> {
        let Some(flow) = self.store.delete_group(group.clone(), clock::now()).await? else { return Ok(false) };
        let _one_at_a_time = self.deleting.lock().await;
        self.clear_away(flow).await?;
        Ok(true)
    }

    /// Goes on with deletions that a stop or a failure has interrupted.
    pub(super) async fn go_on_deleting(&self) -> Result<(), Error> {
        // Somebody waits for the one that is under way.
        let Ok(_one_at_a_time) = self.deleting.try_lock() else { return Ok(()) };
        for flow in self.store.deleted_groups().await? {
            self.clear_away(flow).await?;
        }
        Ok(())
    }

    async fn clear_away(&self, flow: FlowId) -> Result<(), Error> {
        loop {
            let members = self.store.remaining_members(flow).await?;
            if members.is_empty() {
                break;
            }
            self.unbind_portion(flow, members).await?;
        }
        while let Cleared::Some(told) = self.store.clear_group(flow, clock::now()).await? {
            for user in told {
                let _one_at_a_time = self.locks.lock(&user).await;
                self.send_answers(&user).await;
            }
        }
        Ok(())
    }

    /// Unbinds as many of these as one transaction may.
    async fn unbind_portion(&self, flow: FlowId, mut members: Vec<(BindingId, UserId)>) -> Result<(), Error> {
        let _one_at_a_time = self.locks.lock_all(members.iter().map(|(_, user)| user.clone()).collect()).await;
        self.terminals().settle_all().await;
        let bindings = members.iter().map(|(binding, _)| *binding).collect();
        let done = self.store.unbind_all(bindings, clock::now()).await?;
        members.truncate(done);
        for (_, user) in &members {
            self.terminals().detach(user, flow).await;
        }
        Ok(())
    }
}
