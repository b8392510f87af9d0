//! Whom a push would reach: members of a group and users, with what is known of their terminals. Nothing is stored.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Reached, Result, Store, credentials, destinations, last_seen};
use crate::ids::Target;
use crate::parcel::FlowId;

impl Store {
    /// Some of those whom a push to this target would reach, after this one; `None`: it names nothing known. `connected`: a user
    /// that is known because it is connected.
    pub async fn reach(
        &self,
        target: Target,
        connected: bool,
        after: FlowId,
        limit: usize,
    ) -> Result<Option<Vec<Reached>>> {
        self.read(move |sql| match &target {
            Target::Group(group) => {
                let Some(flow) = destinations::find(sql, destinations::GROUP, group.as_str())? else { return Ok(None) };
                members(sql, flow, after, limit).map(Some)
            }
            Target::User(user) => {
                let bound = sql
                    .prepare_cached(
                        "SELECT id FROM flows f WHERE kind = 1 AND name = ?1
                         AND EXISTS (SELECT 1 FROM bindings WHERE user = f.id AND flow <> f.id AND left_seq IS NULL)",
                    )?
                    .query_row([user.as_str()], |row| row.get::<_, FlowId>(0))
                    .optional()?;
                if !connected && bound.is_none() && !credentials::has_device(sql, user.as_str())? {
                    return Ok(None);
                }
                let maximum_packet = maximum_packet(sql, user.as_str())?;
                let name = user.to_string();
                let id = destinations::find(sql, destinations::USER, &name)?.unwrap_or(0);
                // One, on the first page.
                let found = (after == 0).then_some(Reached { id, user: name, maximum_packet });
                Ok(Some(found.into_iter().collect()))
            }
        })
        .await
    }
}

fn members(sql: &Connection, group: FlowId, after: FlowId, limit: usize) -> Result<Vec<Reached>> {
    let mut query = sql.prepare_cached(
        "SELECT b.user, f.name FROM bindings b JOIN flows f ON f.id = b.user
         WHERE b.flow = ?1 AND b.user > ?2 AND b.left_seq IS NULL ORDER BY b.user LIMIT ?3",
    )?;
    let mut rows = query.query(params![group, after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let user: String = row.get(1)?;
        let maximum_packet = maximum_packet(sql, &user)?;
        found.push(Reached { id: row.get(0)?, user, maximum_packet });
    }
    Ok(found)
}

/// What the terminal takes that was seen last.
fn maximum_packet(sql: &Connection, user: &str) -> Result<Option<u32>> {
    Ok(last_seen::of_user(sql, user, false)?.maximum_packet)
}
