//! Makes one batch durable: dead letters acknowledged, rows inserted, each retried by its error's kind.
//!
//! Invariant: returns `Ok` only when everything of the batch is durable; what is sent again is the same bytes under
//! the same token.

use std::sync::Arc;
use std::time::Duration;

use nova_worker::{RetryPolicy, StatusCell, WorkerStatus};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::batch::Batch;
use crate::metrics::StreamMetrics;
use crate::{Block, DeadLetters, ErrorKind, PipelineError, Sink};

/// What writing a batch needs, shared by all batches of a run.
pub(crate) struct Delivery<K, L> {
    pub(crate) stream: String,
    pub(crate) topic: String,
    pub(crate) sink: K,
    pub(crate) dead_letters: Option<L>,
    pub(crate) retry: RetryPolicy<PipelineError>,
    pub(crate) status: Arc<StatusCell>,
    pub(crate) metrics: Arc<StreamMetrics>,
    pub(crate) shutdown: CancellationToken,
}

impl<K: Sink, L: DeadLetters> Delivery<K, L> {
    /// Makes the batch durable and gives it back, so that its offsets can be committed.
    pub(crate) async fn write(
        self: Arc<Self>,
        batch: Batch<K::Block>,
    ) -> Result<Batch<K::Block>, PipelineError> {
        let started = Instant::now();
        self.write_letters(&batch).await?;
        if batch.block.rows() > 0 {
            let token = batch.ranges.token(&self.topic, self.sink.table());
            self.retried("insert", || self.sink.insert(&batch.block, &token)).await?;
        }
        self.metrics.durable(&batch, started.elapsed());
        Ok(batch)
    }

    async fn write_letters(&self, batch: &Batch<K::Block>) -> Result<(), PipelineError> {
        let Some(first) = batch.letters.first() else { return Ok(()) };
        let Some(dead_letters) = &self.dead_letters else {
            let place = format!("{}[{}]@{}", first.topic, first.partition, first.offset);
            let message = format!("{place}: {}; there is no dead-letter topic to put it aside", first.reason);
            return Err(PipelineError::new(ErrorKind::Unsupported, message).at(first.path.clone()));
        };
        self.retried("dead letters", || dead_letters.write(&batch.letters)).await?;
        for letter in &batch.letters {
            warn!(
                stream = self.stream, topic = letter.topic, partition = letter.partition, offset = letter.offset,
                kind = %letter.kind, path = letter.path, reason = letter.reason, "dead letter"
            );
        }
        Ok(())
    }

    /// Runs `op` by the retry policy; the worker is degraded, and says why, between the attempts.
    pub(crate) async fn retried<T, F>(&self, what: &str, op: impl FnMut() -> F) -> Result<T, PipelineError>
    where
        F: Future<Output = Result<T, PipelineError>>,
    {
        let mut held_up = false;
        let notify = |error: &PipelineError, attempts: u32, pause: Duration| {
            held_up = true;
            self.metrics.error(error.kind);
            self.status.set(WorkerStatus::Degraded { reason: format!("{what}: {error}") });
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            warn!(stream = self.stream, kind = %error.kind, attempts, pause_ms, "{what}: {error}");
        };
        let result = self.retry.run(op, notify, &self.shutdown).await.map_err(|failed| failed.error);
        if held_up && result.is_ok() {
            self.status.set(WorkerStatus::Running);
            warn!(stream = self.stream, "{what}: works again");
        }
        result
    }
}
