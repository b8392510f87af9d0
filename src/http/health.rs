//! `/healthz`: does everything run that has to run. `/readyz`: can a push be taken now. Both name their parts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use crate::broker::Pulse;
use crate::store::Store;
use crate::supervision::Health;

/// Whoever asks whether commits work waits so long for one.
const COMMIT: Duration = Duration::from_secs(2);

/// What decides whether new work is welcome.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// From the ready line until the stop.
    taking_work: Arc<AtomicBool>,
    store: Store,
    router: Pulse,
    health: Health,
}

impl Readiness {
    #[must_use]
    pub fn new(store: Store, router: Pulse, health: Health) -> Self {
        Self { taking_work: Arc::default(), store, router, health }
    }

    pub fn set(&self, taking_work: bool) {
        self.taking_work.store(taking_work, Ordering::Release);
    }

    pub(super) fn is_taking_work(&self) -> bool {
        self.taking_work.load(Ordering::Acquire)
    }

    /// What does not run, or keeps pushes from being taken.
    pub(super) async fn failing(&self) -> Vec<(String, String)> {
        let ended = self
            .health
            .parts()
            .into_iter()
            .map(|(name, lives)| (name, if lives { Ok(()) } else { Err("ended".into()) }));
        let parts = ended.chain(self.parts().await);
        parts.filter_map(|(name, state)| Some((name, state.err()?))).collect()
    }

    async fn parts(&self) -> [(String, Result<(), String>); 3] {
        let intake = if self.is_taking_work() { Ok(()) } else { Err("stopping".into()) };
        let router = if self.router.is_there() { Ok(()) } else { Err("does not answer".into()) };
        [("intake".into(), intake), ("router".into(), router), ("store".into(), self.store().await)]
    }

    async fn store(&self) -> Result<(), String> {
        match tokio::time::timeout(COMMIT, self.store.check_commits()).await {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no commit within {} seconds", COMMIT.as_secs())),
        }
    }
}

/// What both answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(super) struct Report {
    /// `ok` or `failing`.
    status: &'static str,
    /// What each part says: `ok`, or what is wrong.
    parts: BTreeMap<String, String>,
}

impl Report {
    fn new(parts: impl IntoIterator<Item = (String, Result<(), String>)>) -> (StatusCode, Json<Self>) {
        let mut good = true;
        let parts = parts
            .into_iter()
            .map(|(name, state)| {
                good &= state.is_ok();
                (name, state.err().unwrap_or_else(|| "ok".into()))
            })
            .collect();
        let (code, status) = if good { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "failing") };
        (code, Json(Self { status, parts }))
    }
}

/// Whether everything runs that has to run.
#[utoipa::path(
    get,
    path = "/healthz",
    responses(
        (status = 200, description = "Everything runs.", body = Report),
        (status = 503, description = "A part has ended.", body = Report),
    )
)]
pub(super) async fn alive(State(api): State<Arc<Api>>) -> (StatusCode, Json<Report>) {
    let parts = api.readiness.health.parts().into_iter();
    Report::new(parts.map(|(name, lives)| (name, if lives { Ok(()) } else { Err("ended".into()) })))
}

/// Whether a push can be taken now.
#[utoipa::path(
    get,
    path = "/readyz",
    responses(
        (status = 200, description = "A push can be taken.", body = Report),
        (status = 503, description = "It cannot be taken now.", body = Report),
    )
)]
pub(super) async fn ready(State(api): State<Arc<Api>>) -> (StatusCode, Json<Report>) {
    Report::new(api.readiness.parts().await)
}

/// Injects a fault, for tests from outside.
#[cfg(debug_assertions)]
pub(super) async fn inject(axum::extract::Path(name): axum::extract::Path<String>) -> StatusCode {
    crate::faults::arm(&name);
    crate::faults::hang("runtime-hangs");
    StatusCode::ACCEPTED
}
