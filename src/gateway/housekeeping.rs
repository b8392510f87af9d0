//! What happens by itself: pushes come due and expire, sessions end.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::clock;
use crate::faults;
use crate::log_limit::LogLimit;
use crate::store::Error;

/// How often the clock is looked at: a deliver-after is kept to within a second.
const TICK: Duration = Duration::from_millis(500);

impl Gateway {
    /// Runs until told to stop. A failure is logged and tried again at the next tick.
    pub async fn keep_house(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_some() {
            faults::trip("housekeeping");
            for done in [self.keep_time().await, self.end_sessions().await] {
                if let Err(error) = done {
                    static FAILED: LogLimit = LogLimit::new(1);
                    if let Some(left_out) = FAILED.pass() {
                        tracing::error!(%error, left_out, "housekeeping failed; it is tried again");
                    }
                }
            }
        }
    }

    /// Ends what has expired and dispatches what is due.
    async fn keep_time(&self) -> Result<(), Error> {
        let now = clock::now();
        if self.store.anything_due(now).await? {
            // Acknowledgements first: what was acknowledged in time has been delivered (docs/ledger.md, rule 3).
            self.terminals().settle_all().await;
            while self.store.expire(now).await? > 0 {}
            while self.store.release_due(now).await? > 0 {}
        }
        Ok(())
    }
}
