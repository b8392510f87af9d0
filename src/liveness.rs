//! Whether the gateway hangs: for a watchdog that would start it again. A part that ends is `supervision`'s business. A disk that
//! is full or slow is not a reason: a new start would not help, and what waits in memory would be lost.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::Pulse;
use crate::mqtt;

/// An MQTT worker that is merely busy answers long before this.
const PATIENCE: Duration = Duration::from_secs(10);

/// What could hang. Whoever asks runs on the runtime, so that an answer says that this runs, too.
#[derive(Debug, Clone)]
pub struct Liveness {
    router: Pulse,
    mqtt: Arc<mqtt::Server>,
}

impl Liveness {
    #[must_use]
    pub fn new(router: Pulse, mqtt: Arc<mqtt::Server>) -> Self {
        Self { router, mqtt }
    }

    /// An error names what does not answer.
    pub async fn look(&self) -> Result<(), &'static str> {
        if !self.router.is_there() {
            return Err("the embedded broker does not answer");
        }
        let answered = tokio::time::timeout(PATIENCE, self.mqtt.ask_workers()).await;
        answered.map_err(|_| "an MQTT worker does not answer")
    }
}
