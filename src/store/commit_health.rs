//! Whether commits work: how the last ones went, and a try where that is too long ago.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Error, Result, Store};

/// A commit that worked no longer ago says that commits work.
const RECENT: Duration = Duration::from_secs(2);
/// For so long a commit that failed says that they do not: a small one may still work where a large one does not.
const FAILED: Duration = Duration::from_secs(5);

/// How the last commits went that wrote something.
#[derive(Debug, Default)]
pub(super) struct Commits {
    last: Mutex<Last>,
}

#[derive(Debug, Default, Clone)]
struct Last {
    worked: Option<Instant>,
    failed: Option<(Instant, Error)>,
}

impl Commits {
    pub(super) fn worked(&self) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).worked = Some(Instant::now());
    }

    pub(super) fn failed(&self, error: &Error) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).failed = Some((Instant::now(), error.clone()));
    }

    /// What is known without a try.
    fn known(&self) -> Option<Result<()>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = last.failed.as_ref().filter(|(at, _)| at.elapsed() < FAILED);
        let worked = last.worked.filter(|at| at.elapsed() < RECENT);
        failed.map(|(_, error)| Err(error.clone())).or(worked.map(|_| Ok(())))
    }
}

impl Store {
    /// Whether something can be stored now: the last commits say so, or one that changes nothing.
    pub async fn check_commits(&self) -> Result<()> {
        if let Some(known) = self.writer.commits().known() {
            return known;
        }
        self.write(|tx| {
            // A row that comes and goes: a change to what is there already would not be written at all.
            tx.sql
                .prepare_cached(
                    "INSERT OR REPLACE INTO terminals (client, user, protocol, receive_maximum, seen_at) VALUES ('', '', '', 0, 0)",
                )?
                .execute([])?;
            tx.sql.prepare_cached("DELETE FROM terminals WHERE client = ''")?.execute([])?;
            Ok(())
        })
        .await
    }
}
