//! What operators and initiators look at.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::address_lookup;
use super::duplicates::original;
use super::numbers::{UNCONFIRMED, priority};
use super::{
    AddressView, BindingView, DeliveryTimes, GroupView, MemberView, NotificationView, PushStage, PushView, Result,
    Source, State, Store, destinations, welcome,
};
use crate::ids::{GroupId, UserId};
use crate::parcel::{FlowId, PushKey};

impl Store {
    /// A push by its initiator and push-id.
    pub async fn push(&self, initiator: String, push_id: String) -> Result<Option<PushView>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(&format!("{PUSH} WHERE initiator = ?1 AND push_id = ?2"))?;
            let view = query.query_row([initiator, push_id], push_row).optional()?;
            view.map(|view| with_addresses(sql, view)).transpose()
        })
        .await
    }

    /// The push-id of a push of this initiator; `None` for another one's, and once it is forgotten.
    pub async fn own_push_id(&self, initiator: String, push: PushKey) -> Result<Option<String>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached("SELECT push_id FROM pushes WHERE id = ?1 AND initiator = ?2")?;
            let found: Option<String> = query.query_row(params![push, initiator], |row| row.get(0)).optional()?;
            Ok(found.map(super::duplicates::original))
        })
        .await
    }

    /// The push-id of a push; `None` once it is forgotten.
    pub async fn push_id(&self, push: PushKey) -> Result<Option<String>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached("SELECT push_id FROM pushes WHERE id = ?1")?;
            Ok(query.query_row([push], |row| row.get(0)).optional()?)
        })
        .await
    }

    /// Pushes of an initiator, or of all, newest first, older than the row `before`; with them whether there may be more. A page also
    /// ends where its pushes have very many addresses.
    pub async fn pushes(
        &self,
        initiator: Option<String>,
        stage: Option<PushStage>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<PushView>, bool)> {
        self.read(move |sql| {
            let of = if initiator.is_some() { "initiator = ?3 AND" } else { "?3 IS NULL AND" };
            let at = stage.map_or("", of_stage);
            let mut query = sql.prepare_cached(&format!("{PUSH} WHERE {of} {at} id < ?1 ORDER BY id DESC LIMIT ?2"))?;
            let mut rows = query.query(params![before.unwrap_or(i64::MAX), limit as i64, initiator])?;
            let (mut views, mut addresses) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                let view = with_addresses(sql, push_row(row)?)?;
                addresses += view.addresses.len();
                views.push(view);
                if addresses >= PAGE_ADDRESSES {
                    return Ok((views, true));
                }
            }
            let more = views.len() >= limit;
            Ok((views, more))
        })
        .await
    }

    /// The groups a user is bound to, in order of group ID.
    pub async fn bindings(&self, user: UserId) -> Result<Vec<BindingView>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT g.name, b.joined_at, b.sources FROM flows u JOIN bindings b ON b.user = u.id JOIN flows g ON g.id = b.flow
                 WHERE u.kind = 1 AND u.name = ?1 AND b.left_seq IS NULL AND g.kind = 0 ORDER BY g.name",
            )?;
            let mut rows = query.query([user.as_str()])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let name = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
                let Ok(group) = GroupId::parse(name) else { continue };
                found.push(BindingView { group, joined_at: row.get(1)?, source: Source::names(row.get(2)?) });
            }
            Ok(found)
        })
        .await
    }
}

/// The row of a push of this initiator.
pub(super) fn push_key(sql: &Connection, initiator: &str, push_id: &str) -> Result<Option<PushKey>> {
    let mut query = sql.prepare_cached("SELECT id FROM pushes WHERE initiator = ?1 AND push_id = ?2")?;
    Ok(query.query_row([initiator, push_id], |row| row.get(0)).optional()?)
}

/// What is open is found by the indexes of what is open.
fn of_stage(stage: PushStage) -> &'static str {
    match stage {
        PushStage::Scheduled => "id IN (SELECT push FROM dispatches WHERE state = 0 AND priority IN (0, 1, 2)) AND",
        PushStage::Pending => {
            "id IN (SELECT push FROM dispatches WHERE state < 2 AND state = 1 AND welcome IS NULL) AND"
        }
        PushStage::Finished => {
            "NOT EXISTS (SELECT 1 FROM dispatches d WHERE d.push = pushes.id AND d.state < 2 AND d.welcome IS NULL) AND"
        }
    }
}

/// Addresses of one page of pushes.
const PAGE_ADDRESSES: usize = 10_000;

const PUSH: &str =
    "SELECT id, push_id, initiator, created_at, content_type, length(body), delivery, priority FROM pushes";

