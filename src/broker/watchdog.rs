//! If the router's thread ends, nothing else notices: links just stay silent. The watchdog sends itself a beat through
//! the router and tells when none comes back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Error;
use super::envelope::Payload;
use super::router::{Link, RouterTopic};
use crate::faults;

const BEAT: Duration = Duration::from_millis(500);
/// A router that was heard so long ago takes nothing new.
const STALE: Duration = Duration::from_secs(5);
/// A router that is merely busy answers long before this.
const SILENCE: Duration = Duration::from_secs(60);

/// Waits for the end of the router.
pub struct Watchdog {
    link: Link,
    pulse: Pulse,
}

/// When the router was last heard.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    fn beat(&self) -> Instant {
        let now = Instant::now();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
        now
    }

    /// Whether the router answers.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < STALE
    }
}

impl std::fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watchdog")
    }
}

impl Watchdog {
    pub(super) fn start(mut link: Link) -> Result<Self, Error> {
        link.0.subscribe(RouterTopic::BEAT)?;
        Ok(Self { link, pulse: Pulse(Arc::new(Mutex::new(Instant::now()))) })
    }

    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Returns when the router has died, with the reason; the process has to end then. The store replays what is owed
    /// after the restart.
    pub async fn died(self) -> Error {
        let (mut sender, mut receiver) = self.link;
        let mut heard = self.pulse.beat();
        loop {
            faults::trip("router");
            // `try_`: a router that is stuck has a full queue, and who waits for it tells nobody.
            let _ = sender.try_publish(RouterTopic::BEAT, Payload::beat());
            if faults::is_set("router-hangs") {
                tokio::time::sleep(SILENCE).await;
            }
            match tokio::time::timeout(BEAT, receiver.next()).await {
                Ok(Ok(_)) => {
                    heard = self.pulse.beat();
                    tokio::time::sleep(BEAT).await;
                }
                Ok(Err(Error::Stopped(why))) => return Error::Stopped(format!("its thread has ended ({why})")),
                Ok(Err(error)) => return error,
                Err(_) if heard.elapsed() > SILENCE => {
                    return Error::Stopped(format!("it has not answered for {} seconds", SILENCE.as_secs()));
                }
                Err(_) => {}
            }
        }
    }
}
