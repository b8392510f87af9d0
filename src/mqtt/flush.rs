//! What a worker has to write down, and when: one flush at a time, shared by all who wait for one. Pure but for the wait.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::gateway::Unwritten;
use crate::parcel::{BindingId, Seq};
use crate::store::CursorMove;

/// After a flush that failed nobody who only wants to read tries again so soon.
const PAUSE: Duration = Duration::from_secs(1);
/// What cannot be written by itself is tried again so often: its page may have been mended, or its group be gone.
const SET_ASIDE: Duration = Duration::from_secs(60);
/// Bindings that are set aside at most.
const MOST_ASIDE: usize = 10_000;

/// Acknowledgements that no session has any more, and those that could not be written.
#[derive(Debug, Default)]
pub(super) struct Detached {
    moves: RefCell<Vec<CursorMove>>,
    aside: RefCell<Vec<CursorMove>>,
    /// When those that are set aside were tried last.
    tried: Cell<Option<Instant>>,
    failed: Cell<Option<Instant>>,
}

impl Detached {
    pub(super) fn keep(&self, moves: impl IntoIterator<Item = CursorMove>) {
        self.moves.borrow_mut().extend(moves);
    }

    /// Everything that a flush which begins now has to write.
    pub(super) fn take(&self, now: Instant) -> Vec<CursorMove> {
        let mut moves = self.moves.take();
        if !self.aside.borrow().is_empty()
            && self.tried.get().is_none_or(|tried| now.duration_since(tried) >= SET_ASIDE)
        {
            moves.extend(self.aside.take());
        }
        // Of a binding that is set aside nothing can be written, whoever says it.
        let aside = self.aside.borrow();
        if !aside.is_empty() {
            let (known, rest) =
                moves.into_iter().partition(|moved| aside.iter().any(|guilty| guilty.binding == moved.binding));
            drop(aside);
            self.set_aside(known, now);
            moves = rest;
        }
        moves
    }

    /// The outcome of a flush. Answers how many bindings were set aside just now.
    pub(super) fn note(&self, unwritten: Unwritten, now: Instant) -> usize {
        self.failed.set(unwritten.error.is_some().then_some(now));
        let mut later = joined(unwritten.later);
        let mut moves = self.moves.borrow_mut();
        later.append(&mut moves);
        *moves = later;
        drop(moves);
        self.set_aside(unwritten.guilty, now)
    }

    /// Whether the last flush has failed just now.
    pub(super) fn has_failed(&self, now: Instant) -> bool {
        self.failed.get().is_some_and(|failed| now.duration_since(failed) < PAUSE)
    }

    fn set_aside(&self, guilty: Vec<CursorMove>, now: Instant) -> usize {
        if guilty.is_empty() {
            return 0;
        }
        let mut aside = self.aside.borrow_mut();
        let before = bindings(&aside);
        aside.extend(guilty);
        *aside = joined(std::mem::take(&mut *aside));
        if self.tried.get().is_none() || before == 0 {
            self.tried.set(Some(now));
        }
        let excess = aside.len().saturating_sub(MOST_ASIDE);
        aside.drain(..excess);
        bindings(&aside).saturating_sub(before)
    }
}

fn bindings(moves: &[CursorMove]) -> usize {
    let mut known: Vec<BindingId> = moves.iter().map(|moved| moved.binding).collect();
    known.sort_unstable();
    known.dedup();
    known.len()
}

/// The same with as few moves as possible: what one session said of one binding in turn becomes one.
fn joined(mut moves: Vec<CursorMove>) -> Vec<CursorMove> {
    moves.sort_by_key(|moved| moved.binding);
    let mut out: Vec<CursorMove> = Vec::with_capacity(moves.len());
    for next in moves {
        match out.last_mut() {
            Some(last) if last.binding == next.binding && last.upto == next.from && next.from > Seq::default() => {
                last.follow(next)
            }
            _ => out.push(next),
        }
    }
    out
}

/// One flush at a time. Who asks for one while another is under way, which may have begun too early for what he knows, waits
/// for the next one together with all who do.
#[derive(Debug, Default)]
pub(super) struct Shared {
    begun: Cell<u64>,
    done: Cell<u64>,
    running: Cell<bool>,
    finished: Notify,
}

impl Shared {
    /// Returns when a run that began after this call has ended.
    pub(super) async fn run(&self, work: impl AsyncFn()) {
        let mine = self.begun.get() + 1;
        while self.done.get() < mine {
            if self.running.replace(true) {
                self.finished.notified().await;
                continue;
            }
            let number = self.begun.get() + 1;
            self.begun.set(number);
            let over = Over { of: self, number };
            work().await;
            drop(over);
        }
    }
}

/// Whoever runs it may be dropped in the middle; the others go on then.
struct Over<'a> {
    of: &'a Shared,
    number: u64,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.of.done.set(self.number);
        self.of.running.set(false);
        self.of.finished.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::store::{Exception, ExceptionKind};

    fn moved(binding: BindingId, from: i64, upto: i64) -> CursorMove {
        CursorMove { binding, from: Seq(from), upto: Seq(upto), exceptions: Vec::new() }
    }

    #[test]
    fn each_of_those_who_waited_for_a_flush_had_one_of_its_own() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let local = tokio::task::LocalSet::new();
        let runs = Rc::new(Cell::new(0));
        local.block_on(&runtime, async {
            let shared = Rc::new(Shared::default());
            let tasks: Vec<_> = (0..100)
                .map(|_| {
                    let (shared, runs) = (Rc::clone(&shared), Rc::clone(&runs));
                    tokio::task::spawn_local(async move {
                        shared
                            .run(async || {
                                runs.set(runs.get() + 1);
                                tokio::task::yield_now().await;
                            })
                            .await;
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
        assert_eq!(runs.get(), 2, "one that had begun, and one for all others");
    }

    #[test]
    fn one_who_gave_up_in_the_middle_does_not_keep_the_others_waiting() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let shared = Shared::default();
            let mut first = Box::pin(shared.run(async || std::future::pending().await));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(first.as_mut().poll(&mut context).is_pending());
            drop(first);
            shared.run(async || {}).await;
        });
    }

    #[test]
    fn what_could_not_be_written_grew_with_every_second() {
        let detached = Detached::default();
        let now = Instant::now();
        let got = Exception { seq: Seq(9), kind: ExceptionKind::Got };
        for second in 0..1_000 {
            let mut later = detached.take(now);
            let mut next = moved(1, second + 1, second + 2);
            next.exceptions.push(got);
            later.push(next);
            detached.note(Unwritten { later, error: Some(crate::store::Error::Full), guilty: Vec::new() }, now);
        }
        assert!(detached.has_failed(now) && !detached.has_failed(now + PAUSE));
        let mut all = moved(1, 1, 1_001);
        all.exceptions.push(got);
        assert_eq!(detached.take(now), [all]);
    }

    #[test]
    fn a_binding_that_cannot_be_written_is_tried_once_a_minute() {
        let detached = Detached::default();
        let now = Instant::now();
        let refused =
            |guilty| Unwritten { guilty, error: Some(crate::store::Error::Damaged("page 7".into())), later: vec![] };
        assert_eq!(detached.note(refused(vec![moved(1, 1, 2)]), now), 1);
        detached.keep([moved(1, 2, 3), moved(2, 1, 2)]);
        assert_eq!(detached.take(now), [moved(2, 1, 2)]);
        assert_eq!(detached.take(now + SET_ASIDE), [moved(1, 1, 3)]);
        assert_eq!(detached.note(refused(vec![moved(1, 1, 3)]), now + SET_ASIDE), 1);
    }
}
