//! Messages through the pipeline's own decode and mapping, for those who compare and write nothing.
//!
//! Invariant: there is one way from bytes to rows. What a message becomes here is what [`transform::take`] makes of it
//! in a worker, before the table is asked about doubts.

use nova_streams::{Mapping, SkipReason};

use crate::batch::Batch;
use crate::trace::BatchTrace;
use crate::{Block, PipelineError, Position, SourceMessage, transform};

/// What a message becomes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// Rows; they are in the block. A change stands as new or doubtful there by chance: nothing is known of the source's
    /// position. What a snapshot read stands as that.
    Rows,
    /// No rows, for a reason.
    Skipped(SkipReason),
    /// A dead letter, for this reason.
    Letter(String),
}

/// Messages of one topic, read in order, and their rows.
#[derive(Debug)]
pub struct Reading<'m, B> {
    mapping: &'m Mapping,
    topic: String,
    batch: Batch<B>,
}

impl<'m, B: Block> Reading<'m, B> {
    /// Nothing read yet; rows go into `block`.
    pub fn new(mapping: &'m Mapping, topic: impl Into<String>, block: B) -> Self {
        let mut batch = Batch::new(block);
        batch.trace = BatchTrace::off();
        Self { mapping, topic: topic.into(), batch }
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// What a worker would halt at; the block then holds nothing of the message, and reading can go on.
    pub fn take(&mut self, message: &dyn SourceMessage) -> Result<Became, PipelineError> {
        transform::take(self.mapping, &self.topic, message, &mut Position::default(), &mut self.batch)?;
        if let Some(letter) = self.batch.letters.pop() {
            return Ok(Became::Letter(letter.reason));
        }
        Ok(self.batch.skipped.pop_first().map_or(Became::Rows, |(reason, _)| Became::Skipped(reason)))
    }

    /// Encoded bytes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.batch.block.bytes()
    }

    /// The rows of all messages taken.
    #[must_use]
    pub fn into_block(self) -> B {
        self.batch.block
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeBlock, FakeMessage, like, mapping, message, source};
    use crate::{ErrorKind, SourceEvent};

    fn insert(offset: i64) -> FakeMessage {
        let SourceEvent::Message(message) = like(0, offset) else { panic!("no message") };
        message
    }

    #[test]
    fn each_message_becomes_one_thing_and_what_halts_leaves_nothing_behind() {
        let mapping = mapping();
        let mut reading = Reading::new(&mapping, "cdc.likes", FakeBlock::default());
        assert_eq!(reading.take(&insert(0)).unwrap(), Became::Rows);
        let tombstone = FakeMessage { value: None, ..insert(1) };
        assert_eq!(reading.take(&tombstone).unwrap(), Became::Skipped(SkipReason::Tombstone));
        let poison = FakeMessage { value: Some(b"{".to_vec()), ..insert(2) };
        let became = reading.take(&poison).unwrap();
        assert!(matches!(&became, Became::Letter(reason) if reason.len() > 5), "{became:?}");
        let truncate = message(0, 3, "l", r#""op":"t""#, &source(Some("50"), 55, 7, "false"));
        assert_eq!(reading.take(&truncate).unwrap_err().kind, ErrorKind::Unsupported);
        assert_eq!(reading.take(&insert(4)).unwrap(), Became::Rows);
        let offsets: Vec<i64> = reading.into_block().0.iter().map(|row| row.id.offset).collect();
        assert_eq!(offsets, [0, 4]);
    }
}
