//! Numbers that are looked up once in a while: how much there is of everything.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::clock;
use crate::faults;
use crate::log_limit::LogLimit;
use crate::signals::Gauges;

/// How often; less often where a look takes long, so that looking never takes more than a twentieth of the time.
const PAUSE: Duration = Duration::from_secs(10);
const SHARE: u32 = 20;

impl Gateway {
    /// Runs until told to stop. `others`: sets what the gateway does not know.
    pub async fn keep_gauges(&self, others: impl Fn(&Gauges) + Send, stop: CancellationToken) {
        let failed = LogLimit::new(1);
        let mut pause = Duration::ZERO;
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            faults::trip("gauges");
            let begun = Instant::now();
            others(&self.signals.metrics.gauges);
            if let Some(Err(error)) = stop.run_until_cancelled(self.look_at_totals()).await
                && let Some(left_out) = failed.pass()
            {
                tracing::warn!(%error, left_out, "the numbers for /metrics could not be looked up");
            }
            pause = PAUSE.max(begun.elapsed() * SHARE);
        }
    }

    async fn look_at_totals(&self) -> Result<(), crate::store::Error> {
        let totals = self.store.totals().await?;
        let gauges = &self.signals.metrics.gauges;
        gauges.users.set(totals.users);
        gauges.groups.set(totals.groups);
        gauges.memberships.set(totals.memberships);
        gauges.pending_pushes.set(totals.pending);
        gauges.backlog.set(totals.backlog);
        let age = totals.oldest.map_or(0, |oldest| (clock::now() - oldest).max(0));
        gauges.oldest_pending_seconds.set(age as f64 / 1_000.0);
        gauges.pending_joins.set(totals.pending_joins);
        gauges.notifications_waiting.set(totals.notifications_waiting);
        gauges.store_bytes.set(totals.bytes);
        gauges.store_queue.set(i64::try_from(self.store.queue()).unwrap_or(i64::MAX));
        Ok(())
    }
}
