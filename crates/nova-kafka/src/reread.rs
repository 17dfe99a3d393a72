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
use tokio::sync::mpsc::{Sender, channel};

use crate::context::Logs;
use crate::errors::{code_of, failed};
use crate::message::KafkaMessage;
use crate::options::{KafkaConnection, reader_config};

/// Messages between the reading thread and the visitor.
const QUEUE: usize = 1_000;
/// Nothing read for so long is an outage.
const STALLED: Duration = Duration::from_secs(30);

/// Hands each message of the ranges to `visit`.
pub(crate) async fn reread(
    connection: &KafkaConnection,
    topic: &str,
    ranges: &Ranges,
    visit: &mut (dyn FnMut(&dyn SourceMessage) -> Result<(), PipelineError> + Send),
) -> Result<(), PipelineError> {
    let mut config = reader_config(connection, "nova.reread")?;
    // A full queue is looked at again after this time; the default, 1 s, starves a fast reader.
    config.set("enable.partition.eof", "true").set("fetch.queue.backoff.ms", "20");
    let reading = Reading {
        doing: format!("reading {topic} again"),
        topic: topic.to_owned(),
        left: ranges.iter().map(|(partition, range)| (partition, range.clone())).collect(),
    };
    let (sender, mut receiver) = channel(QUEUE);
    let thread = tokio::task::spawn_blocking(move || reading.run(&config, &sender));
    while let Some(message) = receiver.recv().await {
        // With the receiver gone, the thread ends by itself.
        visit(&KafkaMessage(message))?;
    }
    thread.await.unwrap_or_else(|error| {
        Err(PipelineError::new(ErrorKind::Unknown, format!("a call to Kafka: {error}")))
    })
}

/// What is still to be read.
struct Reading {
    doing: String,
    topic: String,
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
                None if moved.elapsed() > STALLED => {
                    let message = format!("{}: nothing came for {} s", self.doing, STALLED.as_secs());
                    return Err(PipelineError::new(ErrorKind::Unavailable, message));
                }
                None => {}
                Some(Ok(message)) => {
                    moved = Instant::now();
                    if self.take(message.partition(), message.offset())
                        && sender.blocking_send(message.detach()).is_err()
                    {
                        return Ok(());
                    }
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

    fn sort(&self, error: &KafkaError) -> Result<(), PipelineError> {
        let gap = |what: &str| {
            let left: Ranges =
                self.left.iter().map(|(partition, range)| (*partition, range.clone())).collect();
            let message = format!("{} at {}: {what}", self.doing, left.places(&self.topic));
            Err(PipelineError::new(ErrorKind::OffsetGap, message))
        };
        match error {
            KafkaError::PartitionEOF(partition) if self.left.contains_key(partition) => {
                gap("the topic ends before the range does; it was deleted and made again")
            }
            KafkaError::PartitionEOF(_) => Ok(()),
            _ if matches!(code_of(error), Some(Code::AutoOffsetReset | Code::OffsetOutOfRange)) => {
                gap("the topic no longer holds the messages of a batch that was left open")
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
        let mut reading = Reading { doing: String::new(), topic: "t".to_owned(), left };
        assert!(reading.take(0, 3) && reading.take(1, 0) && reading.take(0, 5));
        assert!(!reading.take(0, 6) && !reading.take(1, 1) && reading.left.is_empty());
    }

    #[test]
    fn a_topic_that_ends_early_is_a_gap() {
        let reading =
            Reading { doing: "x".to_owned(), topic: "t".to_owned(), left: BTreeMap::from([(0, 3..6)]) };
        let error = reading.sort(&KafkaError::PartitionEOF(0)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::OffsetGap);
        assert!(error.message.starts_with("x at t[0]@3..6: the topic ends"), "{error}");
        assert!(reading.sort(&KafkaError::PartitionEOF(7)).is_ok());
    }
}
