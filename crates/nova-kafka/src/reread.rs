//! Reads ranges of a topic once more, outside of the group.
//!
//! Invariant: every message of the ranges is handed on, once and in order within its partition, or it is an error.
//! Reading needs no ownership: nothing is subscribed to and nothing is committed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use nova_pipeline::{ErrorKind, PipelineError, Ranges, SourceMessage};
use rdkafka::Message;
use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::OwnedMessage;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use crate::context::Logs;
use crate::errors::{code_of, failed};
use crate::lag::watermarks;
use crate::message::KafkaMessage;
use crate::options::{KafkaConnection, reader_config};

/// What the ranges are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// Each ends behind a message that was read before: one that is not there any more is a gap.
    AllThatWasRead,
    /// What the topic holds of them, compacted or not.
    WhatIsThere,
    /// Offsets that the topic has passed; the last ones may be markers of transactions. One that ends before them is
    /// another topic.
    WhatWasPassed,
}

impl Demand {
    /// Messages between the reading thread and the visitor. Dead letters may be large, and are not many.
    fn queue(self) -> usize {
        match self {
            Self::AllThatWasRead | Self::WhatWasPassed => 1_000,
            Self::WhatIsThere => 16,
        }
    }

    /// What it means that the beginning of a range is gone.
    fn gone(self) -> &'static str {
        match self {
            Self::AllThatWasRead => "the topic no longer holds the messages of a batch that was left open",
            Self::WhatIsThere | Self::WhatWasPassed => {
                "the topic no longer holds these messages; if they went just now, try again"
            }
        }
    }
}

/// Nothing read for so long is an outage.
const STALLED: Duration = Duration::from_secs(30);

/// Hands each message of the ranges to `visit`.
pub(crate) async fn reread(
    connection: &KafkaConnection,
    topic: &str,
    ranges: &Ranges,
    demand: Demand,
    visit: &mut (dyn FnMut(&dyn SourceMessage) -> Result<(), PipelineError> + Send),
) -> Result<(), PipelineError> {
    let mut reader = RangeReader::start(connection, topic, ranges, demand)?;
    while let Some(message) = reader.receive().await? {
        visit(&message)?;
    }
    Ok(())
}

/// The messages of ranges of a topic, one after the other, in order within a partition; outside of any group.
///
/// Memory: at most 1,000 messages and 16 MiB of fetched ones wait for the caller, who may take as long as it likes.
pub struct RangeReader {
    messages: Receiver<OwnedMessage>,
    /// Read, and not asked for yet.
    held: Option<OwnedMessage>,
    /// Ends by itself once nobody receives any more.
    thread: Option<JoinHandle<Result<(), PipelineError>>>,
}

impl RangeReader {
    /// Begins to read. A range may end on any offset that the topic has passed, also on a transaction's marker.
    ///
    /// # Errors
    /// `Misconfigured`.
    pub fn open(connection: &KafkaConnection, topic: &str, ranges: &Ranges) -> Result<Self, PipelineError> {
        Self::start(connection, topic, ranges, Demand::WhatWasPassed)
    }

    fn start(
        connection: &KafkaConnection,
        topic: &str,
        ranges: &Ranges,
        demand: Demand,
    ) -> Result<Self, PipelineError> {
        let mut config = reader_config(connection, "nova.reread")?;
        config
            .set("enable.partition.eof", "true")
            .set("queued.max.messages.kbytes", "16384")
            // A full queue is looked at again after this time; the default, 1 s, starves a fast reader.
            .set("fetch.queue.backoff.ms", "20");
        let reading = Reading {
            doing: format!("reading {topic} again"),
            topic: topic.to_owned(),
            demand,
            left: ranges.iter().map(|(partition, range)| (partition, range.clone())).collect(),
        };
        let (sender, messages) = channel(demand.queue());
        let thread = tokio::task::spawn_blocking(move || reading.run(&config, &sender));
        Ok(Self { messages, held: None, thread: Some(thread) })
    }

    /// The next message, if its offset is lower than `limit`; otherwise it waits. For a reader of one partition. `None`
    /// also behind the last message.
    ///
    /// # Errors
    /// `OffsetGap` where the topic no longer holds the range, `Unavailable` when nothing comes for 30 s.
    pub async fn next_before(
        &mut self,
        limit: i64,
    ) -> Result<Option<impl SourceMessage + use<>>, PipelineError> {
        let (next, held) = match self.receive().await? {
            Some(KafkaMessage(message)) if message.offset() >= limit => (None, Some(message)),
            next => (next, None),
        };
        self.held = held;
        Ok(next)
    }

    async fn receive(&mut self) -> Result<Option<KafkaMessage<OwnedMessage>>, PipelineError> {
        let message = match self.held.take() {
            Some(message) => Some(message),
            None => self.messages.recv().await,
        };
        if let Some(message) = message {
            return Ok(Some(KafkaMessage(message)));
        }
        let Some(thread) = self.thread.take() else { return Ok(None) };
        let ended = thread.await.unwrap_or_else(|error| {
            Err(PipelineError::new(ErrorKind::Unknown, format!("a call to Kafka: {error}")))
        });
        ended.map(|()| None)
    }
}

