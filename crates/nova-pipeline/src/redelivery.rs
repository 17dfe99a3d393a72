//! A message that was put aside, taken up again: today's mapping, the same sink, the same questions to the table.
//!
//! Invariant: whatever was tried before, and however often, the table ends with the message's rows once. Its doubts are
//! resolved as those of a batch that may be there already, the table is asked before anything is sent, and a repeat that
//! is still on its way excludes ours by the token: one for each message, and never that of a batch.

use nova_streams::{Mapping, SkipReason};
use uuid::Uuid;

use crate::batch::Batch;
use crate::deliver::Delivery;
use crate::once::{Nowhere, Once};
use crate::trace::BatchTrace;
use crate::{Block, DeadLetter, PipelineError, Position, Ranges, Sink, transform};

/// What a message becomes today.
#[derive(Debug)]
pub enum Formed<B> {
    /// Rows.
    Rows {
        /// The rows, encoded; their doubts are not resolved.
        block: B,
        /// The identity of the change that the message tells.
        event_id: Option<Uuid>,
    },
    /// No rows, for a reason that is none to put it aside.
    Skipped(SkipReason),
    /// It still cannot become rows.
    Refused(PipelineError),
}

/// What the table lacks of a message.
#[derive(Debug)]
pub struct Lacking<B> {
    /// The rows that it lacks.
    pub block: B,
    /// Rows of the message that it has.
    pub there: usize,
    /// Why there are no rows of it at all: another message has told the same.
    pub known: Option<SkipReason>,
}

/// Puts messages of one stream into its table, one by one.
pub struct Redelivery<K> {
    mapping: Mapping,
    delivery: Delivery<K, Nowhere>,
}

impl<K: Sink> Redelivery<K> {
    /// For messages of `topic`.
    pub fn new(topic: &str, mapping: Mapping, sink: K) -> Self {
        let Once { delivery } = Once::new(mapping.stream(), topic, sink);
        Self { mapping, delivery }
    }

    /// Decodes, maps and encodes the message; nothing is asked and nothing is sent.
    pub fn form(&self, message: &DeadLetter) -> Formed<K::Block> {
        let mut batch = Batch::new(self.delivery.sink.block());
        batch.trace = BatchTrace::off();
        let topic = &self.delivery.topic;
        if let Err(error) =
            transform::take(&self.mapping, topic, message, &mut Position::default(), &mut batch)
        {
            return Formed::Refused(error);
        }
        if let Some(DeadLetter { kind, reason, path, .. }) = batch.letters.pop() {
            return Formed::Refused(PipelineError::new(kind, reason).at(path));
        }
        match batch.skipped.keys().next() {
            Some(reason) => Formed::Skipped(*reason),
            None => Formed::Rows {
                block: batch.block,
                event_id: transform::event_id(self.mapping.format(), message),
            },
        }
    }

    /// Asks the table what it lacks of the rows that [`Redelivery::form`] made of the message.
    ///
    /// # Errors
    /// By kind, those of [`Sink`].
    pub async fn lacking(
        &self,
        message: &DeadLetter,
        block: &K::Block,
    ) -> Result<Lacking<K::Block>, PipelineError> {
        let (delivery, ranges) = (&self.delivery, ranges(message));
        let resolve = || delivery.sink.resolve(&delivery.topic, &ranges, block, true);
        let resolved = delivery.retried("doubts", resolve).await?;
        let known = match (resolved.repeated, resolved.known) {
            (0, 0) => None,
            (0, _) => Some(SkipReason::AlreadyThere),
            _ => Some(SkipReason::Repeated),
        };
        let block = delivery.retried("lineage", || delivery.missing(&resolved.block, &ranges)).await?;
        Ok(Lacking { there: resolved.block.rows().saturating_sub(block.rows()), block, known })
    }

    /// Makes the rows durable that the table still lacks, and answers how many of the message it has then. It is asked anew:
    /// since [`Redelivery::lacking`] the stream may have told the same change.
    ///
    /// # Errors
    /// By kind, those of [`Sink`]; nothing or all of it is in the table, and the call can be repeated.
    pub async fn insert(&self, message: &DeadLetter, block: &K::Block) -> Result<usize, PipelineError> {
        let Lacking { block, there, .. } = self.lacking(message, block).await?;
        let ranges = ranges(message);
        let token = format!("letter-{}", ranges.token(&self.delivery.topic, self.delivery.sink.table()));
        self.delivery.complete(&block, &ranges, &token).await?;
        Ok(there + block.rows())
    }
}

fn ranges(message: &DeadLetter) -> Ranges {
    [(message.partition, message.offset..message.offset.saturating_add(1))].into_iter().collect()
}
