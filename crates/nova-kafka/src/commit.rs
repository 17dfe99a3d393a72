//! One commit of a member of the group.
//!
//! Invariant: only partitions that this member was given, and has neither lost nor handed back, are committed. The
//! broker does not check that: it takes commits of any partition from any member of the current generation, and
//! librdkafka joins again by itself after a loss.

use nova_pipeline::{ErrorKind, OffsetCommit, PipelineError};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::Offset;

use crate::errors::{coded, failed, failed_as_member, fatal};
use crate::membership::Member;

/// Commits all of `commits` in one request, or none that is not this member's; blocks until the coordinator answers.
///
/// While there is no coordinator, librdkafka waits for one for as long as the session timeout.
pub(crate) fn commit(member: &Member, topic: &str, commits: &[OffsetCommit]) -> Result<(), PipelineError> {
    let partitions = || commits.iter().map(|commit| commit.partition);
    let doing = format!("committing {topic} {:?}", partitions().collect::<Vec<_>>());
    if let Some(partition) = member.context().conversation().not_granted(partitions()) {
        let message = format!("{doing}: partition {partition} does not belong to this member");
        return Err(PipelineError::new(ErrorKind::Fenced, message));
    }
    let mut list = TopicPartitionList::with_capacity(commits.len());
    for commit in commits {
        // librdkafka takes negative offsets for its own marks and leaves them out without a word.
        if commit.offset < 0 {
            let message = format!("{doing}: {} is no offset", commit.offset);
            return Err(PipelineError::new(ErrorKind::Unknown, message));
        }
        let mut element = list.add_partition(topic, commit.partition);
        element.set_offset(Offset::Offset(commit.offset)).map_err(|error| failed(&doing, &error))?;
        element.set_metadata(&commit.metadata);
    }
    if member.assignment_lost() {
        return Err(coded(&doing, Code::AssignmentLost));
    }
    member.commit(&list, CommitMode::Sync).map_err(|error| match member.client().fatal_error() {
        Some((code, reason)) => fatal(&doing, code, &reason),
        None => failed_as_member(&doing, &error, member.assignment_lost()),
    })
}
