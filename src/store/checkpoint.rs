//! Folding the write-ahead log into the file now and then, so that the file does not lag behind by more than a minute, and
//! not at all while nothing happens. Who copies the file alone (which is not to be done, see docs/store.md) then loses
//! little, and a start after a crash has little to read.
//!
//! It happens on a thread and a connection of its own: the writer goes on meanwhile (`PASSIVE` waits for nobody).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::lock_file::Lock;
use super::{Error, Result};
use crate::supervision::Health;

const TICK: Duration = Duration::from_secs(1);
/// Ticks without a commit, after which the log is folded in.
const QUIET: u32 = 3;
/// Ticks after which it is folded in although there is always a commit.
const LATEST: u32 = 60;

/// The thread; it ends with this.
#[derive(Debug)]
pub(super) struct Folding {
    commits: Arc<AtomicU64>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Folding {
    pub(super) fn start(path: &Path, lock: Arc<Lock>, health: &Health) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        let commits = Arc::new(AtomicU64::new(1));
        let (stop, stopped) = channel();
        let counter = Arc::clone(&commits);
        let part = health.part("store-fold");
        let thread = std::thread::Builder::new()
            .name("store-fold".into())
            .spawn(move || {
                serve(&connection, &counter, &stopped, &lock);
                drop(part);
            })
            .map_err(|error| Error::Open(format!("the thread that folds the log in cannot be started: {error}")))?;
        Ok(Self { commits, stop: Some(stop), thread: Some(thread) })
    }

    /// Something was committed.
    pub(super) fn note(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Folding {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(connection: &Connection, commits: &AtomicU64, stopped: &Receiver<()>, lock: &Lock) {
    let (mut folded, mut last, mut quiet, mut age) = (0, 0, 0, 0);
    while matches!(stopped.recv_timeout(TICK), Err(RecvTimeoutError::Timeout)) {
        let now = commits.load(Ordering::Relaxed);
        if now == folded {
            continue;
        }
        quiet = if now == last { quiet + 1 } else { 0 };
        age += 1;
        last = now;
        if quiet < QUIET && age < LATEST {
            continue;
        }
        (folded, quiet, age) = (now, 0, 0);
        fold(connection);
        // What is read here is on disk: the log is synced at every commit.
        if let Ok(pushes) = pushes(connection) {
            lock.mark(pushes, true);
        }
    }
}

/// Folds the log into the file although it is short. What the file takes no more, and what a reader still needs, stays in
/// the log.
pub(super) fn fold(connection: &Connection) {
    let folded = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = folded {
        tracing::debug!(%error, "the write-ahead log could not be folded in");
    }
}

/// How many pushes the store has ever taken.
pub(super) fn pushes(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT pushes FROM counter", [], |row| row.get(0))
}
