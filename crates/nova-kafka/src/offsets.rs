//! A group's committed offsets for `nova offsets`: read with what stands beside them, and set while nobody reads.
//!
//! Invariant: offsets are set only where the coordinator agrees that the group is empty, and it has said what it
//! stores; asking changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use nova_pipeline::{Committed, ErrorKind, PipelineError};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::context::Logs;
use crate::errors::{code_of, failed, kind_of};
use crate::lag::{self, GroupLag, PartitionLag, observe, observe_with};
use crate::options::{KafkaConnection, reader_config};
use crate::source::ANSWER_WITHIN;

/// A group's position in one partition, with what was committed beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The offset, and what the partition holds.
    pub lag: PartitionLag,
    /// The metadata of the commit; empty when there is none, or when Nova did not write it.
    pub metadata: String,
}

/// Where `group` stands in every partition of `topic`, ascending.
///
/// # Errors
/// `Misconfigured` for a missing topic, `AccessDenied`, `Unavailable`.
pub async fn positions(
    connection: &KafkaConnection,
    group: &str,
    topic: &str,
) -> Result<Vec<Position>, PipelineError> {
    let (group, of) = (group.to_owned(), topic.to_owned());
    observe(connection, group.clone(), topic.to_owned(), move |consumer| {
        let (lag, committed) = lag::standing(consumer, group, of)?;
        Ok(positions_of(lag, &committed))
    })
    .await
}

/// Each partition's position with what was committed beside it.
pub(crate) fn positions_of(lag: GroupLag, committed: &[Committed]) -> Vec<Position> {
    let metadata = |partition| {
        let committed = committed.iter().find(|at| at.partition == partition);
        committed.map(|at| at.metadata.clone()).unwrap_or_default()
    };
    let position = |lag: PartitionLag| Position { metadata: metadata(lag.partition), lag };
    lag.partitions.into_iter().map(position).collect()
}

/// The timestamp, in milliseconds since 1970, of the first message at or behind each of these offsets. A partition that
/// has none there, or does not answer within 10 s, is left out.
///
/// # Errors
/// As [`positions`].
pub async fn message_times(
    connection: &KafkaConnection,
    topic: &str,
    offsets: &[(i32, i64)],
) -> Result<BTreeMap<i32, i64>, PipelineError> {
    if offsets.is_empty() {
        return Ok(BTreeMap::new());
    }
    let config = first_message_config(connection, "nova.message-times")?;
    let (of, offsets) = (topic.to_owned(), offsets.to_vec());
    observe_with(config, topic.to_owned(), move |consumer| first_times(consumer, &of, &offsets)).await
}

/// Where `group` stands in `topic`, and by partition the time of the oldest message that the group has not read, in
/// milliseconds since 1970: when its producer made it, or the broker took it, as the topic says. A partition is left out
/// where there is none, or where it could not be read within 10 s.
///
/// # Errors
/// As [`positions`].
pub async fn standing_since(
    connection: &KafkaConnection,
    group: &str,
    topic: &str,
) -> Result<(GroupLag, BTreeMap<i32, i64>), PipelineError> {
    let (group, of) = (group.to_owned(), topic.to_owned());
    observe_with(first_message_config(connection, &group)?, topic.to_owned(), move |consumer| {
        let (lag, _) = lag::standing(consumer, group, of.clone())?;
        let since = first_times(consumer, &of, &lag.unread())?;
        Ok((lag, since))
    })
    .await
}

/// For a reader that wants one message of each partition, not what a reader fetches in advance.
pub(crate) fn first_message_config(
    connection: &KafkaConnection,
    group: &str,
) -> Result<ClientConfig, PipelineError> {
    let mut config = reader_config(connection, group)?;
    // The broker sends a greater message whole, too (KIP-74).
    config.set("fetch.message.max.bytes", "16384");
    config.set("enable.partition.eof", "true").set("queued.min.messages", "1");
    Ok(config)
}

/// The times of the first messages at or behind these offsets; assigns the consumer to their partitions.
pub(crate) fn first_times(
    consumer: &BaseConsumer<Logs>,
    topic: &str,
    offsets: &[(i32, i64)],
) -> Result<BTreeMap<i32, i64>, PipelineError> {
    if offsets.is_empty() {
        return Ok(BTreeMap::new());
    }
    let doing = format!("reading the times of messages of {topic}");
    let mut list = TopicPartitionList::new();
    for (partition, offset) in offsets {
        let added = list.add_partition_offset(topic, *partition, Offset::Offset(*offset));
        added.map_err(|error| failed(&doing, &error))?;
    }
    consumer.assign(&list).map_err(|error| failed(&doing, &error))?;
    times_of(consumer, topic, offsets.len()).map_err(|error| failed(&doing, &error))
}

