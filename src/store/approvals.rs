//! An operator's decision on a join that waits.

use super::{
    Decided, Hand, JoinOutcome, Result, Source, Store, destinations, late_answers, memberships, pending_joins, welcome,
};
use crate::clock::Millis;
use crate::ids::{GroupId, UserId};

impl Store {
    /// Decides a pending join. An approval makes a lasting binding, unless the user has `limit` of them.
    pub async fn decide(
        &self,
        group: GroupId,
        user: UserId,
        approve: bool,
        operator: String,
        limit: u32,
        now: Millis,
    ) -> Result<Decided> {
        self.write(move |tx| {
            let Some(flow) = destinations::find(tx.sql, destinations::GROUP, group.as_str())? else {
                return Ok(Decided::NotPending);
            };
            let Some(asker) = destinations::find(tx.sql, destinations::USER, user.as_str())? else {
                return Ok(Decided::NotPending);
            };
            if !pending_joins::exists(tx.sql, flow, asker)? {
                return Ok(Decided::NotPending);
            }
            let open = memberships::find_open(tx.sql, &user, &group)?;
            if approve && open.is_none() && memberships::count_groups(tx.sql, asker)? >= i64::from(limit) {
                return Ok(Decided::LimitReached);
            }
            let reply = pending_joins::take(tx, flow, asker)?.unwrap_or_default();
            let outcome = if approve { JoinOutcome::Accepted } else { JoinOutcome::Declined };
            late_answers::record(tx, asker, group.as_str(), outcome, &reply, now)?;
            late_answers::trim(tx)?;
            if !approve {
                return Ok(Decided::Rejected);
            }
            let binding = match open {
                Some(open) => {
                    memberships::add_source(tx, &open, Source::Join)?;
                    open.id
                }
                None => {
                    let hand = Hand::Operator(operator);
                    let binding = memberships::insert(tx, flow, &user, asker, Source::Join, &hand, now)?;
                    welcome::give(tx, (flow, &group), (asker, &user), now)?;
                    binding
                }
            };
            Ok(memberships::membership(tx.sql, binding)?.map_or(Decided::NotPending, Decided::Approved))
        })
        .await
    }
}
