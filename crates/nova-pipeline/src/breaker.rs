//! When poison is no exception any more: a changed schema or a wrong topic is not a thousand bad messages, and putting
//! all of them aside would hide it.
//!
//! Invariant: a batch that trips the breaker is neither announced nor written, its dead letters included; the offsets
//! stay before it.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How much poison a stream may meet before it halts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoisonLimits {
    /// How far back messages and dead letters are counted.
    pub window: Duration,
    /// More dead letters than this in the window halt the stream.
    pub count: u64,
    /// A greater share of the window's messages than this halts the stream, from [`PoisonLimits::FEW`] letters on.
    pub share: f64,
}

impl PoisonLimits {
    /// So few dead letters never count as a share: three poisoned messages in a quiet night are an exception.
    pub const FEW: u64 = 50;
}

impl Default for PoisonLimits {
    fn default() -> Self {
        Self { window: Duration::from_secs(60), count: 1_000, share: 0.5 }
    }
}

/// Messages and dead letters of a while.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) messages: u64,
    pub(crate) letters: u64,
}

/// Counts what was read in the window.
#[derive(Debug)]
pub(crate) struct Breaker {
    limits: PoisonLimits,
    batches: VecDeque<(Instant, Tally)>,
}

impl Breaker {
    pub(crate) fn new(limits: PoisonLimits) -> Self {
        Self { limits, batches: VecDeque::new() }
    }

    /// Counts a batch in; the window's tally, if that is more poison than the limits allow.
    pub(crate) fn trips(&mut self, batch: Tally) -> Option<Tally> {
        let now = Instant::now();
        self.batches.push_back((now, batch));
        let window = self.limits.window;
        self.batches.retain(|(at, _)| now.duration_since(*at) < window);
        let mut sum = Tally::default();
        for (_, tally) in &self.batches {
            sum.messages += tally.messages;
            sum.letters += tally.letters;
        }
        // A clean batch trips nothing, whatever came before it.
        (batch.letters > 0 && self.is_too_much(sum)).then_some(sum)
    }

    fn is_too_much(&self, Tally { messages, letters }: Tally) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a share of messages")]
        let share = letters as f64 / messages.max(1) as f64;
        letters > self.limits.count || (letters >= PoisonLimits::FEW && share > self.limits.share)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(PoisonLimits::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_counts_from_some_letters_on_and_a_number_always() {
        let mut breaker = breaker();
        assert_eq!(breaker.trips(Tally { messages: 49, letters: 49 }), None);
        let sum = Tally { messages: 51, letters: 50 };
        assert_eq!(breaker.trips(Tally { messages: 2, letters: 1 }), Some(sum));

        let mut breaker = self::breaker();
        assert_eq!(breaker.trips(Tally { messages: 1_000_000, letters: 1_000 }), None);
        assert!(breaker.trips(Tally { messages: 1_000_000, letters: 1 }).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_is_forgotten_and_a_clean_batch_trips_nothing() {
        let mut breaker = breaker();
        assert_eq!(breaker.trips(Tally { messages: 100, letters: 50 }), None, "half, and not more");
        advance(Duration::from_secs(61)).await;
        assert_eq!(breaker.trips(Tally { messages: 40, letters: 40 }), None);
        assert!(breaker.trips(Tally { messages: 10, letters: 10 }).is_some());
        assert_eq!(breaker.trips(Tally { messages: 1, letters: 0 }), None);
    }
}
