//! What happens by itself: pushes come due and expire, sessions end, deleted groups are cleared away. The clock of pushes has
//! a task of its own, in which nothing has to wait for the rest.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::clock;
use crate::faults;
use crate::log_limit::LogLimit;
use crate::store::Error;

/// How often the clock is looked at: a deliver-after is kept to within a second while the store keeps up.
const TICK: Duration = Duration::from_millis(500);

impl Gateway {
    /// The clock of pushes; runs until told to stop. A failure is logged and tried again at the next tick.
    pub async fn keep_time(&self, stop: CancellationToken) {
        // Expiring waits for acknowledgements to be written; what is due does not wait for that.
        tokio::join!(
            every_tick(&stop, "clock", "pushes that are due could not be dispatched", || self.release_due()),
            every_tick(&stop, "clock", "pushes whose time is over could not be ended", || self.expire()),
        );
    }

    /// All that may take its time; runs until told to stop.
    pub async fn keep_house(&self, stop: CancellationToken) {
        tokio::join!(
            every_tick(&stop, "housekeeping", "sessions that are over could not be ended", || self.end_sessions()),
            every_tick(&stop, "housekeeping", "old tokens could not be ended", || self.end_old_tokens()),
            every_tick(&stop, "housekeeping", "a deleted group could not be cleared away", || self.go_on_deleting()),
        );
    }

    async fn release_due(&self) -> Result<(), Error> {
        let now = clock::now();
        if self.store.anything_due(now).await? {
            while self.store.release_due(now).await? > 0 {}
        }
        Ok(())
    }

    async fn expire(&self) -> Result<(), Error> {
        let now = clock::now();
        if self.store.anything_over(now).await? {
            // Acknowledgements first: what was acknowledged in time has been delivered (docs/ledger.md, rule 3).
            self.terminals().settle_all().await;
            while self.store.expire(now).await? > 0 {}
        }
        Ok(())
    }
}

async fn every_tick<F: Future<Output = Result<(), Error>>>(
    stop: &CancellationToken,
    part: &str,
    failure: &str,
    work: impl Fn() -> F,
) {
    let failed = LogLimit::new(1);
    while stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_some() {
        faults::trip(part);
        if let Some(Err(error)) = stop.run_until_cancelled(work()).await
            && let Some(left_out) = failed.pass()
        {
            tracing::error!(%error, left_out, "{failure}; it is tried again");
        }
    }
}