fn push_row(row: &Row<'_>) -> rusqlite::Result<PushView> {
    Ok(PushView {
        key: row.get(0)?,
        push_id: original(row.get(1)?),
        initiator: row.get(2)?,
        created_at: row.get(3)?,
        content_type: row.get(4)?,
        size: row.get(5)?,
        confirmed: row.get::<_, i64>(6)? != UNCONFIRMED,
        priority: priority(row.get(7)?),
        addresses: Vec::new(),
    })
}

fn with_addresses(sql: &Connection, mut view: PushView) -> Result<PushView> {
    let welcomed = welcome::counts(sql, view.key)?;
    let mut query = sql.prepare_cached(
        "SELECT d.address, d.state, d.code, d.recipients, d.delivered, d.refused, d.gone, d.event_at,
                o.given_up, o.attempts, o.failure, o.next_at, f.kind, f.name, d.first_at, d.half_at, d.most_at, d.last_at,
                d.flow
         FROM dispatches d JOIN flows f ON f.id = d.flow LEFT JOIN outbox o ON o.dispatch = d.id WHERE d.push = ?1 AND d.welcome IS NULL ORDER BY d.position",
    )?;
    let rows = query.query_map([view.key], |row| {
        let notification = match row.get(8)? {
            Some(given_up) => {
                Some(NotificationView { given_up, attempts: row.get(9)?, failure: row.get(10)?, next_at: row.get(11)? })
            }
            None => None,
        };
        let times = DeliveryTimes { first: row.get(14)?, half: row.get(15)?, most: row.get(16)?, last: row.get(17)? };
        let (target, flow): (_, FlowId) = (address_lookup::target(row, 12, 13)?, row.get(18)?);
        let welcomed = welcomed.get(&flow).copied().unwrap_or(0);
        Ok(AddressView { notification, target, times, welcomed, ..address_row(row)? })
    })?;
    view.addresses = rows.collect::<rusqlite::Result<_>>()?;
    Ok(view)
}

/// Columns address, state, code, recipients, delivered, refused, gone, event_at.
pub(super) fn address_row(row: &Row<'_>) -> rusqlite::Result<AddressView> {
    Ok(AddressView {
        address: row.get(0)?,
        state: State::from_number(row.get(1)?),
        code: row.get(2)?,
        recipients: row.get(3)?,
        delivered: row.get(4)?,
        refused: row.get(5)?,
        gone: row.get(6)?,
        event_at: row.get(7)?,
        target: None,
        notification: None,
        times: DeliveryTimes::default(),
        welcomed: 0,
    })
}

const GROUP: &str = "SELECT name, policy, members, welcome FROM flows WHERE kind = 0 AND ";

/// Rows whose name is no group ID belong to deleted groups.
fn group_row(row: &Row<'_>) -> rusqlite::Result<Option<GroupView>> {
    let name: String = row.get(0)?;
    let (policy, members, welcome) = (destinations::policy_from(row.get(1)?), row.get(2)?, row.get(3)?);
    Ok(GroupId::parse(&name).ok().map(|id| GroupView { id, policy, members, welcome }))
}

pub(super) fn group(sql: &Connection, group: &GroupId) -> Result<Option<GroupView>> {
    let mut query = sql.prepare_cached(&format!("{GROUP} name = ?1"))?;
    Ok(query.query_row([group.as_str()], group_row).optional()?.flatten())
}

/// Capital and small letters of ASCII count as the same in what is searched for.
pub(super) fn groups(sql: &Connection, search: &str, after: &str, limit: usize) -> Result<Vec<GroupView>> {
    let mut query = sql.prepare_cached(&format!(
        "{GROUP} name > ?1 AND instr(name, char(1)) = 0 AND (?3 = '' OR instr(lower(name), lower(?3)) > 0)
         ORDER BY name LIMIT ?2"
    ))?;
    let rows = query.query_map(params![after, limit as i64, search], group_row)?;
    let found: Vec<Option<GroupView>> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// One page, and no more of the group than that.
pub(super) const MEMBERS: &str =
    "SELECT f.name, b.user, b.joined_at, b.sources FROM bindings b INDEXED BY bindings_open CROSS JOIN flows f ON f.id = b.user
     WHERE b.flow = ?1 AND b.left_seq IS NULL AND b.user > ?2 ORDER BY b.user LIMIT ?3";

pub(super) fn members(sql: &Connection, flow: FlowId, after: FlowId, limit: usize) -> Result<Vec<MemberView>> {
    let mut query = sql.prepare_cached(MEMBERS)?;
    let rows = query.query_map(params![flow, after, limit as i64], |row| {
        Ok(MemberView {
            user: row.get(0)?,
            key: row.get(1)?,
            joined_at: row.get(2)?,
            source: Source::names(row.get(3)?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
