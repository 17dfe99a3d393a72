//! Whether there is a message between two offsets, or only what a transaction leaves behind.
//!
//! A partition that rests ends with the marker of its last transaction, which a group never commits past: it commits
//! the offset behind the last message. So "committed = end" is not how "everything is read" looks.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nova_pipeline::{ErrorKind, PipelineError};
use rdkafka::Message as _;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;

use crate::errors::failed;
use crate::lag::observe_with;
use crate::options::{KafkaConnection, reader_config};

/// Nothing read for so long is an outage.
const STALLED: Duration = Duration::from_secs(30);

/// Those of the ranges (partition, first offset, offset behind the last) that hold a committed message.
///
/// # Errors
/// `Unavailable`, `AccessDenied`, `Misconfigured` for a missing topic; a first offset that is no longer there.
pub async fn unread(
    connection: &KafkaConnection,
    topic: &str,
    ranges: Vec<(i32, i64, i64)>,
) -> Result<Vec<i32>, PipelineError> {
    let mut config = reader_config(connection, "nova.unread")?;
    config.set("enable.partition.eof", "true");
    let of = topic.to_owned();
    observe_with(config, topic.to_owned(), move |consumer| {
        let doing = format!("looking for unread messages of {of}");
        let mut left: BTreeMap<i32, i64> = BTreeMap::new();
        let mut list = TopicPartitionList::new();
        for (partition, from, to) in ranges.into_iter().filter(|(_, from, to)| from < to) {
            left.insert(partition, to);
            list.add_partition_offset(&of, partition, Offset::Offset(from))
                .map_err(|error| failed(&doing, &error))?;
        }
        consumer.assign(&list).map_err(|error| failed(&doing, &error))?;
        let (mut found, mut moved) = (Vec::new(), Instant::now());
        while !left.is_empty() {
            match consumer.poll(Duration::from_millis(100)) {
                None if moved.elapsed() > STALLED => {
                    let message = format!("{doing}: nothing came for {} s", STALLED.as_secs());
                    return Err(PipelineError::new(ErrorKind::Unavailable, message));
                }
                None => {}
                Some(Ok(message)) => {
                    moved = Instant::now();
                    let partition = message.partition();
                    if left.remove(&partition).is_some_and(|end| message.offset() < end) {
                        found.push(partition);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(left.remove(&partition)),
                Some(Err(error)) => {
                    let error = failed(&doing, &error);
                    // librdkafka reconnects by itself; a lasting outage ends as a stall.
                    if !matches!(error.kind, ErrorKind::Unavailable) {
                        return Err(error);
                    }
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    })
    .await
}
