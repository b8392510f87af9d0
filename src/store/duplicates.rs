//! Push-ids that are used again (docs/pap.md, D1). Where the configuration gives one away, the earlier push goes on as it
//! was, but it is asked for by its push-id no more: that is the later one's. Its own is kept with a mark and its row id
//! behind it; a push-id has no control characters.

use rusqlite::{Connection, OptionalExtension, params};

use super::writer::Tx;
use super::{Digest, Earlier, Result, Store, Submission, Submitted};
use crate::ids::Duplicates;
use crate::parcel::PushKey;

const MARK: char = '\u{1}';

/// What is to be done with a submission.
pub(super) enum Verdict {
    /// Nobody has its push-id.
    New,
    /// This push has it, and gives it away.
    Taken(PushKey),
    /// The answer.
    Known(Submitted),
}

impl Store {
    /// Whether the submission of this digest was accepted under this push-id and is kept.
    pub async fn has_accepted(&self, initiator: String, push_id: String, digest: Digest) -> Result<bool> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM pushes WHERE initiator = ?1 AND push_id = ?2 AND digest IN (?3, ?4))",
            )?;
            let values = params![initiator, push_id, digest.stable, digest.former];
            Ok(query.query_row(values, |row| row.get(0))?)
        })
        .await
    }
}

pub(super) fn judge(sql: &Connection, push: &Submission) -> Result<Verdict> {
    let mut query = sql.prepare_cached("SELECT id, digest FROM pushes WHERE initiator = ?1 AND push_id = ?2")?;
    let found: Option<(PushKey, i64)> =
        query.query_row([&push.initiator, &push.push_id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((key, digest)) = found else { return Ok(Verdict::New) };
    Ok(match push.duplicates {
        Duplicates::Accept => Verdict::Taken(key),
        // A repeat is answered like the first time: its sender may not have got that answer.
        _ if digest == push.digest.stable || digest == push.digest.former => Verdict::Known(Submitted::Repeated),
        Duplicates::RejectPending if was_given_away(sql, push)? => Verdict::Known(Submitted::Repeated),
        Duplicates::RejectPending if !earlier(sql, key)?.open => Verdict::Taken(key),
        Duplicates::Reject | Duplicates::RejectPending => Verdict::Known(Submitted::Duplicate(earlier(sql, key)?)),
    })
}

/// Whether the same submission had this push-id before, and gave it away.
fn was_given_away(sql: &Connection, push: &Submission) -> Result<bool> {
    let mut query = sql.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM pushes WHERE initiator = ?1 AND push_id > ?2 || char(1) AND push_id < ?2 || char(2)
             AND digest IN (?3, ?4))",
    )?;
    let values = params![push.initiator, push.push_id, push.digest.stable, push.digest.former];
    Ok(query.query_row(values, |row| row.get(0))?)
}

/// How far the push has come.
fn earlier(sql: &Connection, push: PushKey) -> Result<Earlier> {
    let mut query = sql.prepare_cached(
        "SELECT coalesce(max(state < 2), 0), coalesce(sum(delivered), 0), coalesce(sum(recipients), 0)
         FROM dispatches WHERE push = ?1 AND welcome IS NULL",
    )?;
    let read =
        |row: &rusqlite::Row<'_>| Ok(Earlier { open: row.get(0)?, delivered: row.get(1)?, recipients: row.get(2)? });
    Ok(query.query_row([push], read)?)
}

/// Frees the push-id of this push.
pub(super) fn give_away(tx: &Tx<'_>, push: PushKey) -> Result<()> {
    tx.sql.prepare_cached("UPDATE pushes SET push_id = push_id || char(1) || id WHERE id = ?1")?.execute([push])?;
    Ok(())
}

/// A push-id as its initiator knows it.
pub(super) fn original(mut stored: String) -> String {
    if let Some(at) = stored.find(MARK) {
        stored.truncate(at);
    }
    stored
}
