//! Who plays which part: most devices are here, some are switched off, one is too small.

use std::ops::Range;

/// One in so many is switched off.
const ONE_IN: u32 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cast {
    pub(super) all: u32,
    /// Switched off after they have joined; devices 0 to this.
    pub(super) absent: u32,
    /// Takes packets that are too small for the push: the last device, or none.
    pub(super) small: u32,
}

impl Cast {
    /// One device alone is there; of two, one is switched off; of three, one is too small besides.
    pub(super) fn of(all: u32) -> Self {
        Self { all, absent: u32::from(all > 1).max(all / ONE_IN), small: u32::from(all > 2) }
    }

    /// Those that get the push at once.
    pub(super) fn here(self) -> u32 {
        self.all - self.absent - self.small
    }

    pub(super) fn absent_ones(self) -> Range<u32> {
        0..self.absent
    }

    pub(super) fn is_small(self, number: u32) -> bool {
        number >= self.all - self.small
    }

    /// Those that are switched off again for whoever looks at what `--keep` leaves running.
    pub(super) fn leave_again(self) -> Range<u32> {
        0..(self.here() / 2).min(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_few_there_are_somebody_is_here() {
        for all in [1, 2, 3, 19, 20, 100, 100_000] {
            let cast = Cast::of(all);
            assert!(cast.here() >= 1 && cast.here() + cast.absent + cast.small == all, "{cast:?}");
            assert!((0..all).filter(|number| cast.is_small(*number)).count() == cast.small as usize, "{cast:?}");
        }
        assert_eq!(Cast::of(100), Cast { all: 100, absent: 5, small: 1 });
        assert_eq!((Cast::of(1).absent, Cast::of(2).absent, Cast::of(2).small), (0, 1, 0));
    }
}
