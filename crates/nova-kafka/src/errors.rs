//! The table from librdkafka's and the broker's error codes to the kinds that decide policy.
//!
//! Invariant: kinds follow from codes, never from text. A code that is not in the table is
//! [`ErrorKind::Unknown`], which halts. Codes: <https://kafka.apache.org/protocol#protocol_error_codes>.

use nova_pipeline::{ErrorKind, PipelineError};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// The kind of a code.
pub(crate) fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::BrokerTransportFailure
        | Code::Resolve
        | Code::AllBrokersDown
        | Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::TimedOutQueue
        | Code::MessageTimedOut
        | Code::WaitingForCoordinator
        | Code::CoordinatorLoadInProgress
        | Code::CoordinatorNotAvailable
        | Code::NotCoordinator
        | Code::NotController
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::NetworkException
        | Code::BrokerDestroy
        | Code::DestroyBroker
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::ISRInsufficient
        | Code::KafkaStorageError
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::OffsetNotAvailable
        | Code::UnstableOffsetCommit
        | Code::UnknownTopicId
        | Code::RebootstrapRequired => ErrorKind::Unavailable,
        Code::ThrottlingQuotaExceeded | Code::QueueFull => ErrorKind::Overloaded,
        Code::UnknownMemberId
        | Code::IllegalGeneration
        | Code::FencedMemberEpoch
        | Code::StaleMemberEpoch
        | Code::UnreleasedInstanceId
        | Code::RebalanceInProgress
        | Code::AssignmentLost
        | Code::PollExceeded
        | Code::Fenced => ErrorKind::Fenced,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication => ErrorKind::AccessDenied,
        Code::SSL => ErrorKind::Untrusted,
        // To join again would fence the other one, which would join again.
        Code::FencedInstanceId
        | Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::InvalidTopic
        | Code::InvalidGroupId
        | Code::InvalidSessionTimeout
        | Code::InconsistentGroupProtocol
        | Code::GroupMaxSizeReached
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::UnsupportedAssignor
        | Code::UnsupportedSASLMechanism
        | Code::OffsetMetadataTooLarge
        | Code::MessageSizeTooLarge
        | Code::MessageBatchTooLarge
        | Code::InvalidTimestamp
        | Code::InvalidReplicationFactor
        | Code::InvalidPartitions
        | Code::InvalidConfig
        | Code::InvalidArgument
        | Code::PolicyViolation => ErrorKind::Misconfigured,
        Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::LogTruncation => ErrorKind::OffsetGap,
        _ => ErrorKind::Unknown,
    }
}

/// What to do about a code, where more can be said than for its kind.
fn cure_of(code: Code) -> &'static str {
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
            "; create the topic or run `nova connector apply`"
        }
        Code::FencedInstanceId => {
            "; another process has joined with the same `kafka.instance_id` and has taken over: give each process its own"
        }
        Code::UnreleasedInstanceId => {
            "; a member with the same `kafka.instance_id` has not left: after a crash its session must time out first, and a process that runs needs another `kafka.instance_id`"
        }
        Code::TopicAuthorizationFailed => "; grant READ and DESCRIBE (WRITE for dead letters) on the topic",
        Code::GroupAuthorizationFailed => "; grant READ on the consumer group",
        Code::OffsetMetadataTooLarge => "; raise the broker's `offset.metadata.max.bytes`",
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => "; raise `max.message.bytes` of the topic",
        Code::UnsupportedVersion | Code::UnsupportedFeature => {
            "; with `group_protocol = \"consumer\"` the broker must be 4.0 or newer"
        }
        Code::InvalidSessionTimeout => "; choose one within the broker's `group.min/max.session.timeout.ms`",
        Code::InvalidTimestamp => {
            "; this machine's clock and the broker's differ: set this one, or the topic's message.timestamp.type to LogAppendTime"
        }
        _ => "",
    }
}