/// What is still to be read.
struct Reading {
    doing: String,
    topic: String,
    demand: Demand,
    left: BTreeMap<i32, Range<i64>>,
}

impl Reading {
    fn run(mut self, config: &ClientConfig, sender: &Sender<OwnedMessage>) -> Result<(), PipelineError> {
        let consumer: BaseConsumer<Logs> =
            config.create_with_context(Logs).map_err(|error| failed(&self.doing, &error))?;
        let assigned = self.positions().and_then(|list| consumer.assign(&list));
        assigned.map_err(|error| failed(&self.doing, &error))?;
        let mut moved = Instant::now();
        while !self.left.is_empty() {
            match consumer.poll(Duration::from_millis(100)) {
                None if sender.is_closed() => return Ok(()),
                None if moved.elapsed() > STALLED => {
                    let message = format!("{}: nothing came for {} s", self.doing, STALLED.as_secs());
                    return Err(PipelineError::new(ErrorKind::Unavailable, message));
                }
                None => {}
                Some(Ok(message)) => {
                    if self.take(message.partition(), message.offset())
                        && sender.blocking_send(message.detach()).is_err()
                    {
                        return Ok(());
                    }
                    // Only now: the visitor may have taken its time.
                    moved = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) if self.is_passed(&consumer, partition)? => {
                    self.left.remove(&partition);
                }
                Some(Err(error)) => self.sort(&error)?,
            }
        }
        Ok(())
    }

    fn positions(&self) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, range) in &self.left {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(range.start))?;
        }
        Ok(list)
    }

    /// Whether the message belongs to the ranges; a partition is done at the last offset of its range.
    fn take(&mut self, partition: i32, offset: i64) -> bool {
        let Some(range) = self.left.get(&partition) else { return false };
        let wanted = range.contains(&offset);
        if offset + 1 >= range.end {
            self.left.remove(&partition);
        }
        wanted
    }

    /// Whether a partition that has been read to its end lies behind its range, markers included.
    fn is_passed(&self, consumer: &BaseConsumer<Logs>, partition: i32) -> Result<bool, PipelineError> {
        match self.left.get(&partition) {
            Some(range) if self.demand == Demand::WhatWasPassed => {
                Ok(watermarks(consumer, &self.topic, partition)?.high >= range.end)
            }
            _ => Ok(false),
        }
    }

    fn sort(&mut self, error: &KafkaError) -> Result<(), PipelineError> {
        let gap = |what: &str| {
            let left: Ranges =
                self.left.iter().map(|(partition, range)| (*partition, range.clone())).collect();
            let message = format!("{} at {}: {what}", self.doing, left.places(&self.topic));
            Err(PipelineError::new(ErrorKind::OffsetGap, message))
        };
        match error {
            KafkaError::PartitionEOF(partition) if self.demand == Demand::WhatIsThere => {
                self.left.remove(partition);
                Ok(())
            }
            KafkaError::PartitionEOF(partition) if self.left.contains_key(partition) => {
                gap("the topic ends before the range does; it was deleted and made again")
            }
            KafkaError::PartitionEOF(_) => Ok(()),
            _ if matches!(code_of(error), Some(Code::AutoOffsetReset | Code::OffsetOutOfRange)) => {
                gap(self.demand.gone())
            }
            // librdkafka reconnects by itself; a lasting outage ends as a stall.
            _ if matches!(failed(&self.doing, error).kind, ErrorKind::Unavailable) => Ok(()),
            _ => Err(failed(&self.doing, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_done_at_the_end_of_its_range_and_what_lies_outside_is_not_handed_on() {
        let left = BTreeMap::from([(0, 3..6), (1, 0..1)]);
        let demand = Demand::AllThatWasRead;
        let mut reading = Reading { doing: String::new(), topic: "t".to_owned(), demand, left };
        assert!(reading.take(0, 3) && reading.take(1, 0) && reading.take(0, 5));
        assert!(!reading.take(0, 6) && !reading.take(1, 1) && reading.left.is_empty());
    }

    #[test]
    fn a_topic_that_ends_early_is_a_gap() {
        let reading = |demand| {
            let left = BTreeMap::from([(0, 3..6)]);
            Reading { doing: "x".to_owned(), topic: "t".to_owned(), demand, left }
        };
        let mut strict = reading(Demand::AllThatWasRead);
        let error = strict.sort(&KafkaError::PartitionEOF(0)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::OffsetGap);
        assert!(error.message.starts_with("x at t[0]@3..6: the topic ends"), "{error}");
        assert!(strict.sort(&KafkaError::PartitionEOF(7)).is_ok());
        let mut scan = reading(Demand::WhatIsThere);
        assert!(
            scan.sort(&KafkaError::PartitionEOF(0)).is_ok() && scan.left.is_empty(),
            "it is all there is"
        );
    }
}
