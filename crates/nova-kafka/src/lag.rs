//! What a topic holds, where a group stands in it, and what lies between.
//!
//! Invariant: asking changes nothing; no membership, no commit, no topic made by asking for it.

use nova_pipeline::{Committed, ErrorKind, PipelineError, Watermarks};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::context::Logs;
use crate::errors::{coded, failed};
use crate::options::{KafkaConnection, check_topic, reader_config};
use crate::reach::explained;
use crate::source::ANSWER_WITHIN;

/// A group's position in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition.
    pub partition: i32,
    /// The next offset the group will read; `None` when it never committed here.
    pub committed: Option<i64>,
    /// The oldest offset still there.
    pub low: i64,
    /// The offset after the last committed message.
    pub high: i64,
}

impl PartitionLag {
    /// Offsets from the group's position to the end, at most so many messages (transaction markers take offsets too).
    /// Without a commit, everything the partition holds.
    #[must_use]
    pub fn messages(&self) -> i64 {
        (self.high - self.committed.unwrap_or(self.low)).max(0)
    }

    /// Offsets that expired before the group read them.
    #[must_use]
    pub fn expired(&self) -> i64 {
        self.committed.map_or(0, |committed| (self.low - committed).max(0))
    }

    /// How much of what the broker still holds lies ahead of the group: `(high - committed) / (high - low)`, from 0
    /// (all read) to 1 (the next message that the group needs is the next that retention deletes, or is gone).
    ///
    /// 0 while retention has deleted nothing (`low` is 0), and where the group never committed.
    #[must_use]
    pub fn retention_used(&self) -> f64 {
        let Some(committed) = self.committed.filter(|_| self.low > 0) else { return 0.0 };
        if committed < self.low {
            return 1.0;
        }
        let held = (self.high - self.low).max(1);
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let used = (self.high - committed).max(0) as f64 / held as f64;
        used
    }

    /// Whether the group's next message is in the oldest fifth of what the broker holds, and the broker deletes:
    /// `committed - low < 0.2 × (high - low)` while `low > 0`, which is [`Self::retention_used`] above 0.8.
    #[must_use]
    pub fn near_expiry(&self) -> bool {
        self.retention_used() > 0.8
    }
}

/// A group's position in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLag {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// By partition, ascending.
    pub partitions: Vec<PartitionLag>,
}

impl GroupLag {
    /// Joins what [`Source::committed`](nova_pipeline::Source::committed) and
    /// [`Source::watermarks`](nova_pipeline::Source::watermarks) say; a partition without watermarks is left out.
    pub fn of(
        group: impl Into<String>,
        topic: impl Into<String>,
        committed: &[Committed],
        watermarks: &[Watermarks],
    ) -> Self {
        let position =
            |partition| committed.iter().find(|at| at.partition == partition).and_then(|at| at.offset);
        let mut partitions: Vec<_> = watermarks
            .iter()
            .map(|held| PartitionLag {
                partition: held.partition,
                committed: position(held.partition),
                low: held.low,
                high: held.high,
            })
            .collect();
        partitions.sort_by_key(|lag| lag.partition);
        Self { group: group.into(), topic: topic.into(), partitions }
    }

    /// The sum over all partitions.
    #[must_use]
    pub fn messages(&self) -> i64 {
        self.partitions.iter().map(PartitionLag::messages).sum()
    }

    /// The partition that is nearest to the loss of unread messages by [`PartitionLag::retention_used`].
    #[must_use]
    pub fn nearest_expiry(&self) -> Option<&PartitionLag> {
        self.partitions.iter().max_by(|one, other| one.retention_used().total_cmp(&other.retention_used()))
    }

    /// The offset of the next message that the group needs, by partition, where the partition may hold it.
    #[must_use]
    pub fn unread(&self) -> Vec<(i32, i64)> {
        let next = |lag: &PartitionLag| {
            let at = lag.committed.unwrap_or(lag.low).max(lag.low);
            (at < lag.high).then_some((lag.partition, at))
        };
        self.partitions.iter().filter_map(next).collect()
    }
}

/// Where `group` stands in `topic`, asked from outside of the group.
///
/// # Errors
/// `Misconfigured` for a missing topic, `AccessDenied`, `Unavailable`.
pub async fn describe(
    connection: &KafkaConnection,
    group: &str,
    topic: &str,
) -> Result<GroupLag, PipelineError> {
    let (group, of) = (group.to_owned(), topic.to_owned());
    observe(connection, group.clone(), topic.to_owned(), move |consumer| {
        standing(consumer, group, of).map(|(lag, _)| lag)
    })
    .await
}

/// The group's position, and what it committed, metadata included.
pub(crate) fn standing(
    consumer: &Observer,
    group: String,
    topic: String,
) -> Result<(GroupLag, Vec<Committed>), PipelineError> {
    let committed = committed(consumer, &topic)?;
    let held: Result<Vec<_>, _> =
        committed.iter().map(|at| watermarks(consumer, &topic, at.partition)).collect();
    Ok((GroupLag::of(group, topic, &committed, &held?), committed))
}

/// By partition, the first offset whose message is not older than `timestamp_ms` (milliseconds since 1970); the end
/// of the partition when there is none.
///
/// # Errors
/// As [`describe`].
pub async fn offsets_by_time(
    connection: &KafkaConnection,
    topic: &str,
    timestamp_ms: i64,
) -> Result<Vec<(i32, i64)>, PipelineError> {
    let topic = topic.to_owned();
    observe(connection, "nova.offsets-by-time".to_owned(), topic.clone(), move |consumer| {
        let doing = format!("asking {topic} for offsets by time");
        let mut times = list(&topic, 0..partitions(consumer, &topic)?);
        times.set_all_offsets(Offset::Offset(timestamp_ms)).map_err(|error| failed(&doing, &error))?;
        let found =
            consumer.offsets_for_times(times, ANSWER_WITHIN).map_err(|error| failed(&doing, &error))?;
        let resolve = |element: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            element.error().map_err(|error| failed(&doing, &error))?;
            match element.offset() {
                Offset::Offset(offset) => Ok((element.partition(), offset)),
                _ => Ok((element.partition(), watermarks(consumer, &topic, element.partition())?.high)),
            }
        };
        found.elements().into_iter().map(resolve).collect()
    })
    .await
}

