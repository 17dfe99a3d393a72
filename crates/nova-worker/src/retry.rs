//! Retries with exponential backoff: the delays are `backon`'s, the limits and the interruption are here.
//!
//! Invariant: shutdown cuts a pause short and prevents further attempts, but never drops an attempt in flight, whose
//! answer (an insert, a commit) somebody needs to know.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use crate::WorkerError;

/// Exponentially growing pauses: `initial`, `initial * factor`, … up to `max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The first pause.
    pub initial: Duration,
    /// No pause is longer.
    pub max: Duration,
    /// Growth from one pause to the next, at least 1.
    pub factor: f32,
    /// Draw each pause at random between half of its length and all of it, so that many workers do not return at once.
    pub jitter: bool,
}

impl Backoff {
    /// The pauses, without end if `limit` is `None`.
    pub(crate) fn delays(&self, limit: Option<u32>) -> ExponentialBackoff {
        // backon adds up to the whole delay as jitter: halving first keeps `max` a true maximum.
        let share = if self.jitter { 2 } else { 1 };
        let builder = ExponentialBuilder::new()
            .with_min_delay(self.initial.min(self.max) / share)
            .with_max_delay(self.max / share)
            .with_factor(self.factor.max(1.0));
        let builder = if self.jitter { builder.with_jitter() } else { builder };
        match limit {
            Some(limit) => builder.with_max_times(usize::try_from(limit).unwrap_or(usize::MAX)),
            None => builder.without_max_times(),
        }
        .build()
    }
}

impl Default for Backoff {
    /// 500 ms, doubling up to 30 s, with jitter.
    fn default() -> Self {
        Self { initial: Duration::from_millis(500), max: Duration::from_secs(30), factor: 2.0, jitter: true }
    }
}

/// How often, how fast and after which errors to try again.
pub struct RetryPolicy<E = WorkerError> {
    /// Attempts in all, the first included; `None` for no limit.
    pub max_attempts: Option<NonZeroU32>,
    /// The pauses between attempts.
    pub backoff: Backoff,
    /// Whether another attempt may help after this error.
    pub retry_on: fn(&E) -> bool,
}

impl<E> RetryPolicy<E> {
    /// No limit of attempts, and the default backoff.
    pub fn new(retry_on: fn(&E) -> bool) -> Self {
        Self { max_attempts: None, backoff: Backoff::default(), retry_on }
    }

    /// Limits the attempts, the first included.
    #[must_use]
    pub fn with_max_attempts(mut self, max_attempts: NonZeroU32) -> Self {
        self.max_attempts = Some(max_attempts);
        self
    }

    /// Replaces the backoff.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The pauses this policy allows: one fewer than attempts.
    pub(crate) fn delays(&self) -> ExponentialBackoff {
        self.backoff.delays(self.max_attempts.map(|attempts| attempts.get() - 1))
    }

    /// Runs `op` until it succeeds or the policy ends it. At least one attempt is made, also when `shutdown` is already
    /// cancelled: a drain may flush through the same policy. Give `op` the token too if it can end itself early.
    ///
    /// `notify` is called before each pause with the error, the attempts so far and the pause.
    ///
    /// # Errors
    /// The last error with the number of attempts and why there was no further one.
    pub async fn run<T, F, Fut, N>(
        &self,
        mut op: F,
        mut notify: N,
        shutdown: &CancellationToken,
    ) -> Result<T, RetryError<E>>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        N: FnMut(&E, u32, Duration),
    {
        let mut delays = self.delays();
        let mut attempts = 0_u32;
        loop {
            attempts = attempts.saturating_add(1);
            let error = match op().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if !(self.retry_on)(&error) {
                return Err(RetryError { attempts, end: RetryEnd::NotRetryable, error });
            }
            if shutdown.is_cancelled() {
                return Err(RetryError { attempts, end: RetryEnd::Interrupted, error });
            }
            let Some(pause) = delays.next() else {
                return Err(RetryError { attempts, end: RetryEnd::Exhausted, error });
            };
            notify(&error, attempts, pause);
            if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Err(RetryError { attempts, end: RetryEnd::Interrupted, error });
            }
        }
    }
}

impl Default for RetryPolicy {
    /// Retries every transient failure without limit.
    fn default() -> Self {
        Self::new(WorkerError::is_transient)
    }
}

// Derived, these would ask `E` for the same traits, though only a function pointer mentions it.
impl<E> Clone for RetryPolicy<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for RetryPolicy<E> {}

impl<E> fmt::Debug for RetryPolicy<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("max_attempts", &self.max_attempts)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

/// The last error of an operation that was given up.
#[derive(Debug, thiserror::Error)]
#[error("{end} (attempts made: {attempts})")]
pub struct RetryError<E> {
    /// Attempts made, at least 1.
    pub attempts: u32,
    /// Why there was no further attempt.
    pub end: RetryEnd,
    /// What the last attempt failed with.
    #[source]
    pub error: E,
}

/// Why an operation was not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetryEnd {
    /// The error is not one that another attempt cures.
    #[error("failed with an error that a retry does not cure")]
    NotRetryable,
    /// `max_attempts` is reached.
    #[error("gave up at the limit of attempts")]
    Exhausted,
    /// Shutdown was asked for.
    #[error("stopped retrying because of the shutdown")]
    Interrupted,
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
