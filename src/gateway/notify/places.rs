//! Who may be posted to at the same time. A receiver that hangs keeps each attempt for `notify.timeout`; there may be many
//! such receivers, with many notifications each, and none of it shall delay those who answer.

use std::collections::HashMap;

/// Receivers whose last answer is remembered. Beyond it all are forgotten, and begin as new ones.
const REMEMBERED: usize = 10_000;

/// The attempts that may be under way (`notify.parallel`), by receiver.
///
/// A receiver that took its last notification leaves a quarter of the places to others. A new one has a single place until
/// it takes one. So has one that did not, and all of those together have half of the places.
#[derive(Debug)]
pub(super) struct Places {
    total: usize,
    taken: usize,
    by_receiver: HashMap<String, usize>,
    /// Whether the last notification was taken.
    answered: HashMap<String, bool>,
}

impl Places {
    pub(super) fn new(total: usize) -> Self {
        Self { total, taken: 0, by_receiver: HashMap::new(), answered: HashMap::new() }
    }

    /// What one receiver may have at most.
    pub(super) fn share(&self) -> usize {
        (self.total - self.total / 4).max(1)
    }

    pub(super) fn is_full(&self) -> bool {
        self.taken >= self.total
    }

    /// Takes a place, if there is one for this receiver.
    pub(super) fn take(&mut self, receiver: &str) -> bool {
        let has = self.by_receiver.get(receiver).copied().unwrap_or(0);
        let fits = match self.answered.get(receiver) {
            Some(true) => has < self.share(),
            None => has == 0,
            Some(false) => has == 0 && self.taken_by_failing() < (self.total / 2).max(1),
        };
        let granted = fits && !self.is_full();
        if granted {
            self.taken += 1;
            *self.by_receiver.entry(receiver.to_owned()).or_default() += 1;
        }
        granted
    }

    /// The attempt is over; whether the receiver took the notification.
    pub(super) fn give_back(&mut self, receiver: &str, received: bool) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(count) = self.by_receiver.get_mut(receiver) {
            *count -= 1;
            if *count == 0 {
                self.by_receiver.remove(receiver);
            }
        }
        if self.answered.len() >= REMEMBERED {
            self.answered.clear();
        }
        self.answered.insert(receiver.to_owned(), received);
    }

    fn taken_by_failing(&self) -> usize {
        let failing = self.by_receiver.iter().filter(|(receiver, _)| self.answered.get(*receiver) == Some(&false));
        failing.map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(places: &mut Places, receiver: &str) -> usize {
        (0..100).take_while(|_| places.take(receiver)).count()
    }

    fn answer(places: &mut Places, receiver: &str) {
        assert!(places.take(receiver), "{receiver}");
        places.give_back(receiver, true);
    }

    #[test]
    fn one_receiver_leaves_places_to_others_and_all_together_have_no_more_than_there_are() {
        let mut places = Places::new(16);
        for receiver in ["a", "b", "c"] {
            answer(&mut places, receiver);
        }
        assert_eq!(take_all(&mut places, "a"), 12);
        assert_eq!(take_all(&mut places, "b"), 4);
        assert_eq!(take_all(&mut places, "c"), 0);
        places.give_back("a", true);
        assert_eq!(take_all(&mut places, "c"), 1, "what is given back is there for the next");
    }

    #[test]
    fn receivers_that_fail_have_one_place_each_and_half_together() {
        let mut places = Places::new(16);
        answer(&mut places, "healthy");
        for n in 0..20 {
            assert_eq!(take_all(&mut places, &format!("slow{n}")), 1, "a new one");
            places.give_back(&format!("slow{n}"), false);
        }
        let taken: Vec<usize> = (0..20).map(|n| take_all(&mut places, &format!("slow{n}"))).collect();
        assert_eq!(taken.iter().sum::<usize>(), 8);
        assert_eq!(taken.iter().max(), Some(&1));
        assert_eq!(take_all(&mut places, "healthy"), 8);
        places.give_back("slow0", true);
        places.give_back("healthy", true);
        assert_eq!(take_all(&mut places, "slow0"), 2, "it counts like any other now");
        places.give_back("healthy", false);
        assert_eq!(take_all(&mut places, "healthy"), 0, "it has a place already");
    }

    #[test]
    fn a_single_place_serves_everybody_in_turn() {
        let mut places = Places::new(1);
        for receiver in ["a", "b", "a"] {
            assert!(places.take(receiver), "{receiver}");
            assert!(!places.take("c"));
            places.give_back(receiver, false);
        }
    }
}
