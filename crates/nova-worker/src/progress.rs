//! Progress marks: how liveness tells a worker that moves from one that merely exists.
//!
//! Invariant: recording costs one clock reading and two relaxed atomic writes, so that it may sit in a hot loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Shared by a worker, which records, and the health board, which reads.
#[derive(Debug, Clone)]
pub struct ProgressHandle(Arc<Marks>);

#[derive(Debug)]
struct Marks {
    origin: Instant,
    last_nanos: AtomicU64,
    count: AtomicU64,
}

impl ProgressHandle {
    /// A handle whose age counts from now.
    #[must_use]
    pub fn new() -> Self {
        let marks = Marks { origin: Instant::now(), last_nanos: AtomicU64::new(0), count: AtomicU64::new(0) };
        Self(Arc::new(marks))
    }

    /// Marks progress. Call it each time round the main loop, also when there was nothing to do and when a retry
    /// begins: an idle worker, or one that waits for a server in an orderly way, is not stuck.
    pub fn record(&self) {
        self.touch();
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Time since the last mark, or since the attempt began if there is none.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.0
            .origin
            .elapsed()
            .saturating_sub(Duration::from_nanos(self.0.last_nanos.load(Ordering::Relaxed)))
    }

    /// Marks recorded so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Restarts the age without claiming progress: a new attempt gets the whole stall limit.
    pub(crate) fn touch(&self) {
        let nanos = u64::try_from(self.0.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.last_nanos.store(nanos, Ordering::Relaxed);
    }
}

impl Default for ProgressHandle {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn age_counts_from_the_last_mark() {
        let progress = ProgressHandle::new();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!((progress.age(), progress.count()), (Duration::from_secs(5), 0));

        progress.record();
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((progress.age(), progress.count()), (Duration::from_secs(2), 1));

        progress.touch();
        assert_eq!((progress.age(), progress.count()), (Duration::ZERO, 1));
    }
}
