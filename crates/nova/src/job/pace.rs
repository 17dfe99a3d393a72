//! How fast a job may go: the limit that somebody gave, and stepping back while the live stream falls behind.
//!
//! Invariant: pure; time is told. Additive increase, multiplicative decrease (RFC 5681's rule for congestion): each sample that
//! finds the live lag growing halves the rate, each other one gives a twentieth back, until nothing holds the job any more.

use std::time::Duration;

use tokio::time::Instant;

/// A live stream commits in steps: a lag below this, in messages, is none.
const NO_LAG: i64 = 1_000;
/// Rows a second that are left to a job, however the live stream does.
const LEAST: f64 = 100.0;
/// Of the rate before the first step back, what a calm sample gives back.
const STEP: f64 = 0.05;
/// The longest wait until the limit is looked at again.
const LOOK: Duration = Duration::from_secs(1);

/// The pace of one job.
#[derive(Debug)]
pub struct Pace {
    /// Rows a second, given by a person.
    given: Option<f64>,
    /// Rows a second, since the live stream fell behind.
    held: Option<f64>,
    /// The rate before the first step back.
    peak: f64,
    /// Rows taken and not yet waited for.
    debt: f64,
    settled: Instant,
    began: Instant,
    rows: f64,
    /// The least lag seen, and the last.
    lag: Option<(i64, i64)>,
}

impl Pace {
    /// As fast as it goes, or at most so many rows a second.
    pub fn new(rows_per_second: Option<u32>, now: Instant) -> Self {
        let given = rows_per_second.map(f64::from);
        Self { given, held: None, peak: 0.0, debt: 0.0, settled: now, began: now, rows: 0.0, lag: None }
    }

    /// Rows a second now; `None`: as fast as it goes.
    pub fn limit(&self) -> Option<f64> {
        match (self.given, self.held) {
            (Some(given), Some(held)) => Some(given.min(held)),
            (given, held) => given.or(held),
        }
    }

    /// Whether the job goes slower for the live stream's sake.
    pub fn is_held_back(&self) -> bool {
        self.held.is_some_and(|held| self.given.is_none_or(|given| held < given))
    }

    /// Takes note of rows that were handled.
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    pub fn took(&mut self, rows: usize, now: Instant) {
        self.settle(now);
        self.debt += rows as f64;
        self.rows += rows as f64;
    }

    /// How long to wait before the next rows; then ask again.
    pub fn wait(&mut self, now: Instant) -> Duration {
        self.settle(now);
        match self.limit() {
            Some(limit) if self.debt > 0.0 => Duration::from_secs_f64(self.debt / limit).min(LOOK),
            _ => Duration::ZERO,
        }
    }

    fn settle(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.settled).as_secs_f64();
        self.settled = now;
        self.debt = self.limit().map_or(0.0, |limit| elapsed.mul_add(-limit, self.debt).max(0.0));
    }

    /// Takes note of the live stream's lag, in messages.
    pub fn observe(&mut self, lag: i64, now: Instant) {
        self.settle(now);
        let (least, last) = self.lag.unwrap_or((lag, lag));
        self.lag = Some((least.min(lag), lag));
        if lag > last && lag > least.saturating_mul(2).saturating_add(NO_LAG) {
            let rate = self.limit().unwrap_or_else(|| self.rate(now));
            self.peak = self.peak.max(rate);
            self.held = Some((rate / 2.0).max(LEAST));
        } else if let Some(held) = self.held {
            let held = held + (self.peak * STEP).max(LEAST);
            self.held = (held < self.peak).then_some(held);
            if self.held.is_none() {
                self.peak = 0.0;
            }
        }
    }

    /// Rows a second since the beginning.
    fn rate(&self, now: Instant) -> f64 {
        self.rows / now.saturating_duration_since(self.began).as_secs_f64().max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_given_rate_is_kept_whatever_the_size_of_the_chunks() {
        let mut now = Instant::now();
        let mut pace = Pace::new(Some(1_000), now);
        assert_eq!(pace.wait(now), Duration::ZERO, "nothing was taken yet");
        pace.took(2_500, now);
        let begun = now;
        loop {
            match pace.wait(now) {
                Duration::ZERO => break,
                wait => now += wait.min(LOOK),
            }
        }
        assert_eq!((now - begun).as_millis(), 2_500);
        // What was not used is not saved up.
        now += 60 * S;
        pace.took(1_000, now);
        assert_eq!(pace.wait(now), S);
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let now = Instant::now();
        let mut pace = Pace::new(None, now);
        pace.took(1_000_000, now);
        assert_eq!((pace.wait(now), pace.limit(), pace.is_held_back()), (Duration::ZERO, None, false));
    }

    #[test]
    fn a_growing_lag_halves_the_rate_and_a_calm_one_gives_it_back() {
        let mut now = Instant::now();
        let mut pace = Pace::new(None, now);
        now += 10 * S;
        pace.took(100_000, now);
        for lag in [200, 900, 300] {
            pace.observe(lag, now);
            assert_eq!(pace.limit(), None, "a stream that commits in steps");
        }
        pace.observe(5_000, now);
        assert_eq!(pace.limit(), Some(5_000.0));
        pace.observe(9_000, now);
        assert_eq!((pace.limit(), pace.is_held_back()), (Some(2_500.0), true));
        pace.observe(9_000, now);
        assert_eq!(pace.limit(), Some(3_000.0), "not growing");
        for _ in 0..20 {
            pace.observe(100, now);
        }
        assert_eq!(pace.limit(), None);
    }

    #[test]
    fn a_lag_that_was_there_before_is_not_of_the_jobs_making() {
        let now = Instant::now();
        let mut pace = Pace::new(Some(4_000), now);
        for lag in [50_000, 60_000, 90_000] {
            pace.observe(lag, now);
        }
        assert_eq!(pace.limit(), Some(4_000.0));
        pace.observe(110_000, now);
        assert_eq!((pace.limit(), pace.is_held_back()), (Some(2_000.0), true));
        for lag in 1..40 {
            pace.observe(200_000 * lag, now);
        }
        assert_eq!(pace.limit(), Some(LEAST), "never to a standstill");
    }
}
