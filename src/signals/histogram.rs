//! Histograms that cost next to nothing where they are filled. prometheus-client's own takes a lock for each value; a fan-out
//! has one for each delivery, so a worker counts by itself and hands its counts over once in a while.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Upper bounds in seconds, from a delivery over a loopback to a device that was away for a week.
pub(super) const TIMES: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0,
    43_200.0, 172_800.0, 604_800.0,
];

/// Upper bounds of how many requests share a commit.
pub(super) const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Values that are added up in millionths.
const MICRO: f64 = 1e6;

#[derive(Debug, Clone)]
pub struct Histogram(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bounds: &'static [f64],
    /// One for each bound, and one for what is beyond.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Shared { bounds, counts, sum: AtomicU64::new(0) }))
    }

    pub fn observe(&self, value: f64) {
        let at = place(self.0.bounds, value);
        if let Some(count) = self.0.counts.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum.fetch_add((value.max(0.0) * MICRO) as u64, Ordering::Relaxed);
    }

    /// Takes over what a worker has counted.
    pub fn absorb(&self, local: &LocalHistogram) {
        let sum = local.sum.take();
        if sum == 0 && !local.any.take() {
            return;
        }
        local.any.set(false);
        self.0.sum.fetch_add(sum, Ordering::Relaxed);
        for (count, more) in self.0.counts.iter().zip(local.counts.borrow_mut().iter_mut()) {
            count.fetch_add(std::mem::take(more), Ordering::Relaxed);
        }
    }
}

fn place(bounds: &[f64], value: f64) -> usize {
    bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len())
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counts: Vec<u64> = self.0.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let bounds = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts.iter().copied()).collect();
        let sum = self.0.sum.load(Ordering::Relaxed) as f64 / MICRO;
        encoder.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// Times that one thread measures.
#[derive(Debug)]
pub struct LocalHistogram {
    counts: RefCell<Vec<u64>>,
    sum: Cell<u64>,
    any: Cell<bool>,
}

impl Default for LocalHistogram {
    fn default() -> Self {
        Self { counts: RefCell::new(vec![0; TIMES.len() + 1]), sum: Cell::new(0), any: Cell::new(false) }
    }
}

impl LocalHistogram {
    /// A time in milliseconds.
    pub fn observe_millis(&self, millis: i64) {
        let millis = millis.max(0);
        let at = place(TIMES, millis as f64 / 1_000.0);
        if let Some(count) = self.counts.borrow_mut().get_mut(at) {
            *count += 1;
        }
        self.sum.set(self.sum.get().saturating_add(millis.unsigned_abs().saturating_mul(1_000)));
        self.any.set(true);
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn what_a_worker_has_counted_is_shown_once() {
        let histogram = Histogram::new(TIMES);
        let local = LocalHistogram::default();
        local.observe_millis(0);
        local.observe_millis(3);
        local.observe_millis(700_000_000);
        histogram.absorb(&local);
        histogram.absorb(&local);
        histogram.observe(0.002);
        let mut registry = Registry::default();
        registry.register("t", "a test", histogram);
        let mut out = String::new();
        text::encode(&mut out, &registry).unwrap();
        for line in [
            "t_count 4",
            "t_sum 700000.005",
            "t_bucket{le=\"0.001\"} 1",
            "t_bucket{le=\"0.0025\"} 2",
            "t_bucket{le=\"0.005\"} 3",
            "t_bucket{le=\"604800.0\"} 3",
            "t_bucket{le=\"+Inf\"} 4",
        ] {
            assert!(out.lines().any(|known| known == line), "{line} is not in\n{out}");
        }
    }
}
