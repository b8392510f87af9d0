//! Log lines that anybody can cause are printed a few times a minute; the rest is counted and said with the next one.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);

/// The lines of one kind.
#[derive(Debug)]
pub struct LogLimit {
    lines: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Since when lines are counted.
    since: Option<Instant>,
    printed: u64,
    left_out: u64,
}

impl LogLimit {
    /// So many lines a minute.
    #[must_use]
    pub const fn new(lines: u64) -> Self {
        Self { lines, state: Mutex::new(State { since: None, printed: 0, left_out: 0 }) }
    }

    /// Whether a line may be printed now; with it comes how many were left out before it.
    #[must_use]
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            state.since = Some(now);
            state.printed = 0;
        }
        if state.printed < self.lines {
            state.printed += 1;
            return Some(std::mem::take(&mut state.left_out));
        }
        state.left_out += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_said_with_the_next_line() {
        let limit = LogLimit::new(2);
        let begin = Instant::now();
        let passed: Vec<_> = (0..5).map(|_| limit.pass_at(begin)).collect();
        assert_eq!(passed, [Some(0), Some(0), None, None, None]);
        assert_eq!(limit.pass_at(begin + WINDOW / 2), None);
        assert_eq!(limit.pass_at(begin + WINDOW), Some(4));
        assert_eq!(limit.pass_at(begin + WINDOW), Some(0));
    }
}
