//! Makes one batch durable, once: dead letters acknowledged, then the rows in the table.
//!
//! Invariant: lineage first, then token. The first attempt of an insert carries the batch's token. After any answer
//! but "done", and for every batch that a former owner left open, the table is asked which of the batch's rows it
//! has, and only the missing ones are sent: first under the same token (a late insert of a former owner and ours
//! then exclude each other), and when the server says "known" and yet lacks the rows, under one derived from it.
//! Before any of that, doubts about what the rows are get resolved, once. Why in this order: `docs/exactly-once.md`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nova_streams::SkipReason;
use nova_worker::{RetryPolicy, StatusCell, WorkerStatus};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::batch::Batch;
use crate::ledger::is_closed;
use crate::metrics::{Doubt, Sent, StreamMetrics};
use crate::trace::{self, traced};
use crate::without_ledger;
use crate::{
    Block, DeadLetters, ErrorKind, OffsetCommit, PipelineError, Policy, Ranges, Resolved, Sink, Source,
    StartAt,
};

/// How often rows may be missing after an insert that was answered with success, before somebody must look.
const ROUNDS: u32 = 4;

/// What writing a batch needs, shared by all batches of a run.
pub(crate) struct Delivery<K, L> {
    pub(crate) stream: String,
    pub(crate) group: String,
    pub(crate) topic: String,
    pub(crate) sink: K,
    pub(crate) dead_letters: Option<L>,
    pub(crate) retry: RetryPolicy<PipelineError>,
    pub(crate) status: Arc<StatusCell>,
    pub(crate) metrics: Arc<StreamMetrics>,
    pub(crate) shutdown: CancellationToken,
}

impl<K: Sink, L: DeadLetters> Delivery<K, L> {
    /// Resolves the doubts of a batch that stands announced; `all`: whatever its messages seem. `None` where others have
    /// made it durable and moved on: the table then has rows of later messages, and its answer is not to be believed.
    pub(crate) async fn resolve(
        &self,
        source: &impl Source,
        mut batch: Batch<K::Block>,
        ranges: &Ranges,
        all: bool,
    ) -> Result<Option<Batch<K::Block>>, PipelineError> {
        if batch.block.rows() == 0 || !(all || batch.block.has_doubts()) {
            return Ok(Some(batch));
        }
        let question = || trace::question(self.sink.table());
        let resolve = || traced(question(), self.sink.resolve(&self.topic, ranges, &batch.block, all));
        let resolved = self.retried("doubts", resolve).await;
        let Resolved { block, repeated, known } =
            resolved.map_err(|error| error.in_batch(&self.topic, ranges))?;
        let committed = self.retried("committed offsets", || source.committed()).await?;
        let closed = is_closed(ranges, &committed).map_err(|error| {
            let message = format!("group `{}`, what stands beside an offset: {error}", self.group);
            PipelineError::new(ErrorKind::Misconfigured, message).in_batch(&self.topic, ranges)
        })?;
        if closed {
            return Ok(None);
        }
        let stream = &self.stream;
        debug!(stream, ?ranges, all, rows = batch.block.rows(), left = block.rows(), "doubts are resolved");
        if batch.block.has_doubts() {
            self.metrics.settled(Doubt::Source);
        }
        if repeated + known > 0 {
            info!(
                stream,
                ?ranges,
                repeated,
                already_there = known,
                "changes that the table has are left out"
            );
        }
        batch.skip_some(SkipReason::Repeated, repeated);
        batch.skip_some(SkipReason::AlreadyThere, known);
        batch.block = block;
        Ok(Some(batch))
    }

    /// Commits, provided that the group still stands where this worker left it.
    ///
    /// The broker forgets a group's offsets with a deleted topic, and takes commits for one that was made again under
    /// the same name. The client reads on in it at the old offset; what lies before would be passed over.
    pub(crate) async fn commit(
        &self,
        source: &impl Source,
        stands: &[StartAt],
        commits: &[OffsetCommit],
    ) -> Result<(), PipelineError> {
        if without_ledger::is_chosen() {
            return Ok(());
        }
        let committed = self.retried("committed offsets", || source.committed()).await?;
        for StartAt { partition, offset } in stands {
            let at = committed.iter().find(|at| at.partition == *partition).and_then(|at| at.offset);
            if at != Some(*offset) {
                let found = at.map_or("no offset any more".to_owned(), |at| format!("offset {at}"));
                let message = format!(
                    "{}[{partition}]: this worker left the group at {offset}, and it has {found}: taken over by \
                     another, set by hand, or the topic was deleted; starting again from what is there",
                    self.topic
                );
                return Err(PipelineError::new(ErrorKind::Fenced, message));
            }
        }
        self.retried("commit of offsets", || source.commit(commits)).await
    }

