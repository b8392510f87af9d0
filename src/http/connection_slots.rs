//! Places for connections. Where all are taken, whoever has waited longest without a whole request goes for a new one: slow
//! heads, slow bodies and idle connections of one client must not keep everybody else out.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::client_address::subscriber;
use crate::signals::Signals;

#[derive(Debug, Clone)]
pub(super) struct Slots {
    places: Arc<Semaphore>,
    most: Arc<Most>,
    waiting: Arc<Mutex<Waiting>>,
    signals: Arc<Signals>,
}

/// How many there may be; that can change.
#[derive(Debug)]
struct Most {
    connections: AtomicUsize,
    per_address: AtomicUsize,
    /// Places that are to go as soon as somebody gives one back.
    to_forget: AtomicUsize,
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
    place: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub(super) fn new(most: usize, per_address: usize, signals: Arc<Signals>) -> Self {
        let places = Arc::new(Semaphore::new(most));
        let most = Most {
            connections: AtomicUsize::new(most),
            per_address: AtomicUsize::new(per_address),
            to_forget: AtomicUsize::new(0),
        };
        Self { places, most: Arc::new(most), waiting: Arc::default(), signals }
    }

    /// From now on there may be so many. Who is there stays.
    pub(super) fn follow(&self, most: usize, per_address: usize) {
        self.most.per_address.store(per_address, Ordering::Relaxed);
        let before = self.most.connections.swap(most, Ordering::Relaxed);
        let Some(fewer) = before.checked_sub(most).filter(|fewer| *fewer > 0) else {
            let more = most - before;
            let less = |count: usize| Some(count.saturating_sub(more));
            // Those that are to go stay first.
            let to_go = self.most.to_forget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).unwrap_or(0);
            return self.places.add_permits(more.saturating_sub(to_go));
        };
        let gone = self.places.forget_permits(fewer);
        self.most.to_forget.fetch_add(fewer - gone, Ordering::Relaxed);
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
                // Those that are to go as well: their places are not given to anybody.
                (0..=self.most.to_forget.load(Ordering::Relaxed)).for_each(|_| self.cut_longest());
                Arc::clone(&self.places).acquire_owned().await.ok()?
            }
        };
        *self.waiting().of_address.entry(from).or_default() += 1;
        let slot =
            Slot { slots: self.clone(), cut: cut.child_token(), from, number: Mutex::new(None), place: Some(place) };
        slot.waits();
        Some(Arc::new(slot))
    }

    fn has_room_for(&self, from: IpAddr) -> bool {
        let mut waiting = self.waiting();
        if waiting.of_address.get(&from).is_none_or(|count| *count < self.most.per_address.load(Ordering::Relaxed)) {
            return true;
        }
        let longest = waiting.since.iter().find(|(_, (of, _))| *of == from).map(|(number, _)| *number);
        let longest = longest.and_then(|number| waiting.since.remove(&number));
        self.signals.metrics.over_limit("http.max_connections_per_address", from);
        longest.inspect(|(_, longest)| longest.cancel()).is_some()
    }

    fn cut_longest(&self) {
        // The one that has waited longest for a request.
        let Some((_, (from, longest))) = self.waiting().since.pop_first() else { return };
        longest.cancel();
        self.signals.metrics.over_limit("http.max_connections", from);
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
        let one_less = |count: usize| count.checked_sub(1);
        if self.slots.most.to_forget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
            && let Some(place) = self.place.take()
        {
            place.forget();
        }
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
        let (slots, cut) = (Slots::new(3, 100, Arc::default()), CancellationToken::new());
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

    /// The places that a reload had taken away were waited for, and nobody was asked to give them up.
    #[tokio::test]
    async fn with_fewer_places_than_connections_nobody_new_was_let_in() {
        let (slots, cut) = (Slots::new(4, 100, Arc::default()), CancellationToken::new());
        let mut there = Vec::new();
        for _ in 0..4 {
            there.push(slots.take(&cut, HERE).await.unwrap());
        }
        slots.follow(2, 100);
        let mut next = std::pin::pin!(slots.take(&cut, HERE));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, next.as_mut()).await.is_err());
        assert_eq!(
            there.iter().filter(|slot| slot.cut().is_cancelled()).count(),
            3,
            "two too many, and one for the new one"
        );
        there.retain(|slot| !slot.cut().is_cancelled());
        let next = next.await.unwrap();
        assert_eq!(slots.places.available_permits(), 0, "two places, and two connections");
        // Raised again: as many as it says, and none that was to go.
        slots.follow(3, 100);
        assert_eq!(slots.places.available_permits(), 1);
        drop((there, next));
        assert_eq!(slots.places.available_permits(), 3);
    }

    #[tokio::test]
    async fn one_address_took_all_places() {
        let (slots, cut) = (Slots::new(100, 2, Arc::default()), CancellationToken::new());
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
