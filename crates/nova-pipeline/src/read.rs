//! What the source says is taken in: messages into the batch, in bursts, and the group's questions.
//!
//! Invariant: between two looks at shutdown, at the clock and at the batch being written lie at most [`BURST`] messages and
//! [`BURST_BYTES`]; none is read beyond a full batch, and a question is answered when all messages before it are in the batch.

use tracing::debug;

use crate::ahead::{BURST_BYTES, Burst};
use crate::batch::Room;
use crate::copies::Copies;
use crate::run::Run;
use crate::{DeadLetters, PipelineError, Sink, Source, SourceEvent, SourceMessage, transform};

/// Messages taken in one go, when they are there already: about half a millisecond of decoding and mapping. A turn of
/// the loop costs a good part of a message's own work, so it is not taken for every one.
pub(crate) const BURST: usize = 512;

/// Fewer messages than this are taken in before another thread would have begun.
const FEW: usize = 64;

/// What [`Source::ready`] answers.
type Ready<M> = Option<Result<SourceEvent<M>, PipelineError>>;

impl<S: Source, K: Sink, L: DeadLetters> Run<S, K, L> {
    /// Takes in what the source says, and behind a message what else is there.
    pub(crate) async fn take_in<'s>(
        &mut self,
        source: &'s S,
        first: SourceEvent<S::Message<'s>>,
    ) -> Result<(), PipelineError> {
        let mut burst = self.ahead.burst(&self.batch.block);
        let next = gather(source, first, self.room(), &mut burst.messages);
        self.take(burst)?;
        let Some(question) = next.transpose()? else { return Ok(()) };
        self.finish_ahead().await?;
        match question {
            SourceEvent::Message(_) | SourceEvent::EndOfPartition(_) => Ok(()),
            SourceEvent::Assigned(partitions) => self.assigned(&partitions).await,
            SourceEvent::Revoked(partitions) => self.revoked(&partitions).await,
            SourceEvent::Lost(partitions) => self.lost(&partitions).await,
        }
    }

    /// Room for messages that are not read yet.
    pub(crate) fn room(&self) -> Room {
        self.batch.room(&self.options).without(self.ahead.size())
    }

    fn take(&mut self, burst: Burst<K::Block>) -> Result<(), PipelineError> {
        let count = burst.messages.len();
        if count >= FEW || (count > 0 && !self.ahead.is_empty()) {
            self.ahead.form(burst, &self.mapping, &self.topic);
            return Ok(());
        }
        let taken = burst.messages.iter().try_for_each(|message| {
            let position = self.positions.entry(message.partition()).or_default();
            transform::take(&self.mapping, &self.topic, &message, position, &mut self.batch)
        });
        self.ahead.done_with(burst);
        taken
    }

    /// Takes a burst that was formed ahead into the batch.
    pub(crate) fn take_formed(&mut self, mut burst: Burst<K::Block>) -> Result<(), PipelineError> {
        let (positions, batch) = (&mut self.positions, &mut self.batch);
        transform::take_burst(&self.mapping, &self.topic, &mut burst, positions, batch)?;
        self.ahead.done_with(burst);
        Ok(())
    }

    /// Takes all of them.
    pub(crate) async fn finish_ahead(&mut self) -> Result<(), PipelineError> {
        while !self.ahead.is_empty() {
            let burst = self.ahead.next().await?;
            self.take_formed(burst)?;
        }
        Ok(())
    }
}

/// Messages as long as they are there and have room, then what else the source said: that is told once.
fn gather<'s, S: Source>(
    source: &'s S,
    first: SourceEvent<S::Message<'s>>,
    room: Room,
    messages: &mut Copies,
) -> Ready<S::Message<'s>> {
    let (mut ready, mut event, mut heard) = (source.ready(), Some(Ok(first)), 0);
    loop {
        match event {
            Some(Ok(SourceEvent::Message(message))) => messages.push(&message),
            Some(Ok(SourceEvent::EndOfPartition(partition))) => debug!(partition, "read to the end"),
            other => return other,
        }
        heard += 1;
        // Before the next is asked for: what the source has told is told once.
        if heard == BURST || messages.len() >= room.rows || messages.bytes() >= room.bytes.min(BURST_BYTES) {
            return None;
        }
        event = ready.next();
    }
}
