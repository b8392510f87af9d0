//! Groups from the operator's side.

use rusqlite::params;

use super::{GroupView, MemberView, PendingReply, Result, State, Store, dispatch, flows, requests, views};
use crate::clock::Millis;
use crate::ids::{GroupId, JoinPolicy, UserId};

/// What became of a deletion.
#[derive(Debug, Clone)]
pub enum Deleted {
    Unknown,
    /// Gone, with these members still to be unbound one by one.
    Members(Vec<UserId>),
    /// Gone, with the joins that waited for a decision.
    Gone(Vec<(UserId, PendingReply)>),
}

impl Store {
    /// Makes a group or changes its policy; answers the group and whether it was made.
    pub async fn put_group(
        &self,
        group: GroupId,
        policy: Option<JoinPolicy>,
        default: JoinPolicy,
        now: Millis,
    ) -> Result<(GroupView, bool)> {
        self.write(move |tx| {
            let known = flows::find(tx.sql, flows::GROUP, group.as_str())?;
            match (known, policy) {
                (None, _) => {
                    flows::insert_group(tx, &group, policy.unwrap_or(default), now)?;
                }
                (Some(flow), Some(policy)) => {
                    tx.sql
                        .prepare_cached("UPDATE flows SET policy = ?2 WHERE id = ?1")?
                        .execute([flow, flows::policy_number(policy)])?;
                }
                (Some(_), None) => {}
            }
            let view = views::group(tx.sql, &group)?.unwrap_or(GroupView { id: group, policy: default, members: 0 });
            Ok((view, known.is_none()))
        })
        .await
    }

    /// Deletes a group without members. Its row stays while a push names it; such a group is closed and empty, and
    /// `Deleted::Members` says who has to be unbound first.
    pub async fn delete_group(&self, group: GroupId, portion: usize, now: Millis) -> Result<Deleted> {
        self.write(move |tx| {
            let Some(flow) = flows::find(tx.sql, flows::GROUP, group.as_str())? else { return Ok(Deleted::Unknown) };
            let mut query = tx.sql.prepare_cached(
                "SELECT f.name FROM bindings b JOIN flows f ON f.id = b.user WHERE b.flow = ?1 AND b.left_seq IS NULL LIMIT ?2",
            )?;
            let names: Vec<String> =
                query.query_map(params![flow, portion as i64], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            if !names.is_empty() {
                return Ok(Deleted::Members(names.iter().filter_map(|name| UserId::parse(name).ok()).collect()));
            }
            let waited = requests::take_all(tx, flow)?;
            tx.sql
                .prepare_cached("UPDATE dispatches SET state = ?2, code = ?3, event_at = ?4 WHERE flow = ?1 AND state = 0")?
                .execute(params![flow, State::Undeliverable.number(), dispatch::NOBODY, now])?;
            // History (pushes to the group, closed bindings) keeps the row alive under a name nobody can use: group IDs
            // have no control characters. Housekeeping removes it with the last push.
            tx.sql
                .prepare_cached("UPDATE flows SET name = name || char(1) || id || char(1) || ?2, policy = 2 WHERE id = ?1")?
                .execute(params![flow, now])?;
            Ok(Deleted::Gone(waited))
        })
        .await
    }

    /// How many pushes to a group are not over; 0 for an unknown group.
    pub async fn open_pushes(&self, group: GroupId) -> Result<u64> {
        self.read(move |sql| {
            let Some(flow) = flows::find(sql, flows::GROUP, group.as_str())? else { return Ok(0) };
            let mut query = sql.prepare_cached("SELECT count(*) FROM dispatches WHERE flow = ?1 AND state < 2")?;
            Ok(query.query_row([flow], |row| row.get(0))?)
        })
        .await
    }

    pub async fn group(&self, group: GroupId) -> Result<Option<GroupView>> {
        self.read(move |sql| views::group(sql, &group)).await
    }

    /// Groups in order of their ID.
    pub async fn groups(&self, after: Option<String>, limit: usize) -> Result<Vec<GroupView>> {
        self.read(move |sql| views::groups(sql, after.as_deref().unwrap_or(""), limit)).await
    }

    /// Members in order of user ID; `None` for an unknown group.
    pub async fn members(
        &self,
        group: GroupId,
        after: Option<String>,
        limit: usize,
    ) -> Result<Option<Vec<MemberView>>> {
        self.read(move |sql| {
            let Some(flow) = flows::find(sql, flows::GROUP, group.as_str())? else { return Ok(None) };
            views::members(sql, flow, after.as_deref().unwrap_or(""), limit).map(Some)
        })
        .await
    }
}
