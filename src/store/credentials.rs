//! Credentials: who signs in with which token. There are only hashes of tokens here.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{CredentialView, NewCredential, Result, SignedIn, Store};
use crate::caller::{Kind, Role};
use crate::clock::Millis;

fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Device => 0,
        Kind::Initiator => 1,
        Kind::Operator => 2,
    }
}

fn kind_from(number: i64) -> Kind {
    match number {
        0 => Kind::Device,
        1 => Kind::Initiator,
        _ => Kind::Operator,
    }
}

fn role_number(role: Option<Role>) -> Option<i64> {
    role.map(|role| i64::from(role == Role::Operator))
}

fn role_from(number: Option<i64>) -> Option<Role> {
    number.map(|number| if number == 1 { Role::Operator } else { Role::Viewer })
}

/// Columns kind, name, role, hash.
fn signed_in(row: &Row<'_>) -> rusqlite::Result<SignedIn> {
    Ok(SignedIn {
        kind: kind_from(row.get(0)?),
        name: row.get(1)?,
        role: role_from(row.get(2)?),
        hash: row.get(3)?,
        until: None,
    })
}

fn view(row: &Row<'_>) -> rusqlite::Result<CredentialView> {
    Ok(CredentialView {
        name: row.get(0)?,
        role: role_from(row.get(1)?),
        created_at: row.get(2)?,
        old_until: row.get(3)?,
    })
}

impl Store {
    /// The key that tokens are hashed with; the first caller's becomes that of the store.
    pub async fn token_key(&self, fresh: Vec<u8>) -> Result<Vec<u8>> {
        let read = |sql: &Connection| {
            let mut query = sql.prepare_cached("SELECT token_key FROM secrets WHERE id = 1")?;
            Ok(query.query_row([], |row| row.get::<_, Vec<u8>>(0)).optional()?)
        };
        // A store that takes no writes at this moment (a full disk) has its key all the same.
        if let Some(key) = self.read(read).await? {
            return Ok(key);
        }
        self.write(move |tx| {
            tx.sql.execute("INSERT INTO secrets (id, token_key) VALUES (1, ?1) ON CONFLICT DO NOTHING", [&fresh])?;
            Ok(read(tx.sql)?.unwrap_or_default())
        })
        .await
    }

