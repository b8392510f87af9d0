//! The store: SQLite remembers bindings, pushes and who has what. The only user of rusqlite.
//!
//! One thread writes ([`writer`]), a few read ([`reader`]); everybody else awaits answers. What can be asked is in the
//! files by subject:
//!
//! | files | subject |
//! | --- | --- |
//! | [`submit`], [`duplicates`], [`admission`], [`replace`], [`cancel`], [`address_lookup`], [`initiators`] | taking pushes, and taking them back |
//! | [`delivery_state`], [`delivery_times`], [`standing`], [`schedule_and_expiry`], [`welcome`], [`notification_queue`] | what becomes of a push with time, and who is told |
//! | [`backlog`], [`acknowledge`], [`merged_answers`], [`set_aside`], [`recipients`], [`progress`], [`reach`] | what is owed, what was answered, and who has what |
//! | [`memberships`], [`closing`], [`groups`], [`delete_group`], [`pending_joins`], [`late_answers`], [`destinations`] | groups and their members |
//! | [`sessions`], [`terminals`], [`devices`], [`last_seen`] | MQTT sessions and devices |
//! | [`history`], [`audit`], [`erase_user`] | who came and went, what operators changed, and forgetting somebody on request |
//! | [`credentials`] | who signs in with which token |
//! | [`retention`], [`views`], [`totals`], [`mod@backup`], [`mod@examine`] | forgetting, looking, counting, copying, checking |
//! | [`open_file`], [`schema_upgrade`], [`writer`], [`reader`], [`commit_health`], [`checkpoint`], [`lock_file`] | the file, its threads and its lock |
//!
//! SQL stays in this folder; at its edge there are only the types of [`types`] and [`crate::parcel`].

mod acknowledge;
mod address_lookup;
mod admission;
mod approvals;
mod audit;
mod backlog;
mod backup;
mod cancel;
mod checkpoint;
mod closing;
mod commit_health;
mod credentials;
mod delete_group;
mod delivery_state;
mod delivery_times;
mod destinations;
mod devices;
mod duplicates;
mod erase_user;
mod examine;
mod exception_kinds;
mod groups;
mod history;
mod initiators;
mod join;
mod last_seen;
mod late_answers;
mod left_out;
mod lock_file;
mod memberships;
mod merged_answers;
mod notification_queue;
mod numbers;
mod open_file;
mod pending_joins;
mod progress;
mod reach;
mod reader;
mod recipients;
mod replace;
mod retention;
mod schedule_and_expiry;
mod schema_upgrade;
mod sessions;
mod set_aside;
mod standing;
mod submit;
mod terminals;
mod totals;
mod types;
mod views;
mod welcome;
mod writer;

use std::path::Path;
use std::sync::Arc;

pub use address_lookup::{Asked, Found, find};
pub use backup::{backup, backup_and_note, last_backup};
pub use delete_group::Cleared;
pub use examine::{Examined, examine, is_in_use};
pub use replace::MAX_REPLACED;
pub use schema_upgrade::SCHEMA_VERSION;
pub use sessions::Wish;
pub use set_aside::{Aside, Failed, Setting, Tries};
pub use totals::Totals;
pub use types::*;

use reader::Readers;
use writer::Writer;

use crate::signals::Signals;
use crate::supervision::Health;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Open(String),
    #[error("the disk is full: nothing was stored; free some space, papcast goes on by itself")]
    Full,
    #[error("more pushes wait to be stored than the gateway holds in memory: nothing was stored; try again")]
    Busy,
    #[error("the store is damaged ({0}): stop the gateway and go back to a backup, or try `sqlite3 FILE .recover`")]
    Damaged(String),
    #[error("the store has been closed")]
    Closed,
    #[error("the store failed: {0}")]
    Sqlite(String),
    #[error("the store holds something this program did not write: {0}")]
    Unreadable(String),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Sqlite(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
impl Store {
    /// For tests of other rooms that need a store in which something is wrong.
    pub(crate) async fn run_for_tests(&self, sql: &'static str) -> Result<()> {
        self.write(move |tx| Ok(tx.sql.execute_batch(sql)?)).await
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// A handle to an open store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    /// One gateway per store: held until the last handle is gone.
    _lock: Arc<lock_file::Lock>,
    writer: Arc<Writer>,
    readers: Arc<Readers>,
    intake: admission::Intake,
}

impl Store {
    /// Opens or creates the store. `observer` is told, on the writer's thread and in order, what each commit changed;
    /// it must not wait.
    pub fn open(
        path: &Path,
        readers: usize,
        health: &Health,
        observer: impl Fn(Vec<Event>) + Send + 'static,
        signals: Arc<Signals>,
    ) -> Result<Self> {
        let lock = Arc::new(lock_file::lock(path)?);
        let had_log = lock_file::has_log(path);
        let named = |error: Error| match error {
            Error::Open(_) => error,
            other => Error::Open(format!("{}: {other}", path.display())),
        };
        let connection = open_file::open(path).map_err(named)?;
        let readers = Readers::start(path, readers, health).map_err(named)?;
        let pushes = checkpoint::pushes(&connection).map_err(|error| named(error.into()))?;
        lock.compare(path, pushes, had_log);
        let folding = checkpoint::Folding::start(path, Arc::clone(&lock), health).map_err(named)?;
        let part = health.part("store-write");
        let inside = writer::Inside { folding, lock: Arc::clone(&lock), signals, part };
        let writer = Writer::start(connection, Box::new(observer), inside).map_err(named)?;
        lock.mark(pushes, true);
        Ok(Self {
            _lock: lock,
            writer: Arc::new(writer),
            readers: Arc::new(readers),
            intake: admission::Intake::default(),
        })
    }

    /// Finishes what was asked for, checkpoints and closes. Later calls answer [`Error::Closed`].
    pub fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}
