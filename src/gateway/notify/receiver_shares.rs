//! Who may be posted to at the same time. A receiver that hangs keeps each attempt for `notify.timeout`; there may be many
//! such receivers, with many notifications each, and none of it shall delay those who answer.

use std::collections::HashMap;

/// Receivers whose last answer is remembered. Beyond it all are forgotten, and begin as new ones.
const REMEMBERED: usize = 10_000;

/// The attempts that may be under way (`notify.parallel`), by receiver.
#[derive(Debug)]
pub(super) struct Places {
    total: usize,
    taken: usize,
    by_receiver: HashMap<String, usize>,
    /// Whether the last notification was taken.
    answered: HashMap<String, bool>,
}

/// What is known of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It took its last notification.
    Answers,
    New,
    Fails,
}

impl Places {
    pub(super) fn new(total: usize) -> Self {
        Self { total, taken: 0, by_receiver: HashMap::new(), answered: HashMap::new() }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn is_full(&self) -> bool {
        self.taken >= self.total
    }

    /// How many a receiver has.
    pub(super) fn held(&self, receiver: &str) -> usize {
        self.by_receiver.get(receiver).copied().unwrap_or(0)
    }

    fn standing(&self, receiver: &str) -> Standing {
        match self.answered.get(receiver) {
            Some(true) => Standing::Answers,
            None => Standing::New,
            Some(false) => Standing::Fails,
        }
    }

    /// Whether there is a place for this receiver. One that answers leaves a quarter to others. Any other has a single one;
    /// all of those leave a quarter to those who answer, and those that fail have a quarter at most.
    pub(super) fn has_room(&self, receiver: &str) -> bool {
        let held = self.held(receiver);
        let quarter = self.total / 4;
        let failing = self.taken_by(Standing::Fails);
        let fits = match self.standing(receiver) {
            Standing::Answers => held < self.total - quarter,
            Standing::New => held == 0 && self.taken_by(Standing::New) + failing < self.total - quarter,
            Standing::Fails => held == 0 && failing < quarter.max(1),
        };
        fits && !self.is_full()
    }

    pub(super) fn take(&mut self, receiver: &str) {
        self.taken += 1;
        *self.by_receiver.entry(receiver.to_owned()).or_default() += 1;
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

    fn taken_by(&self, standing: Standing) -> usize {
        let alike = self.by_receiver.iter().filter(|(receiver, _)| self.standing(receiver) == standing);
        alike.map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(places: &mut Places, receiver: &str) -> usize {
        let mut count = 0;
        while places.has_room(receiver) {
            places.take(receiver);
            count += 1;
        }
        count
    }

    fn answer(places: &mut Places, receiver: &str) {
        places.take(receiver);
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
    fn receivers_that_are_new_or_fail_have_one_place_each_and_never_all() {
        let mut places = Places::new(16);
        answer(&mut places, "healthy");
        let of = |places: &mut Places, what: &str| -> Vec<usize> {
            (0..20).map(|n| take_all(places, &format!("{what}{n}"))).collect()
        };
        for n in 0..20 {
            places.take(&format!("slow{n}"));
            places.give_back(&format!("slow{n}"), false);
        }
        let (failing, new) = (of(&mut places, "slow"), of(&mut places, "new"));
        assert_eq!((failing.iter().sum::<usize>(), failing.iter().max()), (4, Some(&1)));
        assert_eq!((new.iter().sum::<usize>(), new.iter().max()), (8, Some(&1)));
        assert_eq!(take_all(&mut places, "healthy"), 4);
        places.give_back("slow0", true);
        places.give_back("healthy", true);
        assert_eq!(take_all(&mut places, "slow0"), 2, "it counts like any other now");
        places.give_back("healthy", false);
        assert_eq!(take_all(&mut places, "healthy"), 0, "it has places already");
    }

    #[test]
    fn a_single_place_serves_everybody_in_turn() {
        let mut places = Places::new(1);
        for receiver in ["a", "b", "a"] {
            assert!(places.has_room(receiver), "{receiver}");
            places.take(receiver);
            assert!(!places.has_room("c"));
            places.give_back(receiver, false);
        }
    }
}
