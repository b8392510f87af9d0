//! Looking at a store from outside, without opening it as a gateway does: nothing is changed and no file is made.

use std::path::Path;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::{Error, Result, lock_file};

/// What would end a path in a URI.
const PATH: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// [`super::SCHEMA_VERSION`] of the papcast that wrote it; 0 where nothing was written yet.
    pub schema: i64,
    /// What `PRAGMA quick_check` says is wrong; none where all is well.
    pub faults: Vec<String>,
}

/// Whether a gateway, or a command that stands in for one, uses this store now.
#[must_use]
pub fn is_in_use(store: &Path) -> bool {
    lock_file::is_locked(store)
}

/// Checks a store that no gateway uses.
pub fn examine(store: &Path) -> Result<Examined> {
    let fail = |error: rusqlite::Error| Error::Open(format!("{}: cannot be read: {error}", store.display()));
    let path = store.to_string_lossy();
    // A log that is missing is a sign of trouble to the next gateway, so none may be made here. Where there is none, the file
    // is all there is.
    let how = if lock_file::has_log(store) { "mode=ro" } else { "mode=ro&immutable=1" };
    let uri = format!("file:{}?{how}", utf8_percent_encode(&path, PATH));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags).map_err(fail)?;
    let schema = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(fail)?;
    let mut query = connection.prepare("PRAGMA quick_check(10)").map_err(fail)?;
    let rows = query.query_map([], |row| row.get::<_, String>(0)).map_err(fail)?;
    let faults: rusqlite::Result<Vec<String>> = rows.filter(|row| !row.as_ref().is_ok_and(|row| row == "ok")).collect();
    Ok(Examined { schema, faults: faults.map_err(fail)? })
}

#[cfg(test)]
mod tests {
    use super::super::{SCHEMA_VERSION, open_file};
    use super::*;

    #[test]
    fn a_store_is_examined_without_a_trace_and_a_damaged_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("odd ?#% name.db");
        drop(open_file::open(&path).unwrap());
        let names = || {
            let mut names: Vec<_> =
                std::fs::read_dir(dir.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = names();
        assert_eq!(examine(&path).unwrap(), Examined { schema: SCHEMA_VERSION, faults: Vec::new() });
        assert_eq!(names(), before);
        let mut bytes = std::fs::read(&path).unwrap();
        let half = bytes.len() / 2;
        bytes[half..].fill(0xAB);
        std::fs::write(&path, bytes).unwrap();
        let damaged = examine(&path);
        assert!(damaged.as_ref().map_or(true, |found| !found.faults.is_empty()), "{damaged:?}");
        std::fs::write(&path, "this is no database at all, but long enough to be read as a header of one").unwrap();
        assert!(examine(&path).unwrap_err().to_string().contains("cannot be read"));
    }
}
