//! What is known of the devices that act for a user: written down when they come and go, for those who ask about a terminal
//! that is away.

use rusqlite::params;

use super::{Result, Store, TerminalSeen};
use crate::clock::Millis;
use crate::ids::UserId;

/// Terminals that are remembered of one user: those that were seen last. Many clients make up an ID for each connection.
const REMEMBERED: usize = 16;

/// Terminals that one step of forgetting looks at.
const STEP: usize = 1_000;

impl Store {
    /// Notes terminals as they are now; of one client the last word counts. Nobody can ask about a user that is neither a
    /// member of anything nor connected, and nothing is noted of one.
    pub async fn note_terminals(&self, seen: Vec<TerminalSeen>) -> Result<()> {
        if seen.is_empty() {
            return Ok(());
        }
        self.write(move |tx| {
            let mut statement = tx.sql.prepare_cached(
                "INSERT INTO terminals (client, user, protocol, receive_maximum, maximum_packet, seen_at, sent, largest_acked, gone)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE EXISTS (SELECT 1 FROM flows WHERE kind = 1 AND name = ?2)
                 ON CONFLICT (client) DO UPDATE SET user = ?2, protocol = ?3, receive_maximum = ?4, maximum_packet = ?5,
                     seen_at = ?6, sent = sent + ?7, largest_acked = max(largest_acked, ?8), gone = ?9",
            )?;
            let mut oldest = tx.sql.prepare_cached(
                "DELETE FROM terminals WHERE client IN
                    (SELECT client FROM terminals WHERE user = ?1 ORDER BY seen_at DESC, client LIMIT -1 OFFSET ?2)",
            )?;
            for one in &seen {
                statement.execute(params![
                    one.client,
                    one.user.as_str(),
                    one.protocol,
                    one.receive_maximum,
                    one.maximum_packet,
                    one.seen_at,
                    one.sent as i64,
                    one.largest_acked as i64,
                    one.gone
                ])?;
                oldest.execute(params![one.user.as_str(), REMEMBERED as i64])?;
            }
            Ok(())
        })
        .await
    }

    /// The terminals of a user, the one that was seen last first.
    pub async fn terminals(&self, user: UserId, limit: usize) -> Result<Vec<TerminalSeen>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT client, protocol, receive_maximum, maximum_packet, seen_at, sent, largest_acked, gone FROM terminals WHERE user = ?1
                 ORDER BY seen_at DESC, client LIMIT ?2",
            )?;
            let rows = query.query_map(params![user.as_str(), limit as i64], |row| {
                Ok(TerminalSeen {
                    client: row.get(0)?,
                    user: user.clone(),
                    protocol: row.get(1)?,
                    receive_maximum: row.get(2)?,
                    maximum_packet: row.get(3)?,
                    seen_at: row.get(4)?,
                    sent: row.get(5)?,
                    largest_acked: row.get(6)?,
                    gone: row.get(7)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Forgets terminals that were last seen before `until` and whose users are in no group: of members it is asked for how
    /// long they have been away. Looks at some after this place; answers where to go on, or `None` at the end.
    pub async fn forget_terminals(&self, after: (Millis, String), until: Millis) -> Result<Option<(Millis, String)>> {
        let old = self
            .read(move |sql| {
                let mut query = sql.prepare_cached(
                    "SELECT t.seen_at, t.client, NOT EXISTS
                        (SELECT 1 FROM flows f JOIN bindings b ON b.user = f.id AND b.flow <> f.id AND b.left_seq IS NULL
                         WHERE f.kind = 1 AND f.name = t.user)
                     FROM terminals t WHERE t.seen_at < ?1 AND (t.seen_at, t.client) > (?2, ?3)
                     ORDER BY t.seen_at, t.client LIMIT ?4",
                )?;
                let rows = query.query_map(params![until, after.0, after.1, STEP as i64], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })?;
                Ok(rows.collect::<rusqlite::Result<Vec<(Millis, String, bool)>>>()?)
            })
            .await?;
        let next = if old.len() < STEP { None } else { old.last().map(|(at, client, _)| (*at, client.clone())) };
        let goes: Vec<String> = old.into_iter().filter(|(_, _, goes)| *goes).map(|(_, client, _)| client).collect();
        if !goes.is_empty() {
            self.write(move |tx| {
                let mut statement =
                    tx.sql.prepare_cached("DELETE FROM terminals WHERE client = ?1 AND seen_at < ?2")?;
                for client in goes {
                    statement.execute(params![client, until])?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(next)
    }
}