type Observer = BaseConsumer<Logs>;

/// Asks with a consumer that joins nothing.
pub(crate) async fn observe<T: Send + 'static>(
    connection: &KafkaConnection,
    group: String,
    topic: String,
    question: impl FnOnce(&Observer) -> Result<T, PipelineError> + Send + 'static,
) -> Result<T, PipelineError> {
    observe_with(reader_config(connection, &group)?, topic, question).await
}

/// The same with further settings.
pub(crate) async fn observe_with<T: Send + 'static>(
    config: ClientConfig,
    topic: String,
    question: impl FnOnce(&Observer) -> Result<T, PipelineError> + Send + 'static,
) -> Result<T, PipelineError> {
    check_topic(&topic)?;
    let brokers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
    let settings = config.clone();
    let asking = tokio::task::spawn_blocking(move || {
        let doing = format!("connecting to Kafka at {brokers}");
        let consumer: Observer = config.create_with_context(Logs).map_err(|error| failed(&doing, &error))?;
        question(&consumer).map_err(|error| match error.kind {
            ErrorKind::Unavailable => {
                PipelineError { message: format!("Kafka at {brokers}: {}", error.message), ..error }
            }
            _ => error,
        })
    });
    let answer = asking.await.unwrap_or_else(|error| {
        Err(PipelineError::new(ErrorKind::Unknown, format!("a call to Kafka: {error}")))
    });
    match answer {
        Err(error) => Err(explained(&settings, error).await),
        answered => answered,
    }
}

/// How many partitions the topic has; they are numbered from 0.
pub(crate) fn partitions<C: ConsumerContext>(
    consumer: &impl Consumer<C>,
    topic: &str,
) -> Result<i32, PipelineError> {
    let doing = format!("looking for the topic {topic}");
    let metadata =
        consumer.fetch_metadata(Some(topic), ANSWER_WITHIN).map_err(|error| failed(&doing, &error))?;
    let found = metadata.topics().first().ok_or_else(|| failed(&doing, &KafkaError::Canceled))?;
    if let Some(error) = found.error() {
        return Err(coded(&doing, error.into()));
    }
    i32::try_from(found.partitions().len())
        .map_err(|error| PipelineError::new(ErrorKind::Unknown, error.to_string()))
}

/// The group's committed positions in all partitions of the topic.
pub(crate) fn committed<C: ConsumerContext>(
    consumer: &impl Consumer<C>,
    topic: &str,
) -> Result<Vec<Committed>, PipelineError> {
    let doing = format!("reading the committed offsets of {topic}");
    let wanted = list(topic, 0..partitions(consumer, topic)?);
    let found = consumer.committed_offsets(wanted, ANSWER_WITHIN).map_err(|error| failed(&doing, &error))?;
    let read = |element: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        element.error().map_err(|error| failed(&doing, &error))?;
        let offset = match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        Ok(Committed { partition: element.partition(), offset, metadata: element.metadata().to_owned() })
    };
    found.elements().into_iter().map(read).collect()
}

/// What a partition holds of committed data.
pub(crate) fn watermarks<C: ConsumerContext>(
    consumer: &impl Consumer<C>,
    topic: &str,
    partition: i32,
) -> Result<Watermarks, PipelineError> {
    let (low, high) = consumer.fetch_watermarks(topic, partition, ANSWER_WITHIN).map_err(|error| {
        failed(&format!("asking {topic} partition {partition} for its watermarks"), &error)
    })?;
    Ok(Watermarks { partition, low, high })
}

pub(crate) fn list(topic: &str, partitions: impl IntoIterator<Item = i32>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(topic, partition);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_from_the_commit_or_from_the_oldest_message() {
        let committed = [
            Committed { partition: 0, offset: Some(7), metadata: String::new() },
            Committed { partition: 1, offset: None, metadata: String::new() },
            Committed { partition: 2, offset: Some(1), metadata: String::new() },
        ];
        let held = [(2, 4, 6), (1, 3, 9), (0, 0, 10)].map(|(partition, low, high)| Watermarks {
            partition,
            low,
            high,
        });
        let lag = GroupLag::of("nova", "cdc.likes", &committed, &held);
        let each: Vec<_> =
            lag.partitions.iter().map(|lag| (lag.partition, lag.messages(), lag.expired())).collect();
        assert_eq!(each, [(0, 3, 0), (1, 6, 0), (2, 5, 3)]);
        assert_eq!(lag.messages(), 14);
    }

    #[test]
    fn the_used_share_of_retention_counts_only_where_messages_are_deleted() {
        let used =
            |committed, low, high| PartitionLag { partition: 0, committed, low, high }.retention_used();
        for (committed, low, high, expected) in [
            (Some(10), 0, 100, 0.0),
            (Some(60), 50, 100, 0.8),
            (Some(100), 50, 100, 0.0),
            (Some(40), 50, 100, 1.0),
            (Some(50), 50, 50, 0.0),
            (Some(200), 50, 100, 0.0),
            (None, 50, 100, 0.0),
        ] {
            let found = used(committed, low, high);
            assert!((found - expected).abs() < 1e-9, "{committed:?} in {low}..{high}: {found}");
        }
    }
}
