//! Opening: pragmas, the schema of a new file, the upgrade of an older one, and the refusal of what we cannot read.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::schema_upgrade::{self, SCHEMA_VERSION};
use super::{Error, Result, backup};

const SCHEMA: &str = include_str!("../../schema.sql");

/// docs/store.md explains each.
const PRAGMAS: [(&str, &str); 7] = [
    // Readers never wait for the writer.
    ("journal_mode", "WAL"),
    // The log is synced at every commit, so what was answered with 1001 survives loss of power; the price is shared by all
    // requests in a commit.
    ("synchronous", "FULL"),
    // What a savepoint may have to undo is kept in memory: in a file it cost a fifth of the writer's time.
    ("temp_store", "MEMORY"),
    ("foreign_keys", "ON"),
    // Pages of the log (32 MB) before it is folded in. With the default of 1,000 a busy writer wrote the same pages of the
    // file again and again.
    ("wal_autocheckpoint", "8000"),
    // What the log may keep of the disk after a large transaction, in bytes.
    ("journal_size_limit", "67108864"),
    // KiB, where negative.
    ("cache_size", "-32000"),
];

/// Readers and writer wait this long for each other's locks. In WAL mode that happens only while a file is recovered.
const BUSY: Duration = Duration::from_secs(10);

/// A new store is its owner's alone: pushes stand in it. SQLite gives the files beside it the same mode. Where it cannot be made,
/// SQLite says why.
fn own(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let _ = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
}

pub(super) fn open(path: &Path) -> Result<Connection> {
    let fail =
        |error: rusqlite::Error| Error::Open(format!("{}: cannot be opened as a store: {error}", path.display()));
    own(path);
    let mut connection = Connection::open(path).map_err(fail)?;
    connection.busy_timeout(BUSY).map_err(fail)?;
    // What is refused is left as it is: some of the pragmas change the file.
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fail)?;
    let is_new = version == 0 && is_empty(&connection).map_err(fail)?;
    if is_new && std::fs::metadata(path).is_ok_and(|file| file.len() > 0) {
        tracing::warn!(
            "{}: is a file with nothing in it, and becomes a new store. If it is a copy of a store, it was copied without its \
             -wal file, where everything was: use papcast backup",
            path.display()
        );
    }
    match version {
        0 if !is_new => return Err(Error::Open(format!("{}: is a SQLite file of some other program", path.display()))),
        0..=SCHEMA_VERSION => {}
        newer => {
            return Err(Error::Open(format!(
                "{}: has schema {newer}, this program knows {SCHEMA_VERSION}: use a papcast at least as new as the one that wrote it",
                path.display()
            )));
        }
    }
    for (pragma, value) in PRAGMAS {
        connection.pragma_update(None, pragma, value).map_err(fail)?;
    }
    stable_plans(&connection).map_err(fail)?;
    connection.set_prepared_statement_cache_capacity(128);
    match version {
        0 => {
            let transaction = connection.transaction().map_err(fail)?;
            transaction.execute_batch(SCHEMA).map_err(fail)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(fail)?;
            transaction.commit().map_err(fail)?;
            Ok(connection)
        }
        older @ 1..SCHEMA_VERSION => {
            backup::before_upgrade(path, older)?;
            schema_upgrade::upgrade(&mut connection, path, older)?;
            Ok(connection)
        }
        _ => Ok(connection),
    }
}

/// A reader's connection to the same file.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cache_size", -4_000)?;
    stable_plans(&connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Plans that do not depend on the values bound: without this, SQLite prepares a statement again whenever a value could
/// have led to another plan. A sixth of the writer's time went there.
fn stable_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_master", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_gets_the_schema_and_opens_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new.db");
        drop(open(&path).unwrap());
        let again = open(&path).unwrap();
        let synchronous: i64 = again.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
        assert_eq!(synchronous, 2, "FULL");
    }

    #[test]
    fn strange_files_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |name: &str, sql: &str, why: &str| {
            let path = dir.path().join(name);
            Connection::open(&path).unwrap().execute_batch(sql).unwrap();
            let before = std::fs::read(&path).unwrap();
            let error = open(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}: {why}")), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), before, "{name} was changed");
        };
        refused("other.db", "CREATE TABLE t (x)", "is a SQLite file of some other program");
        refused("newer.db", "CREATE TABLE t (x); PRAGMA user_version = 999", "has schema 999, this program knows");

        let path = dir.path().join("text.db");
        std::fs::write(&path, "this is no database at all, but long enough to be read as a header of one").unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("text.db: cannot be opened as a store"));
    }
}
