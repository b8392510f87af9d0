//! Places for connections. Where all are taken, whoever has waited longest without a whole request goes for a new one: slow
//! heads, slow bodies and idle connections of one client must not keep everybody else out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::client_address::subscriber;
use crate::log_limit::LogLimit;

static CUT: LogLimit = LogLimit::new(2);

#[derive(Debug, Clone)]
pub(super) struct Slots {
    places: Arc<Semaphore>,
    per_address: usize,
    waiting: Arc<Mutex<Waiting>>,
}

/// Connections that wait for a request to be whole, in the order in which they began to.
#[derive(Debug, Default)]
struct Waiting {
    newest: u64,
    since: BTreeMap<u64, (IpAddr, CancellationToken)>,
    /// All connections of an address, those that are served as well.
    of_address: HashMap<IpAddr, usize>,
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    cut: CancellationToken,
    from: IpAddr,
    /// Its number among those that wait.
    number: Mutex<Option<u64>>,
    _place: OwnedSemaphorePermit,
}

impl Slots {
    pub(super) fn new(most: usize, per_address: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(most)), per_address, waiting: Arc::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection that has come; whoever has it ends when `cut` is cancelled. Where all connections are being
    /// served, this waits for the first to be done. Where an address has too many, its own longest one goes; none is left for it
    /// where all of them are being served.
    pub(super) async fn take(&self, cut: &CancellationToken, from: IpAddr) -> Option<Arc<Slot>> {
        let from = subscriber(from);
        if !self.has_room_for(from) {
            return None;
        }
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                self.cut_longest();
                Arc::clone(&self.places).acquire_owned().await.ok()?
            }
        };
        *self.waiting().of_address.entry(from).or_default() += 1;
        let slot = Slot { slots: self.clone(), cut: cut.child_token(), from, number: Mutex::new(None), _place: place };
        slot.waits();
        Some(Arc::new(slot))
    }

    fn has_room_for(&self, from: IpAddr) -> bool {
        let mut waiting = self.waiting();
        if waiting.of_address.get(&from).is_none_or(|count| *count < self.per_address) {
            return true;
        }
        let longest = waiting.since.iter().find(|(_, (of, _))| *of == from).map(|(number, _)| *number);
        let longest = longest.and_then(|number| waiting.since.remove(&number));
        if let Some(left_out) = CUT.pass() {
            let text = "an address has too many HTTP connections (http.max_connections_per_address)";
            tracing::warn!(%from, left_out, "{text}");
        }
        longest.inspect(|(_, longest)| longest.cancel()).is_some()
    }

    fn cut_longest(&self) {
        let Some((_, (_, longest))) = self.waiting().since.pop_first() else { return };
        longest.cancel();
        if let Some(left_out) = CUT.pass() {
            tracing::warn!(
                left_out,
                "all HTTP connections are in use (http.max_connections): the one that waited longest for a request was closed"
            );
        }
    }
}

impl Slot {
    /// Cancelled when somebody else needs the place.
    pub(super) fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    fn number(&self) -> MutexGuard<'_, Option<u64>> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request is not whole yet.
    pub(super) fn waits(&self) {
        let mut number = self.number();
        if number.is_none() {
            let mut waiting = self.slots.waiting();
            waiting.newest += 1;
            let newest = waiting.newest;
            waiting.since.insert(newest, (self.from, self.cut.clone()));
            *number = Some(newest);
        }
    }

    /// A request is whole and is being served.
    pub(super) fn serves(&self) {
        if let Some(number) = self.number().take() {
            self.slots.waiting().since.remove(&number);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.serves();
        let mut waiting = self.slots.waiting();
        if let Some(count) = waiting.of_address.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                waiting.of_address.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn whoever_has_waited_longest_goes_and_whoever_is_served_stays() {
        let (slots, cut) = (Slots::new(3, 100), CancellationToken::new());
        let served = slots.take(&cut, HERE).await.unwrap();
        let first = slots.take(&cut, HERE).await.unwrap();
        let second = slots.take(&cut, HERE).await.unwrap();
        served.serves();
        // The first one is done with a request and waits for the next: now the second one has waited longest.
        first.serves();
        first.waits();
        let (cut_first, cut_second) = (first.cut().clone(), second.cut().clone());
        let mut next = std::pin::pin!(slots.take(&cut, HERE));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, next.as_mut()).await.is_err());
        assert!(cut_second.is_cancelled() && !cut_first.is_cancelled() && !served.cut().is_cancelled());
        drop(second);
        let _next = next.await.unwrap();
        drop((first, served));
        assert_eq!(slots.waiting().since.len(), 1);
    }

    #[tokio::test]
    async fn one_address_took_all_places() {
        let (slots, cut) = (Slots::new(100, 2), CancellationToken::new());
        let there = IpAddr::from([10, 0, 0, 1]);
        let first = slots.take(&cut, HERE).await.unwrap();
        let second = slots.take(&cut, HERE).await.unwrap();
        let third = slots.take(&cut, HERE).await.unwrap();
        assert!(first.cut().is_cancelled() && !second.cut().is_cancelled(), "its own longest one goes");
        drop(first);
        second.serves();
        third.serves();
        assert!(slots.take(&cut, HERE).await.is_none(), "all of its are being served");
        assert!(slots.take(&cut, there).await.is_some());
        drop((second, third));
        assert!(slots.waiting().of_address.is_empty());
    }
}
