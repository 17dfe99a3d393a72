//! A range of a topic, taken up again chunk by chunk: what the table lacks of it is written, and nothing else.
//!
//! Invariant: the table ends with the range's rows once, whatever was there, whoever died on the way, and however often it is
//! repeated. Messages take the way of any other; doubts are resolved as those of a batch that may be there already; lineage is
//! asked before anything is sent, and the token of a chunk is a function of the job and the chunk's ranges. Beyond that, a
//! replay leaves alone what later messages made good ([`Replayable`]): it comes after them, as a worker never does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use nova_streams::{Mapping, SkipReason};
use nova_worker::{CancellationToken, StatusCell};
use uuid::Uuid;

use crate::batch::Batch;
use crate::breaker::{Breaker, Tally};
use crate::deliver::Delivery;
use crate::metrics::StreamMetrics;
use crate::trace::BatchTrace;
use crate::{
    Block, DeadLetter, DeadLetters, ErrorKind, PipelineError, PipelineOptions, PoisonLimits, Position,
    Ranges, Resolved, RowId, Sink, SourceMessage, transform,
};

/// What is asked of a table for messages that are older than others that it has.
pub trait Replayable: Sink {
    /// Rows of the block that a snapshot read, and whose key is in order: its rows add up to one state, once; or to none, with
    /// rows of other partitions among them. What came after the snapshot counts in this, and of other partitions (a repair's,
    /// or since there are more of them) nobody knows whether it did.
    ///
    /// # Errors
    /// By kind, as for an insert.
    fn settled(
        &self,
        topic: &str,
        block: &Self::Block,
    ) -> impl Future<Output = Result<BTreeSet<RowId>, PipelineError>> + Send;

    /// Rows of messages of the block that would leave their key in more states than one, or in one twice: a snapshot or a
    /// repair has made good what they tell, or messages between are missing still. All rows of a key are judged together.
    ///
    /// # Errors
    /// By kind, as for an insert.
    fn surplus(
        &self,
        topic: &str,
        block: &Self::Block,
    ) -> impl Future<Output = Result<BTreeSet<RowId>, PipelineError>> + Send;
}

/// What a replay works with.
pub struct ReplayParts<K, L> {
    /// The topic.
    pub topic: String,
    /// The stream, compiled against the table.
    pub mapping: Mapping,
    /// The table.
    pub sink: K,
    /// Where messages go that cannot become rows and lie nowhere yet; `None`: they are only told.
    pub dead_letters: Option<L>,
    /// How many of them stop it.
    pub poison: PoisonLimits,
    /// Names the job in the tokens of its inserts; the same when it goes on.
    pub job: Uuid,
    /// Says what is waited for.
    pub status: Arc<StatusCell>,
    /// Ends waiting.
    pub shutdown: CancellationToken,
}

/// Offsets of one partition with what their messages are today.
#[derive(Debug)]
pub struct Chunk<B> {
    batch: Batch<B>,
    partition: i32,
    offsets: Range<i64>,
    letters: u64,
}

/// What became of a chunk.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Rows that the table lacked.
    pub written: u64,
    /// Rows of these offsets that it had.
    pub already_there: u64,
    /// Messages that make no rows, by reason.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// Messages that were left to their dead letters.
    pub letters: u64,
    /// Messages that cannot become rows today, of which the table has none and that lay nowhere yet.
    pub refused: Vec<DeadLetter>,
    /// Messages that were left out since their rows would be too many ([`Replayable::surplus`]).
    pub left_out: u64,
}

/// Replays ranges of one topic into one table.
pub struct Replay<K, L> {
    mapping: Mapping,
    delivery: Delivery<K, L>,
    breaker: Mutex<Breaker>,
    limits: PoisonLimits,
    job: Uuid,
}

impl<B: Block> Chunk<B> {
    /// Takes note of a message that is left to its dead letter.
    pub fn leave_to_letter(&mut self, message: &dyn SourceMessage) {
        self.batch.add(message.partition(), message.offset());
        self.letters += 1;
    }

    /// Says where it ends: no message before `end` is missing.
    pub fn ends(&mut self, end: i64) {
        self.offsets.end = end;
    }

    /// The offsets that it covers.
    #[must_use]
    pub fn offsets(&self) -> Range<i64> {
        self.offsets.clone()
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batch.block.rows()
    }

    /// Encoded bytes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.batch.block.bytes()
    }

    fn ranges(&self) -> Ranges {
        [(self.partition, self.offsets())].into_iter().collect()
    }
}

impl<K: Replayable, L: DeadLetters> Replay<K, L> {
    /// For the messages of a stream.
    pub fn new(parts: ReplayParts<K, L>) -> Self {
        let ReplayParts { topic, mapping, sink, dead_letters, poison, job, status, shutdown } = parts;
        let delivery = Delivery {
            stream: mapping.stream().to_owned(),
            topic,
            // A replay is no member of a group.
            group: String::new(),
            sink,
            dead_letters,
            retry: PipelineOptions::default().retry_policy(),
            status,
            metrics: Arc::new(StreamMetrics::new(mapping.stream())),
            shutdown,
        };
        Self { mapping, delivery, breaker: Mutex::new(Breaker::new(poison)), limits: poison, job }
    }

    /// An empty chunk that begins here.
    pub fn chunk(&self, partition: i32, start: i64) -> Chunk<K::Block> {
        let mut batch = Batch::new(self.delivery.sink.block());
        batch.trace = BatchTrace::off();
        Chunk { batch, partition, offsets: start..start, letters: 0 }
    }

