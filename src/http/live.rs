//! What requests are served with now: paths, rules and limits. All of it is made anew when the configuration is read again, and
//! holds from the next request on.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;

use super::connection_slots::Slots;
use crate::config;
use crate::signals::Signals;

#[derive(Debug)]
pub struct Live {
    serving: RwLock<Serving>,
    pub(super) slots: Slots,
}

#[derive(Debug, Clone)]
pub(super) struct Serving {
    pub(super) router: Router,
    /// For the head of a request.
    pub(super) timeout: Duration,
    /// For what still comes after the last answer.
    pub(super) patience: Duration,
}

impl Serving {
    fn of(router: Router, config: &config::Http) -> Self {
        Self { router, timeout: config.header_timeout, patience: config.body_timeout }
    }
}

impl Live {
    #[must_use]
    pub fn new(router: Router, config: &config::Http, signals: &Arc<Signals>) -> Self {
        let most = (config.max_connections, config.max_connections_per_address);
        let slots = Slots::new(most.0, most.1, Arc::clone(signals));
        Self { serving: RwLock::new(Serving::of(router, config)), slots }
    }

    /// From now on requests go here.
    pub fn follow(&self, router: Router) {
        self.serving.write().unwrap_or_else(PoisonError::into_inner).router = router;
    }

    /// From now on these limits hold.
    pub fn follow_limits(&self, config: &config::Http) {
        let mut serving = self.serving.write().unwrap_or_else(PoisonError::into_inner);
        (serving.timeout, serving.patience) = (config.header_timeout, config.body_timeout);
        self.slots.follow(config.max_connections, config.max_connections_per_address);
    }

    pub(super) fn serving(&self) -> Serving {
        self.serving.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn router(&self) -> Router {
        self.serving.read().unwrap_or_else(PoisonError::into_inner).router.clone()
    }
}
