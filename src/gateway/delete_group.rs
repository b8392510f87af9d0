//! Deleting a group: it is gone at once, and what it leaves behind is cleared away in steps that keep nobody waiting, for as
//! long as it takes and after a restart too.

use super::Gateway;
use crate::caller::Caller;
use crate::clock;
use crate::ids::{GroupId, UserId};
use crate::parcel::{BindingId, FlowId};
use crate::store::{Cleared, Error, Hand};

/// What the deletion of a group did.
#[derive(Debug, Clone, Copy)]
pub struct Removed {
    pub unbound: u64,
    /// Pushes that were not over for everybody.
    pub pushes_ended: u64,
}

impl Gateway {
    /// Deletes a group and unbinds everybody; answers what that did, or `None` for an unknown group.
    pub async fn delete_group(&self, caller: &Caller, group: &GroupId) -> Result<Option<Removed>, Error> {
        let pushes_ended = self.store.open_pushes(group.clone()).await?;
        let Some(flow) = self.store.delete_group(group.clone(), clock::now()).await? else { return Ok(None) };
        let _one_at_a_time = self.deleting.lock().await;
        let unbound = self.clear_away(flow).await?;
        let detail = format!("{unbound} members unbound, {pushes_ended} pushes ended");
        self.changed(caller, "remove", format!("group {group}"), detail).await;
        Ok(Some(Removed { unbound, pushes_ended }))
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

    /// Answers how many members were unbound.
    async fn clear_away(&self, flow: FlowId) -> Result<u64, Error> {
        let mut unbound = 0;
        loop {
            let members = self.store.remaining_members(flow).await?;
            if members.is_empty() {
                break;
            }
            unbound += self.unbind_portion(members).await? as u64;
        }
        while let Cleared::Some(told) = self.store.clear_group(flow, clock::now()).await? {
            for user in told {
                let _one_at_a_time = self.locks.lock(&user).await;
                self.send_answers(&user).await;
            }
        }
        Ok(unbound)
    }

    /// Unbinds as many of these as one transaction may; answers how many.
    async fn unbind_portion(&self, members: Vec<(BindingId, UserId)>) -> Result<usize, Error> {
        let _one_at_a_time = self.locks.lock_all(members.iter().map(|(_, user)| user.clone()).collect()).await;
        self.terminals().settle_all().await;
        let bindings = members.iter().map(|(binding, _)| *binding).collect();
        let done = self.store.unbind_all(bindings, Hand::GroupRemoved, clock::now()).await?;
        self.feed.until_in_force().await;
        Ok(done)
    }
}