    /// Decodes, maps and encodes the next message of the chunk.
    ///
    /// # Errors
    /// What a worker would halt at.
    pub fn take(
        &self,
        chunk: &mut Chunk<K::Block>,
        message: &dyn SourceMessage,
    ) -> Result<(), PipelineError> {
        let topic = &self.delivery.topic;
        transform::take(&self.mapping, topic, message, &mut Position::default(), &mut chunk.batch)
    }

    /// Does what may have to wait for a server, with the pipeline's own patience.
    ///
    /// # Errors
    /// What is not cured by waiting, and anything once the job is to stop.
    pub async fn patiently<T, F>(&self, what: &str, op: impl FnMut() -> F) -> Result<T, PipelineError>
    where
        F: Future<Output = Result<T, PipelineError>>,
    {
        self.delivery.retried(what, op).await
    }

    /// Makes durable what the table lacks of the chunk; a chunk of changes that is wholly there costs one question.
    ///
    /// # Errors
    /// `Poisoned` where more messages than the limits allow cannot become rows: nothing of the chunk is written then. By
    /// kind, what servers answer that no waiting cures. The chunk can be formed and written again.
    pub async fn write(&self, chunk: Chunk<K::Block>) -> Result<Replayed, PipelineError> {
        let (topic, ranges) = (&self.delivery.topic, chunk.ranges());
        let Chunk { mut batch, letters, .. } = chunk;
        let present = self.patiently("lineage", || self.delivery.sink.present(topic, &ranges)).await?;
        let present: BTreeSet<RowId> = present.into_iter().collect();
        batch.letters.retain(|letter| !has_rows(&present, letter));
        self.put_aside(&batch).await?;
        let mut replayed = Replayed {
            already_there: count(present.len()),
            letters,
            refused: std::mem::take(&mut batch.letters),
            ..Replayed::default()
        };
        self.write_rows(&mut batch, &ranges, &present, &mut replayed).await?;
        replayed.skipped = batch.skipped;
        Ok(replayed)
    }

    async fn write_rows(
        &self,
        batch: &mut Batch<K::Block>,
        ranges: &Ranges,
        present: &BTreeSet<RowId>,
        replayed: &mut Replayed,
    ) -> Result<(), PipelineError> {
        let Delivery { sink, topic, .. } = &self.delivery;
        let settled = match batch.block.has_doubts() {
            true => self.patiently("states", || sink.settled(topic, &batch.block)).await?,
            false => BTreeSet::new(),
        };
        batch.skip_some(SkipReason::AlreadyThere, messages(settled.difference(present)));
        let block = batch.block.without(&settled);
        // What is left of a state may be there in part without its first row being missing.
        if block.without(present).rows() == 0 && !block.has_doubts() {
            return Ok(());
        }
        let resolved = self.patiently("doubts", || sink.resolve(topic, ranges, &block, true)).await;
        let Resolved { block, repeated, known } = resolved.map_err(|error| error.in_batch(topic, ranges))?;
        batch.skip_some(SkipReason::Repeated, repeated);
        batch.skip_some(SkipReason::AlreadyThere, known);
        let lacking = block.without(present);
        if lacking.rows() == 0 {
            return Ok(());
        }
        let surplus = self.patiently("surplus", || sink.surplus(topic, &lacking)).await?;
        let lacking = lacking.without(&surplus);
        replayed.left_out = messages(surplus.iter());
        if lacking.rows() > 0 {
            let token = format!("replay-{}-{}", self.job.simple(), ranges.token(topic, sink.table()));
            self.delivery.complete(&lacking, ranges, &token).await?;
        }
        replayed.written = count(lacking.rows());
        Ok(())
    }

    /// Writes the letters of the batch, if that is not more poison than the limits allow.
    async fn put_aside(&self, batch: &Batch<K::Block>) -> Result<(), PipelineError> {
        let tripped = self.breaker.lock().unwrap_or_else(PoisonError::into_inner).trips(batch.tally());
        if let Some(Tally { messages, letters }) = tripped {
            let first = batch.letters.first().map_or_else(String::new, |letter| {
                format!("{}[{}]@{}: {}", letter.topic, letter.partition, letter.offset, letter.reason)
            });
            let PoisonLimits { count, share, .. } = self.limits;
            let message = format!(
                "{letters} of the last {messages} messages cannot become rows any more, and the table has none of them, \
                 beginning with {first}. That is more than `pipeline.dead_letter_limit` ({count}) or \
                 `pipeline.dead_letter_share` ({share}) allow; nothing of this chunk was written or put aside"
            );
            return Err(PipelineError::new(ErrorKind::Poisoned, message));
        }
        if self.delivery.dead_letters.is_some() {
            self.delivery.write_letters(batch).await?;
        }
        Ok(())
    }
}

/// Whether the table has a row of the letter's message, of a time when it could become one.
fn has_rows(present: &BTreeSet<RowId>, letter: &DeadLetter) -> bool {
    let DeadLetter { partition, offset, .. } = *letter;
    let first = RowId { partition, offset, ordinal: 0, event_id: Uuid::nil() };
    present.range(first..).next().is_some_and(|row| (row.partition, row.offset) == (partition, offset))
}

/// How many messages these rows are of.
fn messages<'r>(rows: impl Iterator<Item = &'r RowId>) -> u64 {
    count(rows.map(|row| (row.partition, row.offset)).collect::<BTreeSet<_>>().len())
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
