//! What happens, for those who look on: events, a time line for each device, numbers, and log lines. A ground floor: everybody
//! is given it, it knows nobody, and whoever reports something never waits.
//!
//! | file | job |
//! | --- | --- |
//! | [`event`] | what can happen, and how it is written as JSON |
//! | [`event_ring`] | the newest events, for those who follow them |
//! | [`device_history`] | the newest events of each user |
//! | [`event_log`] | a log line for each event that an operator asks about |
//! | [`metrics`], [`labels`], [`histogram`] | what is counted and measured |
//! | [`traced`] | users of whom every packet is told |

mod device_history;
mod event;
mod event_log;
mod event_ring;
mod histogram;
mod labels;
mod metrics;
mod traced;

use std::sync::Arc;

pub use device_history::FLAPPING;
pub use event::{ConnectionEvent, Event, Filter, Happening, Kind, MembershipEvent, PushEvent};
pub use event_ring::{Batch, Cursor, Reader};
pub use histogram::LocalHistogram;
pub use labels::{PapRepair, Submission};
pub use metrics::{Gauges, Metrics};

use crate::clock;
use device_history::DeviceHistory;
use event_log::EventLog;
use event_ring::Ring;
use traced::Traced;

/// How much is kept in memory.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Events for those who follow them.
    pub events: usize,
    /// Events of all devices together.
    pub device_events: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { events: 10_000, device_events: 200_000 }
    }
}

/// Where everything is reported that happens; one for the whole process.
#[derive(Debug, Default)]
pub struct Signals {
    pub metrics: Metrics,
    ring: Arc<Ring>,
    devices: DeviceHistory,
    log: EventLog,
    pub traced: Traced,
}

impl Signals {
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            ring: Arc::new(Ring::new(bounds.events)),
            devices: DeviceHistory::new(bounds.device_events),
            log: EventLog::start(),
            ..Self::default()
        }
    }

    /// Something has happened.
    pub fn report(&self, event: Event) {
        self.metrics.count(&event);
        let happening = self.ring.push(event, clock::now());
        self.devices.keep(&happening);
        self.log.tell(&happening);
    }

    /// Waits until the log says everything that has been reported, for a moment.
    pub fn flush_log(&self) {
        self.log.flush();
    }

    /// The newest events of a user, oldest first.
    #[must_use]
    pub fn of_device(&self, user: &str) -> Vec<Arc<Happening>> {
        self.devices.of(user)
    }

    /// What is kept of a user is forgotten; readers who have it already keep it.
    pub fn forget_user(&self, user: &str) {
        self.devices.forget(user);
        self.ring.blot_out(user);
    }

    /// How often a user's terminals connected since then, as far as that is kept.
    #[must_use]
    pub fn connects(&self, user: &str, since: clock::Millis) -> usize {
        self.devices.connects(user, since)
    }

    /// Follows events from a place on; from now on where none is named.
    #[must_use]
    pub fn follow(&self, from: Option<Cursor>) -> Reader {
        Ring::reader(&self.ring, from)
    }

    /// The name of an event, under which a reader can go on after it.
    #[must_use]
    pub fn cursor_of(&self, happening: &Happening) -> Cursor {
        self.ring.cursor(happening.id)
    }
}
