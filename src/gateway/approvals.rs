//! What an operator does with groups and with joins that wait.

use super::Gateway;
use crate::caller::Caller;
use crate::clock;
use crate::ids::{GroupId, JoinPolicy, UserId};
use crate::store::{Decided, Error, GroupView};

impl Gateway {
    /// An operator's decision on a pending join. The one who asked is told at once, or at its next connect.
    pub async fn decide(
        &self,
        caller: &Caller,
        group: GroupId,
        user: &UserId,
        approve: bool,
    ) -> Result<Decided, Error> {
        let act = if approve { "approve" } else { "reject" };
        let object = format!("group {group}");
        let _one_at_a_time = self.locks.lock(user).await;
        let limit = self.rules().limits.of_user;
        let decided = self.store.decide(group, user.clone(), approve, caller.hand(), limit, clock::now()).await?;
        if matches!(decided, Decided::Approved(_) | Decided::Rejected) {
            self.feed.until_in_force().await;
            self.send_answers(user).await;
            self.changed(caller, act, object, format!("the join of {user}")).await;
        }
        Ok(decided)
    }

    /// Makes a group or changes its policy; `None` where there are as many groups as there may be.
    pub async fn put_group(
        &self,
        caller: &Caller,
        group: GroupId,
        policy: Option<JoinPolicy>,
        welcome: Option<bool>,
    ) -> Result<Option<(GroupView, bool)>, Error> {
        let limit = self.rules().limits.groups;
        let object = format!("group {group}");
        let put =
            self.store.put_group(group, policy, welcome, self.rules().default_policy, limit, clock::now()).await?;
        if let Some((view, made)) = &put {
            let act = if *made { "make" } else { "change" };
            let welcome = if view.welcome { ", welcome last" } else { "" };
            self.changed(caller, act, object, format!("policy {}{welcome}", view.policy.name())).await;
        }
        Ok(put)
    }
}