fn times_of(
    consumer: &BaseConsumer<Logs>,
    topic: &str,
    partitions: usize,
) -> Result<BTreeMap<i32, i64>, KafkaError> {
    let (mut times, mut answered) = (BTreeMap::new(), BTreeSet::new());
    let deadline = Instant::now() + ANSWER_WITHIN;
    while answered.len() < partitions && Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                let partition = message.partition();
                if answered.insert(partition) {
                    times.extend(message.timestamp().to_millis().map(|time| (partition, time)));
                    consumer.pause(&lag::list(topic, [partition]))?;
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                answered.insert(partition);
            }
            // librdkafka tries again by itself; the deadline ends it.
            Some(Err(error)) if code_of(&error).map(kind_of) == Some(ErrorKind::Unavailable) => {}
            Some(Err(error)) => return Err(error),
        }
    }
    Ok(times)
}

/// The members of `group`, as `client (host)`; empty for an empty or unknown group. The DescribeGroups request that is
/// used tells nothing of groups of the KIP-848 protocol: their members show themselves only by the refusal of
/// [`set_offsets`].
///
/// # Errors
/// `AccessDenied` (DESCRIBE on the group), `Unavailable`.
pub async fn members(
    connection: &KafkaConnection,
    group: &str,
    topic: &str,
) -> Result<Vec<String>, PipelineError> {
    let name = group.to_owned();
    observe(connection, group.to_owned(), topic.to_owned(), move |consumer| members_of(consumer, &name)).await
}

pub(crate) fn members_of(consumer: &BaseConsumer<Logs>, group: &str) -> Result<Vec<String>, PipelineError> {
    let doing = format!("asking for the members of the consumer group {group}");
    let found = consumer.fetch_group_list(Some(group), ANSWER_WITHIN);
    let found = found.map_err(|error| failed(&doing, &error))?;
    let of_group = found.groups().iter().filter(|found| found.name() == group);
    let members = of_group.flat_map(|found| found.members());
    let named = |host: &str| host.trim_start_matches('/').to_owned();
    Ok(members.map(|member| format!("{} ({})", member.client_id(), named(member.client_host()))).collect())
}

/// Commits these offsets for `group` with empty metadata, from outside of the group, in one request; then reads them
/// back. The coordinator takes such a commit only while the group has no members.
///
/// # Errors
/// `Fenced` while the group has members, `Unknown` when the coordinator stored something else, and as [`positions`].
pub async fn set_offsets(
    connection: &KafkaConnection,
    group: &str,
    topic: &str,
    offsets: &[(i32, i64)],
) -> Result<(), PipelineError> {
    let (name, of, offsets) = (group.to_owned(), topic.to_owned(), offsets.to_vec());
    observe(connection, group.to_owned(), topic.to_owned(), move |consumer| {
        let doing = format!("setting the offsets of the consumer group {name} in {of}");
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, offset) in &offsets {
            let mut element = list.add_partition(&of, *partition);
            element.set_offset(Offset::Offset(*offset)).map_err(|error| failed(&doing, &error))?;
            element.set_metadata("");
        }
        consumer.commit(&list, CommitMode::Sync).map_err(|error| refused(&doing, &name, &error))?;
        let stored = lag::committed(consumer, &of)?;
        let differs = offsets.iter().find(|(partition, offset)| {
            let is = |at: &&Committed| at.partition == *partition;
            stored.iter().find(is).and_then(|at| at.offset) != Some(*offset)
        });
        match differs {
            None => Ok(()),
            Some((partition, offset)) => {
                let message =
                    format!("{doing}: {of}[{partition}] was to be {offset}, and is not; look again");
                Err(PipelineError::new(ErrorKind::Unknown, message))
            }
        }
    })
    .await
}

fn refused(doing: &str, group: &str, error: &KafkaError) -> PipelineError {
    let members = matches!(
        code_of(error),
        Some(
            Code::UnknownMemberId
                | Code::IllegalGeneration
                | Code::RebalanceInProgress
                | Code::FencedMemberEpoch
                | Code::StaleMemberEpoch
        )
    );
    if !members {
        return failed(doing, error);
    }
    let message =
        format!("{doing}: refused, the group has active members; stop every `nova run` of `{group}` first");
    PipelineError::new(ErrorKind::Fenced, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_members_says_what_to_stop_and_others_keep_their_kind() {
        let refusal = |code| refused("setting", "nova-likes", &KafkaError::ConsumerCommit(code));
        for code in [Code::UnknownMemberId, Code::IllegalGeneration, Code::RebalanceInProgress] {
            let error = refusal(code);
            assert_eq!(error.kind, ErrorKind::Fenced);
            assert!(error.message.contains("stop every `nova run` of `nova-likes`"), "{error}");
        }
        assert_eq!(refusal(Code::GroupAuthorizationFailed).kind, ErrorKind::AccessDenied);
    }
}
