//! What the source says is taken in: messages into the batch, in bursts, and the group's questions.
//!
//! Invariant: between two looks at shutdown, at the clock and at the batch being written lie at most [`BURST`] messages,
//! and none is taken beyond a full batch.

use tracing::debug;

use crate::run::Run;
use crate::{DeadLetters, PipelineError, Sink, Source, SourceEvent, SourceMessage, transform};

/// Messages taken in one go, when they are there already: about half a millisecond of decoding and mapping. A turn of
/// the loop costs a good part of a message's own work, so it is not taken for every one.
pub(crate) const BURST: usize = 512;

impl<S: Source, K: Sink, L: DeadLetters> Run<S, K, L> {
    /// Takes in what the source says, and behind a message what else is there.
    pub(crate) async fn take_in<'s>(
        &mut self,
        source: &'s S,
        mut event: SourceEvent<S::Message<'s>>,
    ) -> Result<(), PipelineError> {
        let mut taken = 0;
        loop {
            match event {
                SourceEvent::Message(message) => self.take(source, &message)?,
                SourceEvent::EndOfPartition(partition) => debug!(partition, "read to the end"),
                SourceEvent::Assigned(partitions) => return self.assigned(&partitions).await,
                SourceEvent::Revoked(partitions) => return self.revoked(&partitions).await,
                SourceEvent::Lost(partitions) => return self.lost(&partitions).await,
            }
            taken += 1;
            // Before the next is asked for: what the source has told is told once.
            if taken == BURST || !self.has_room() {
                return Ok(());
            }
            let Some(next) = source.ready() else { return Ok(()) };
            event = next?;
        }
    }

    fn take(&mut self, source: &S, message: &S::Message<'_>) -> Result<(), PipelineError> {
        let position = self.positions.entry(message.partition()).or_default();
        transform::take(&self.mapping, source.topic(), message, position, &mut self.batch)
    }
}
