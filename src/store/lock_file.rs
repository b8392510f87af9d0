//! The lock file beside the store, and the mark in it: how far the store had got when it was last looked at, and whether the
//! gateway was still running then. A store that has not got as far, or whose log is gone, is not the one that was there.
//!
//! A store that is copied to a folder without a lock file has no mark: nothing can be said of it.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{Error, Result};

/// The lock; released when this is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: Mutex<File>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    pushes: i64,
    running: bool,
}

impl Mark {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (Some("pushes"), Some(pushes), Some(state), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return None;
        };
        let running = match state {
            "running" => true,
            "stopped" => false,
            _ => return None,
        };
        Some(Self { pushes: pushes.parse().ok()?, running })
    }
}

fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Takes the store for this process. Two gateways on one file would not hear of each other's pushes.
pub(super) fn lock(store: &Path) -> Result<Lock> {
    let name = beside(store, ".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&name)
        .map_err(|error| Error::Open(unusable(&name, error.kind(), &error)))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::Open(format!(
                "{}: another gateway uses this store; stop it, or set store.path to another file",
                store.display()
            )));
        }
        Err(TryLockError::Error(error)) => {
            return Err(Error::Open(format!("{}: cannot be locked: {error}", name.display())));
        }
    }
    if let Err(error) = File::options().write(true).open(store)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(Error::Open(unusable(store, error.kind(), &error)));
    }
    Ok(Lock { file: Mutex::new(file) })
}

/// Whether another process has the store. Nothing is made, and nothing is kept.
pub(super) fn is_locked(store: &Path) -> bool {
    let file = File::open(beside(store, ".lock"));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Why a file of the store cannot be written, in words that name the setting.
fn unusable(file: &Path, kind: ErrorKind, error: &dyn std::fmt::Display) -> String {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.display().to_string(),
        _ => "the working directory".to_owned(),
    };
    let name = file.display();
    match kind {
        ErrorKind::NotFound if file.parent().is_some_and(Path::is_dir) => {
            format!("{folder} does not let files be made: the store cannot be made there (store.path)")
        }
        ErrorKind::NotFound => format!("{folder} does not exist: the store cannot be made there (store.path)"),
        ErrorKind::PermissionDenied if file.exists() => {
            format!("{name} cannot be written by the user that runs papcast (store.path)")
        }
        ErrorKind::PermissionDenied => {
            format!("{folder} cannot be written by the user that runs papcast (store.path): {name} cannot be made")
        }
        ErrorKind::ReadOnlyFilesystem => format!("{folder} is on a file system that is read-only (store.path)"),
        _ => format!("{name} cannot be opened (store.path): {error}"),
    }
}

/// Whether there is a write-ahead log. To be asked before the store is opened, which makes one.
pub(super) fn has_log(store: &Path) -> bool {
    beside(store, "-wal").exists()
}

impl Lock {
    /// Says so where the store that was found is not the one that was left.
    pub(super) fn compare(&self, store: &Path, pushes: i64, had_log: bool) {
        let Some(mark) = self.read() else { return };
        let store = store.display();
        if mark.running && !had_log {
            tracing::warn!(
                "{store}: its log {store}-wal is missing, although the last gateway did not stop in order: what it had stored last \
                 (up to a minute) is lost. Never move or copy the file without it; use papcast backup"
            );
        }
        if pushes < mark.pushes {
            tracing::warn!(
                "{store}: is older than the store that was here: it has taken {pushes} pushes, and that one had taken {}. That is \
                 right if you have put a backup back; if you copied the file, it was copied without its log",
                mark.pushes
            );
        }
    }

    fn read(&self) -> Option<Mark> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        file.rewind().ok()?;
        (&mut *file).take(64).read_to_string(&mut text).ok()?;
        Mark::parse(&text)
    }

    /// Sets the mark. One that is torn by a crash, or does not fit on a full disk, says nothing.
    pub(super) fn mark(&self, pushes: i64, running: bool) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let text = format!("pushes {pushes} {}\n", if running { "running" } else { "stopped" });
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        if let Err(error) = written {
            tracing::debug!(%error, "the mark in the lock file could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_and_anything_else_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let lock = lock(&dir.path().join("papcast.db")).unwrap();
        assert_eq!(lock.read(), None, "a new one");
        lock.mark(12_345, true);
        assert_eq!(lock.read(), Some(Mark { pushes: 12_345, running: true }));
        lock.mark(7, false);
        assert_eq!(lock.read(), Some(Mark { pushes: 7, running: false }));
        for other in ["", "pushes", "pushes x running", "pushes 1 flying", "pushes 1 running now", "seq 1 running"] {
            assert_eq!(Mark::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_used_was_called_a_lock() {
        let file = Path::new("/nowhere/at/all/papcast.db.lock");
        let say = |kind| unusable(file, kind, &"oh");
        assert_eq!(
            say(ErrorKind::NotFound),
            "/nowhere/at/all does not exist: the store cannot be made there (store.path)"
        );
        assert!(say(ErrorKind::PermissionDenied).starts_with("/nowhere/at/all cannot be written by the user"));
        assert!(say(ErrorKind::ReadOnlyFilesystem).contains("read-only (store.path)"));
        let proc = unusable(Path::new("/proc/x.db.lock"), ErrorKind::NotFound, &"oh");
        assert_eq!(proc, "/proc does not let files be made: the store cannot be made there (store.path)");
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("papcast.db");
        std::fs::write(&there, "").unwrap();
        assert_eq!(
            unusable(&there, ErrorKind::PermissionDenied, &"oh"),
            format!("{} cannot be written by the user that runs papcast (store.path)", there.display())
        );
    }
}