    /// Makes a batch durable that this worker announced. `asking`: the table may have rows of it, so it is asked first.
    pub(crate) async fn write(&self, batch: &Batch<K::Block>, asking: bool) -> Result<(), PipelineError> {
        let started = Instant::now();
        self.write_letters(batch).await?;
        let sent = match batch.block.rows() {
            0 => Sent::default(),
            _ if asking => self.complete_batch(&batch.block, &batch.ranges, Doubt::Reread).await?,
            _ => self.insert(batch).await?,
        };
        self.metrics.durable(batch, sent, started.elapsed());
        Ok(())
    }

    /// Makes a batch durable that may have been inserted before, wholly or in part.
    pub(crate) async fn settle(&self, batch: &Batch<K::Block>, ranges: &Ranges) -> Result<(), PipelineError> {
        self.write_letters(batch).await?;
        self.complete_batch(&batch.block, ranges, Doubt::Takeover).await.map(|_| ())
    }

    /// Inserts a batch that nobody has tried to insert before.
    async fn insert(&self, batch: &Batch<K::Block>) -> Result<Sent, PipelineError> {
        let token = self.token(&batch.ranges);
        match self.insert_block(&batch.block, &token).await {
            Ok(()) => Ok(Sent::all(&batch.block)),
            Err(error) if error.kind.policy() == Policy::Retry => {
                self.metrics.retry("insert", error.kind);
                warn!(stream = self.stream, kind = %error.kind, "insert: {error}; asking the table what it has");
                #[cfg(feature = "mutants")]
                if crate::mutants::Mutant::LineageNotAsked.is_chosen() {
                    let again = self.retried("insert", || self.insert_block(&batch.block, &token)).await;
                    return again.map(|()| Sent::all(&batch.block));
                }
                self.complete_batch(&batch.block, &batch.ranges, Doubt::Answer).await?;
                Ok(Sent::all(&batch.block))
            }
            Err(error) => Err(error.in_batch(&self.topic, &batch.ranges)),
        }
    }

    async fn insert_block(&self, block: &K::Block, token: &str) -> Result<(), PipelineError> {
        let span = trace::insert(self.sink.table(), block, token);
        let began = Instant::now();
        traced(span, self.sink.insert(block, token)).await?;
        self.metrics.insert_seconds.record(began.elapsed());
        Ok(())
    }

    fn token(&self, ranges: &Ranges) -> String {
        #[cfg(feature = "mutants")]
        if let Some(token) = crate::mutants::random_token() {
            return token;
        }
        ranges.token(&self.topic, self.sink.table())
    }

    async fn complete_batch(
        &self,
        block: &K::Block,
        ranges: &Ranges,
        doubt: Doubt,
    ) -> Result<Sent, PipelineError> {
        let sent = self.complete(block, ranges, &self.token(ranges)).await?;
        self.metrics.settled(doubt);
        Ok(sent)
    }

    /// Sends what the table lacks of the block, until it lacks nothing; `token` names the block.
    pub(crate) async fn complete(
        &self,
        block: &K::Block,
        ranges: &Ranges,
        token: &str,
    ) -> Result<Sent, PipelineError> {
        let mut lacked = None;
        for round in 0..ROUNDS {
            let token = if round == 0 { token.to_owned() } else { format!("{token}-{round}") };
            // Question and insert are one attempt: after a failure of either, the table is asked again.
            let sent = self
                .retried("insert", || async {
                    let missing = self.missing(block, ranges).await?;
                    if missing.rows() > 0 {
                        self.insert_block(&missing, &token).await?;
                    }
                    Ok(Sent::all(&missing))
                })
                .await
                .map_err(|error| error.in_batch(&self.topic, ranges))?;
            let lacked = *lacked.get_or_insert(sent);
            if sent.rows == 0 {
                return Ok(lacked);
            }
        }
        let missing = self.retried("lineage", || self.missing(block, ranges)).await?.rows();
        if missing == 0 {
            return Ok(lacked.unwrap_or_default());
        }
        let message = format!(
            "`{}` lacks {missing} rows of this batch after {ROUNDS} inserts that were all answered with success",
            self.sink.table()
        );
        Err(PipelineError::new(ErrorKind::Unknown, message).in_batch(&self.topic, ranges))
    }

    /// What the table lacks of the block.
    pub(crate) async fn missing(&self, block: &K::Block, ranges: &Ranges) -> Result<K::Block, PipelineError> {
        let question = trace::question(self.sink.table());
        let present = traced(question, self.sink.present(&self.topic, ranges)).await?;
        let found = present.len();
        let present: BTreeSet<_> = present.into_iter().collect();
        if present.len() != found {
            let doubled = found - present.len();
            error!(stream = self.stream, table = self.sink.table(), doubled, "the table has rows twice");
        }
        Ok(block.without(&present))
    }

    pub(crate) async fn write_letters(&self, batch: &Batch<K::Block>) -> Result<(), PipelineError> {
        let Some(first) = batch.letters.first() else { return Ok(()) };
        let Some(dead_letters) = &self.dead_letters else {
            let place = format!("{}[{}]@{}", first.topic, first.partition, first.offset);
            let message = format!(
                "{place}: {}; there is no topic to put it aside: name one by `kafka.dead_letter_topic`",
                first.reason
            );
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
            self.metrics.retry(what, error.kind);
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
