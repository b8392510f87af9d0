//! Groups from the operator's side.

use super::{GroupView, MemberView, Result, Store, destinations, views};
use crate::clock::Millis;
use crate::ids::{GroupId, JoinPolicy};
use crate::parcel::FlowId;

impl Store {
    /// Makes a group or changes its policy; answers the group and whether it was made, or `None` where there are `limit`
    /// groups already.
    pub async fn put_group(
        &self,
        group: GroupId,
        policy: Option<JoinPolicy>,
        welcome: Option<bool>,
        default: JoinPolicy,
        limit: i64,
        now: Millis,
    ) -> Result<Option<(GroupView, bool)>> {
        self.write(move |tx| {
            let known = destinations::find(tx.sql, destinations::GROUP, group.as_str())?;
            let flow = match known {
                Some(flow) => flow,
                None if tx.groups() >= limit => return Ok(None),
                None => destinations::insert_group(tx, &group, policy.unwrap_or(default), None, now)?,
            };
            destinations::keep_group(tx, flow)?;
            if let (Some(_), Some(policy)) = (known, policy) {
                tx.sql
                    .prepare_cached("UPDATE flows SET policy = ?2 WHERE id = ?1")?
                    .execute([flow, destinations::policy_number(policy)])?;
            }
            if let Some(welcome) = welcome {
                tx.sql
                    .prepare_cached("UPDATE flows SET welcome = ?2 WHERE id = ?1")?
                    .execute([flow, i64::from(welcome)])?;
            }
            let view = views::group(tx.sql, &group)?;
            let view = view.unwrap_or(GroupView { id: group, policy: default, members: 0, welcome: false });
            Ok(Some((view, known.is_none())))
        })
        .await
    }

    /// How many pushes to a group are not over; 0 for an unknown group.
    pub async fn open_pushes(&self, group: GroupId) -> Result<u64> {
        self.read(move |sql| {
            let Some(flow) = destinations::find(sql, destinations::GROUP, group.as_str())? else { return Ok(0) };
            let mut query = sql.prepare_cached("SELECT count(*) FROM dispatches WHERE flow = ?1 AND state < 2")?;
            Ok(query.query_row([flow], |row| row.get(0))?)
        })
        .await
    }

    pub async fn group(&self, group: GroupId) -> Result<Option<GroupView>> {
        self.read(move |sql| views::group(sql, &group)).await
    }

    /// Groups whose IDs have this text in them, in order of their ID.
    pub async fn groups(&self, search: String, after: Option<String>, limit: usize) -> Result<Vec<GroupView>> {
        self.read(move |sql| views::groups(sql, &search, after.as_deref().unwrap_or(""), limit)).await
    }

    /// Members, those who have been known for longest first, after the user of this key; `None` for an unknown group.
    pub async fn members(&self, group: GroupId, after: FlowId, limit: usize) -> Result<Option<Vec<MemberView>>> {
        self.read(move |sql| {
            let Some(flow) = destinations::find(sql, destinations::GROUP, group.as_str())? else { return Ok(None) };
            views::members(sql, flow, after, limit).map(Some)
        })
        .await
    }
}
