//! How much may wait to be stored. Every HTTP connection can submit a push and go away: without a bound, pushes that come
//! faster than the disk takes them would fill the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Error, Result, Submission};

/// Bytes of pushes that wait for the writer at most; further ones are refused (PAP 4001, HTTP 503).
pub(super) const WAITING: usize = 64 << 20;
/// What a push, one of its addresses or one of its headers takes beside its text.
const OVERHEAD: usize = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct Intake(Arc<AtomicUsize>);

/// A push that waits; it gives its bytes back when it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    intake: Intake,
    size: usize,
}

impl Intake {
    pub(super) fn admit(&self, push: &Submission) -> Result<Waiting> {
        let addresses: usize = push.addresses.iter().map(|address| address.raw.len() * 3 + OVERHEAD).sum();
        let headers: usize = push.headers.iter().map(|(name, value)| name.len() + value.len() + OVERHEAD).sum();
        let notify = push.notify.as_ref().map_or(0, |notify| notify.url.len() + notify.sender.len());
        let texts = push.content_type.len() + push.source.as_ref().map_or(0, String::len) + notify;
        let size = push.body.len() + addresses + headers + texts + OVERHEAD;
        let before = self.0.fetch_add(size, Ordering::Relaxed);
        // From here on the bytes are given back, also by a refusal.
        let waiting = Waiting { intake: self.clone(), size };
        // One alone is taken however large it is: other limits are for that.
        if before > 0 && before + size > WAITING { Err(Error::Busy) } else { Ok(waiting) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.intake.0.fetch_sub(self.size, Ordering::Relaxed);
    }
}
