//! A copy of a store that may be in use. `VACUUM INTO` reads one snapshot: the copy is what was committed at that moment,
//! without free pages; neither the gateway's writer nor its readers wait for it. The backup API of SQLite would begin again
//! with every commit of the gateway.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::schema_upgrade::SCHEMA_VERSION;
use super::{Error, Result};
use crate::clock::{self, Millis};

/// Copies the store at `store` to `target`, which must not exist; answers the size of the copy in bytes. Under its name it
/// appears only when it is whole and on disk.
pub fn backup(store: &Path, target: &Path) -> Result<u64> {
    let fail = |what: &dyn std::fmt::Display| {
        Error::Open(format!("{}: cannot be copied to {}: {what}", store.display(), target.display()))
    };
    if target.exists() {
        return Err(fail(&"there is a file of that name"));
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(fail(&format!("{} is no folder that exists", folder.display())));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(store, flags).map_err(|error| fail(&error))?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(|error| fail(&error))?;
    let version: i64 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(|error| fail(&error))?;
    if !(1..=SCHEMA_VERSION).contains(&version) {
        return Err(fail(&format!("it has schema {version}, and this program knows 1 to {SCHEMA_VERSION}")));
    }
    let part = Part::beside(target);
    connection.execute("VACUUM INTO ?1", [part.0.to_string_lossy()]).map_err(|error| fail(&error))?;
    // It holds what the store holds, so it is for the same eyes.
    let permissions = std::fs::metadata(store).map_err(|error| fail(&error))?.permissions();
    std::fs::set_permissions(&part.0, permissions).map_err(|error| fail(&error))?;
    let file = std::fs::File::open(&part.0).map_err(|error| fail(&error))?;
    file.sync_all().map_err(|error| fail(&error))?;
    let size = file.metadata().map_err(|error| fail(&error))?.len();
    // Unlike a rename this does not replace what somebody else has put there meanwhile.
    std::fs::hard_link(&part.0, target).map_err(|error| fail(&error))?;
    Ok(size)
}

/// Copies it, and notes beside it that it was, for whoever wants to know when that was done last.
pub fn backup_and_note(store: &Path, target: &Path) -> Result<u64> {
    let size = backup(store, target)?;
    // Who may read the store need not be able to write beside it; the copy counts.
    let _ = std::fs::write(note_of(store), format!("{}\n", clock::format_utc(clock::now())));
    Ok(size)
}

/// When it was copied last, as far as that was noted.
#[must_use]
pub fn last_backup(store: &Path) -> Option<Millis> {
    let text = std::fs::read_to_string(note_of(store)).ok()?;
    clock::parse_rfc3339(text.trim())
}

fn note_of(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".backup");
    name.into()
}

/// Copies a store that is about to be upgraded from this schema to a file beside it: for an earlier papcast to go back to.
pub(super) fn before_upgrade(path: &Path, from: i64) -> Result<()> {
    let copy = copy_of(path, from);
    backup(path, &copy)
        .map_err(|error| Error::Open(format!("the store has to be upgraded, and is copied before: {error}")))?;
    tracing::info!(copy = %copy.display(), "the store was copied as it is before its upgrade");
    Ok(())
}

/// Where the copy goes: `papcast.db.schema-5`, or with a number behind it where there is one already.
fn copy_of(path: &Path, from: i64) -> PathBuf {
    let named = |ending: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let mut copy = named(format!(".schema-{from}"));
    let mut number = 2;
    while copy.exists() {
        copy = named(format!(".schema-{from}.{number}"));
        number += 1;
    }
    copy
}

/// The copy while it is written; removed at the end, whatever the end is.
struct Part(PathBuf);

impl Part {
    fn beside(target: &Path) -> Self {
        let mut name = target.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        Self(name.into())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
