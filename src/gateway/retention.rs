//! Forgetting what has been over for long, a little at a time and never in the way of what is urgent.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::clock::{self, Millis};
use crate::faults;
use crate::log_limit::LogLimit;
use crate::store::Error;

/// How often there is a look. The look itself passes over a part of bindings and users; all of a million come by within a
/// few minutes.
const PAUSE: Duration = Duration::from_secs(10);
/// Rows that each sweep passes over in one look.
const SPAN: i64 = 50_000;

/// Every so many looks there is one at everything.
const EACH: u64 = 60;

/// Where the sweeps go on.
#[derive(Debug, Default)]
struct Progress {
    bindings: i64,
    flows: i64,
    terminals: (Millis, String),
    /// How often there was a look.
    looks: u64,
}

impl Gateway {
    /// Runs until told to stop. A failure is logged and tried again at the next look.
    pub async fn forget_old(&self, stop: CancellationToken) {
        let pause = PAUSE.min(self.rules().retention).min(self.rules().pending_ttl);
        let mut progress = Progress::default();
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            faults::trip("retention");
            if let Some(Err(error)) = stop.run_until_cancelled(self.forget_some(&mut progress)).await {
                static FAILED: LogLimit = LogLimit::new(1);
                if let Some(left_out) = FAILED.pass() {
                    tracing::error!(%error, left_out, "old pushes could not be forgotten; it is tried again");
                }
            }
        }
    }

    async fn forget_some(&self, progress: &mut Progress) -> Result<(), Error> {
        let retention = Millis::try_from(self.rules().retention.as_millis()).unwrap_or(Millis::MAX);
        let until = clock::now().saturating_sub(retention);
        let mut forgotten = 0;
        loop {
            let some = self.store.forget_pushes(until).await?;
            forgotten += some;
            if some == 0 {
                break;
            }
        }
        let after = std::mem::take(&mut progress.terminals);
        progress.terminals = self.store.forget_terminals(after, until).await?.unwrap_or_default();
        let pending = Millis::try_from(self.rules().pending_ttl.as_millis()).unwrap_or(Millis::MAX);
        let asked = clock::now().saturating_sub(pending);
        while self.store.forget_requests(asked).await? > 0 {}
        while self.store.forget_answers(asked).await? > 0 {}
        self.forget_history(progress).await?;
        while self.store.forget_initiators(clock::now()).await? > 0 {}
        if forgotten > 0 {
            tracing::debug!(pushes = forgotten, "pushes that were over for longer than store.retention are forgotten");
        }
        self.sweep_bindings(&mut progress.bindings).await?;
        self.sweep_flows(&mut progress.flows, until).await
    }

    async fn forget_history(&self, progress: &mut Progress) -> Result<(), Error> {
        let history = self.rules().history.clone();
        let keep = Millis::try_from(history.keep.as_millis()).unwrap_or(Millis::MAX);
        while self.store.trim_history(clock::now().saturating_sub(keep), history.max_rows).await? > 0 {}
        // These look at everything there is.
        if progress.looks.is_multiple_of(EACH) {
            if let Some(cut) = self.store.delivery_times_cut(history.delivery_times).await? {
                while self.store.trim_delivery_times(cut).await? > 0 {}
            }
            self.forget_the_away().await?;
        }
        progress.looks += 1;
        Ok(())
    }

    async fn sweep_bindings(&self, at: &mut i64) -> Result<(), Error> {
        let end = *at + SPAN;
        while *at < end {
            match self.store.forget_bindings(*at).await? {
                Some(next) => *at = next,
                None => {
                    *at = 0;
                    break;
                }
            }
        }
        Ok(())
    }

    async fn sweep_flows(&self, at: &mut i64, until: Millis) -> Result<(), Error> {
        let end = *at + SPAN;
        while *at < end {
            let (next, gone) = self.store.forget_flows(*at, until).await?;
            self.feed.forget(&gone);
            match next {
                Some(next) => *at = next,
                None => {
                    *at = 0;
                    break;
                }
            }
        }
        Ok(())
    }
}