/// The code inside an error of rdkafka, where there is one.
pub(crate) fn code_of(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// `doing` names the act and its place, for example `reading the committed offsets of cdc.likes`.
pub(crate) fn failed(doing: &str, error: &KafkaError) -> PipelineError {
    match (code_of(error), error) {
        (Some(code), _) => coded(doing, code),
        (None, KafkaError::ClientConfig(_, reason, key, _)) => {
            // The value is left out: it may be a password.
            PipelineError::new(ErrorKind::Misconfigured, format!("{doing}: setting `{key}`: {reason}"))
        }
        (None, KafkaError::ClientCreation(reason)) => {
            PipelineError::new(ErrorKind::Misconfigured, format!("{doing}: {reason}"))
        }
        (None, KafkaError::Canceled) => {
            PipelineError::new(ErrorKind::LostReply, format!("{doing}: cancelled"))
        }
        (None, other) => PipelineError::new(ErrorKind::Unknown, format!("{doing}: {other}")),
    }
}

/// The same for a bare code.
pub(crate) fn coded(doing: &str, code: Code) -> PipelineError {
    PipelineError::new(kind_of(code), format!("{doing}: {code}{}", cure_of(code)))
}

/// The same for an error after which this client works no more (`rd_kafka_fatal_error`).
///
/// librdkafka 2.12 gets itself into `InvalidRequest` when `max.poll.interval.ms` passes while a release is awaited in
/// the KIP-848 protocol: it has left, and sends a heartbeat that neither joins nor continues. A new member cures it.
pub(crate) fn fatal(doing: &str, code: Code, reason: &str) -> PipelineError {
    let kind = if code == Code::InvalidRequest { ErrorKind::Fenced } else { kind_of(code) };
    PipelineError::new(kind, format!("{doing}: {code}: {reason}{}", cure_of(code)))
}

/// The same for a request made as a member of the group.
///
/// While a rebalance is under way the broker refuses with these three codes also members it still counts: the
/// generation or epoch has moved on and the member hears of it a moment later. Unless `lost` (librdkafka has
/// learned that the assignment is gone), asking again is right; leaving the group would start one rebalance more.
pub(crate) fn failed_as_member(doing: &str, error: &KafkaError, lost: bool) -> PipelineError {
    let mut failure = failed(doing, error);
    let passing = matches!(
        code_of(error),
        Some(Code::RebalanceInProgress | Code::IllegalGeneration | Code::StaleMemberEpoch)
    );
    if passing && !lost {
        failure.kind = ErrorKind::Unavailable;
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_kinds_that_policy_relies_on() {
        for (code, kind) in [
            (Code::UnknownMemberId, ErrorKind::Fenced),
            (Code::FencedInstanceId, ErrorKind::Misconfigured),
            (Code::UnreleasedInstanceId, ErrorKind::Fenced),
            (Code::BrokerTransportFailure, ErrorKind::Unavailable),
            (Code::CoordinatorLoadInProgress, ErrorKind::Unavailable),
            (Code::GroupAuthorizationFailed, ErrorKind::AccessDenied),
            (Code::UnknownTopicOrPartition, ErrorKind::Misconfigured),
            (Code::AutoOffsetReset, ErrorKind::OffsetGap),
            (Code::InvalidProducerEpoch, ErrorKind::Unknown),
        ] {
            assert_eq!(kind_of(code), kind, "{code:?}");
        }
    }

    #[test]
    fn a_rebalance_under_way_fences_only_a_member_that_has_lost_its_partitions() {
        for code in [Code::RebalanceInProgress, Code::IllegalGeneration, Code::StaleMemberEpoch] {
            let error = KafkaError::ConsumerCommit(code);
            assert_eq!(failed_as_member("committing", &error, false).kind, ErrorKind::Unavailable);
            assert_eq!(failed_as_member("committing", &error, true).kind, ErrorKind::Fenced);
        }
        let unknown = KafkaError::ConsumerCommit(Code::UnknownMemberId);
        assert_eq!(failed_as_member("committing", &unknown, false).kind, ErrorKind::Fenced);
    }

    #[test]
    fn a_missing_topic_comes_with_its_cure() {
        let text = coded("reading cdc.likes", Code::UnknownTopicOrPartition).message;
        assert!(text.starts_with("reading cdc.likes: "), "{text}");
        assert!(text.ends_with("create the topic or run `nova connector apply`"), "{text}");
    }
}
