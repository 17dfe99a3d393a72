//! Limits of a pipeline: what bounds its memory, its freshness and its patience.

use std::time::Duration;

use nova_worker::{Backoff, RetryPolicy};

use crate::{NewGroup, PipelineError, PoisonLimits, Policy};

/// Limits of one stream's pipeline. A batch is sent when the first of its limits is reached.
#[derive(Debug, Clone)]
pub struct PipelineOptions {
    /// Rows of a batch.
    pub batch_rows: usize,
    /// Encoded bytes of a batch, dead letters included. Two batches are in memory at most (one being filled, one
    /// being written), the body of the insert while it is under way, and up to five bursts of a mebibyte of messages.
    pub batch_bytes: usize,
    /// How long the first message of a batch waits for others.
    pub linger: Duration,
    /// How long a revoked partition may wait for its last batch before it is handed back uncommitted.
    pub drain_timeout: Duration,
    /// How long a full batch may wait for the one before it until delivery from the broker is paused.
    pub stall_grace: Duration,
    /// Pauses between attempts; they never give up by themselves.
    pub backoff: Backoff,
    /// What to do with a group that has never committed.
    pub new_group: NewGroup,
    /// How much poison halts the stream.
    pub poison: PoisonLimits,
}

impl Default for PipelineOptions {
    fn default() -> Self {
        Self {
            batch_rows: 200_000,
            batch_bytes: 32 << 20,
            linger: Duration::from_millis(300),
            drain_timeout: Duration::from_secs(20),
            stall_grace: Duration::from_secs(1),
            backoff: Backoff {
                initial: Duration::from_millis(200),
                max: Duration::from_secs(15),
                factor: 2.0,
                jitter: true,
            },
            new_group: NewGroup::Refuse,
            poison: PoisonLimits::default(),
        }
    }
}

impl PipelineOptions {
    /// Retries what the policy table calls retryable, without limit.
    #[must_use]
    pub fn retry_policy(&self) -> RetryPolicy<PipelineError> {
        RetryPolicy::new(|error: &PipelineError| error.kind.policy() == Policy::Retry)
            .with_backoff(self.backoff)
    }
}