    /// Whose token has this hash.
    pub async fn find_credential(&self, hash: [u8; 32], now: Millis) -> Result<Option<SignedIn>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT kind, name, role, hash FROM credentials WHERE hash = ?1 AND coalesce(until > ?2, 1)",
            )?;
            let found = query.query_row(params![hash, now], signed_in);
            Ok(found.optional()?)
        })
        .await
    }

    /// Stores new ones: all of them, or none and the first name that has one already.
    pub async fn add_credentials(
        &self,
        kind: Kind,
        new: Vec<NewCredential>,
        now: Millis,
    ) -> Result<std::result::Result<(), String>> {
        self.write(move |tx| {
            let kind = kind_number(kind);
            let mut known =
                tx.sql.prepare_cached("SELECT EXISTS (SELECT 1 FROM credentials WHERE kind = ?1 AND name = ?2)")?;
            for one in &new {
                if known.query_row(params![kind, one.name], |row| row.get(0))? {
                    return Ok(Err(one.name.clone()));
                }
            }
            for one in &new {
                insert(tx.sql, kind, one, now)?;
            }
            Ok(Ok(()))
        })
        .await
    }

    /// Gives one a new token; the old one works until `old_until`, or no more. Answers its role, and which tokens work no more.
    /// `None`: there is no such credential.
    pub async fn rotate_credential(
        &self,
        kind: Kind,
        name: String,
        hash: [u8; 32],
        old_until: Option<Millis>,
        now: Millis,
    ) -> Result<Option<(Option<Role>, Vec<SignedIn>)>> {
        self.write(move |tx| {
            let kind = kind_number(kind);
            let role: Option<Option<i64>> = tx
                .sql
                .prepare_cached("SELECT role FROM credentials WHERE kind = ?1 AND name = ?2 AND until IS NULL")?
                .query_row(params![kind, name], |row| row.get(0))
                .optional()?;
            let Some(role) = role.map(role_from) else { return Ok(None) };
            // Whatever was the old one until now is so no more: two work at a time.
            let ended = tx
                .sql
                .prepare_cached(
                    "DELETE FROM credentials WHERE kind = ?1 AND name = ?2 AND (until IS NOT NULL OR ?3 IS NULL)
                     RETURNING kind, name, role, hash",
                )?
                .query_map(params![kind, name, old_until], signed_in)?
                .collect::<rusqlite::Result<_>>()?;
            tx.sql
                .prepare_cached("UPDATE credentials SET until = ?3 WHERE kind = ?1 AND name = ?2")?
                .execute(params![kind, name, old_until])?;
            insert(tx.sql, kind, &NewCredential { name, role, hash }, now)?;
            Ok(Some((role, ended)))
        })
        .await
    }

    /// `false`: there is no such credential.
    pub async fn remove_credential(&self, kind: Kind, name: String) -> Result<bool> {
        self.write(move |tx| {
            let mut delete = tx.sql.prepare_cached("DELETE FROM credentials WHERE kind = ?1 AND name = ?2")?;
            Ok(delete.execute(params![kind_number(kind), name])? > 0)
        })
        .await
    }

    /// Those of a kind in order of their names, after this one.
    pub async fn credentials(&self, kind: Kind, after: String, limit: usize) -> Result<Vec<CredentialView>> {
        self.read(move |sql| {
            let mut query = sql.prepare_cached(
                "SELECT c.name, c.role, c.created_at,
                     (SELECT max(o.until) FROM credentials o WHERE o.kind = c.kind AND o.name = c.name)
                 FROM credentials c INDEXED BY credentials_name
                 WHERE c.kind = ?1 AND c.name > ?2 AND c.until IS NULL ORDER BY c.name LIMIT ?3",
            )?;
            let rows = query.query_map(params![kind_number(kind), after, limit as i64], view)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Takes away old tokens whose time is up, and answers whose they were.
    pub async fn forget_old_tokens(&self, now: Millis) -> Result<Vec<SignedIn>> {
        let any = self.read(move |sql| {
            let mut query = sql.prepare_cached("SELECT EXISTS (SELECT 1 FROM credentials WHERE until <= ?1)")?;
            Ok(query.query_row([now], |row| row.get::<_, bool>(0))?)
        });
        if !any.await? {
            return Ok(Vec::new());
        }
        self.write(move |tx| {
            let mut delete =
                tx.sql.prepare_cached("DELETE FROM credentials WHERE until <= ?1 RETURNING kind, name, role, hash")?;
            let rows = delete.query_map([now], signed_in)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Whether there is a credential of this kind and name.
    pub async fn has_credential(&self, kind: Kind, name: String) -> Result<bool> {
        self.read(move |sql| has(sql, kind, &name)).await
    }
}

/// Whether a device has a credential: its user is known, even if it never was here.
pub(super) fn has_device(sql: &Connection, user: &str) -> Result<bool> {
    has(sql, Kind::Device, user)
}

fn has(sql: &Connection, kind: Kind, name: &str) -> Result<bool> {
    let mut query = sql.prepare_cached("SELECT EXISTS (SELECT 1 FROM credentials WHERE kind = ?1 AND name = ?2)")?;
    Ok(query.query_row(params![kind_number(kind), name], |row| row.get(0))?)
}

fn insert(sql: &Connection, kind: i64, one: &NewCredential, now: Millis) -> Result<()> {
    sql.prepare_cached("INSERT INTO credentials (hash, kind, name, role, created_at) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![one.hash, kind, one.name, role_number(one.role), now])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervision::Health;

    fn new(name: &str, byte: u8) -> NewCredential {
        NewCredential { name: name.into(), role: None, hash: [byte; 32] }
    }

    #[tokio::test]
    async fn a_token_is_found_until_it_is_rotated_or_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("c.db"), 1, &Health::default(), |_| {}, Default::default()).unwrap();
        assert_eq!(store.token_key(vec![1]).await.unwrap(), [1]);
        assert_eq!(store.token_key(vec![2]).await.unwrap(), [1], "the first one stays");
        let (device, now) = (Kind::Device, 1_000);
        let found = async |byte: u8, now| store.find_credential([byte; 32], now).await.unwrap().map(|found| found.name);
        // Which tokens work no more.
        let rotate = async |name: &str, byte: u8, until| {
            let rotated = store.rotate_credential(device, name.to_owned(), [byte; 32], until, now).await.unwrap();
            rotated.map(|(_, ended)| {
                let mut ended: Vec<u8> = ended.iter().map(|one| one.hash[0]).collect();
                ended.sort_unstable();
                ended
            })
        };
        let add = store.add_credentials(device, vec![new("a", 1), new("b", 2)], now).await.unwrap();
        assert_eq!(add, Ok(()));
        let twice = store.add_credentials(device, vec![new("c", 3), new("a", 4)], now).await.unwrap();
        assert_eq!(twice, Err("a".to_owned()));
        assert_eq!(found(3, now).await, None, "all of them, or none");
        assert_eq!(found(1, now).await.as_deref(), Some("a"));
        // Both work for a while; with the next rotation the oldest one works no more.
        assert_eq!(rotate("a", 5, Some(2_000)).await, Some(vec![]));
        assert_eq!((found(1, 1_999).await, found(1, 2_000).await), (Some("a".into()), None));
        assert_eq!(found(5, 3_000).await.as_deref(), Some("a"));
        let listed = store.credentials(device, String::new(), 9).await.unwrap();
        let names: Vec<_> = listed.iter().map(|one| (one.name.as_str(), one.old_until)).collect();
        assert_eq!(names, [("a", Some(2_000)), ("b", None)]);
        assert_eq!(rotate("a", 6, Some(9_000)).await, Some(vec![1]));
        assert_eq!((found(1, now).await, found(5, now).await.as_deref()), (None, Some("a")));
        assert_eq!(rotate("a", 7, None).await, Some(vec![5, 6]));
        assert_eq!((found(5, now).await, found(6, now).await), (None, None), "at once");
        assert_eq!(rotate("x", 8, None).await, None);
        assert!(store.remove_credential(device, "a".into()).await.unwrap());
        assert!(!store.remove_credential(device, "a".into()).await.unwrap());
        assert_eq!(found(7, now).await, None);
        assert_eq!(rotate("b", 9, Some(1_500)).await, Some(vec![]));
        assert_eq!(store.forget_old_tokens(1_499).await.unwrap(), []);
        let over = store.forget_old_tokens(1_500).await.unwrap();
        assert_eq!(over.iter().map(|one| (one.name.as_str(), one.hash[0])).collect::<Vec<_>>(), [("b", 2)]);
    }
}
