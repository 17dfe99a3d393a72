//! Makes one batch durable, once: dead letters acknowledged, then the rows in the table.
//!
//! Invariant: lineage first, then token. The first attempt of an insert carries the batch's token. After any answer
//! but "done", and for every batch that a former owner left open, the table is asked which of the batch's rows it
//! has, and only the missing ones are sent: first under the same token (a late insert of a former owner and ours
//! then exclude each other), and when the server says "known" and yet lacks the rows, under one derived from it.
//! Why in this order: `docs/exactly-once.md`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nova_worker::{RetryPolicy, StatusCell, WorkerStatus};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::batch::Batch;
use crate::metrics::StreamMetrics;
use crate::{Block, DeadLetters, ErrorKind, PipelineError, Policy, Ranges, Sink};

/// How often rows may be missing after an insert that was answered with success, before somebody must look.
const ROUNDS: u32 = 4;

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
    /// Makes a batch durable that nobody has tried to insert before.
    pub(crate) async fn write(&self, batch: &Batch<K::Block>) -> Result<(), PipelineError> {
        let started = Instant::now();
        self.write_letters(batch).await?;
        if batch.block.rows() > 0 {
            let token = self.token(&batch.ranges);
            match self.sink.insert(&batch.block, &token).await {
                Ok(()) => {}
                Err(error) if error.kind.policy() == Policy::Retry => {
                    self.metrics.error(error.kind);
                    warn!(stream = self.stream, kind = %error.kind, "insert: {error}; asking the table what it has");
                    #[cfg(feature = "mutants")]
                    if crate::mutants::Mutant::LineageNotAsked.is_chosen() {
                        return self.retried("insert", || self.sink.insert(&batch.block, &token)).await;
                    }
                    self.complete(&batch.block, &batch.ranges).await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.metrics.durable(batch, started.elapsed());
        Ok(())
    }

    /// Makes a batch durable that may have been inserted before, wholly or in part.
    pub(crate) async fn settle(&self, batch: &Batch<K::Block>, ranges: &Ranges) -> Result<(), PipelineError> {
        self.write_letters(batch).await?;
        self.complete(&batch.block, ranges).await
    }

    fn token(&self, ranges: &Ranges) -> String {
        #[cfg(feature = "mutants")]
        if let Some(token) = crate::mutants::random_token() {
            return token;
        }
        ranges.token(&self.topic, self.sink.table())
    }

    /// Sends what the table lacks of the block, until it lacks nothing.
    async fn complete(&self, block: &K::Block, ranges: &Ranges) -> Result<(), PipelineError> {
        let token = self.token(ranges);
        for round in 0..ROUNDS {
            let token = if round == 0 { token.clone() } else { format!("{token}-{round}") };
            // Question and insert are one attempt: after a failure of either, the table is asked again.
            let complete = self
                .retried("insert", || async {
                    let missing = self.missing(block, ranges).await?;
                    if missing.rows() == 0 {
                        return Ok(true);
                    }
                    self.sink.insert(&missing, &token).await.map(|()| false)
                })
                .await?;
            if complete {
                return Ok(());
            }
        }
        let missing = self.retried("lineage", || self.missing(block, ranges)).await?.rows();
        if missing == 0 {
            return Ok(());
        }
        let message = format!(
            "`{}` lacks {missing} rows of a batch of {} after {ROUNDS} inserts that were all answered with success",
            self.sink.table(),
            self.topic
        );
        Err(PipelineError::new(ErrorKind::Unknown, message))
    }

    async fn missing(&self, block: &K::Block, ranges: &Ranges) -> Result<K::Block, PipelineError> {
        let present = self.sink.present(&self.topic, ranges).await?;
        let found = present.len();
        let present: BTreeSet<_> = present.into_iter().collect();
        if present.len() != found {
            let doubled = found - present.len();
            error!(stream = self.stream, table = self.sink.table(), doubled, "the table has rows twice");
        }
        Ok(block.without(&present))
    }

    async fn write_letters(&self, batch: &Batch<K::Block>) -> Result<(), PipelineError> {
        let Some(first) = batch.letters.first() else { return Ok(()) };
        let Some(dead_letters) = &self.dead_letters else {
            let place = format!("{}[{}]@{}", first.topic, first.partition, first.offset);
            let message = format!("{place}: {}; there is no dead-letter topic to put it aside", first.reason);
            return Err(PipelineError::new(ErrorKind::Unsupported, message).at(first.path.clone()));
        };
        #[cfg(feature = "mutants")]
        if crate::mutants::only_enqueued(dead_letters, &batch.letters).await {
            return Ok(());
        }
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
