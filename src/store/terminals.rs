//! What is known of the devices that act for a user: written down when they come and go, for those who ask about a terminal
//! that is away.

use rusqlite::params;

use super::{Result, Store, TerminalSeen};
use crate::clock::Millis;
use crate::ids::UserId;

/// Terminals that are remembered of one user: those that were seen last. Many clients make up an ID for each connection.
const REMEMBERED: usize = 16;

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

    /// Forgets terminals that were last seen before `until`.
    pub async fn forget_terminals(&self, until: Millis) -> Result<usize> {
        self.write(move |tx| {
            let mut statement = tx.sql.prepare_cached(
                "DELETE FROM terminals WHERE client IN (SELECT client FROM terminals WHERE seen_at < ?1 LIMIT 1000)",
            )?;
            Ok(statement.execute([until])?)
        })
        .await
    }
}
