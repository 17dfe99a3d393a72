//! Kafka: the topics are there, keep their messages long enough, and the groups keep up.

use std::time::Duration;

use nova_kafka::{KafkaConnection, TopicFacts, describe, reach, topic_facts};
use nova_pipeline::{ErrorKind, PipelineError};
use nova_streams::StreamSet;

use super::check::{Check, Group};
use crate::config::Config;
use crate::connector::Routing;

const GROUP: Group = Group("Kafka");
/// librdkafka itself would try for ever. A handshake takes seconds where no processor is free.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Below this, a long outage or a late repair finds its messages gone.
const RETENTION_DAYS: i64 = 30;
const APPLY: &str = "`nova connector apply` makes it.";

/// All checks of Kafka.
pub(super) async fn checks(config: &Config, streams: &StreamSet) -> Vec<Check> {
    let connection = config.kafka.connection();
    let brokers = &config.kafka.brokers;
    if let Err(error) = reach(&connection, ANSWER_WITHIN).await {
        let check = match error.kind {
            ErrorKind::Unavailable => {
                let cure = "Start Kafka, or correct kafka.brokers and kafka.security.";
                GROUP.unreachable(brokers, error.message, cure)
            }
            ErrorKind::Untrusted => GROUP.unreachable(brokers, error.message, error.kind.advice()),
            _ => GROUP.fail(brokers, error.message, "Correct [kafka]."),
        };
        let skipped = ["topics", "dead letters", "group lag"];
        return std::iter::once(check)
            .chain(skipped.map(|name| GROUP.skipped(name, "needs the answer above")))
            .collect();
    }
    let mut checks = vec![GROUP.ok(brokers, "answers")];
    let mut seen: Vec<&str> = Vec::new();
    for stream in streams.iter() {
        if !seen.contains(&stream.topic.as_str()) {
            seen.push(&stream.topic);
            checks.extend(topic(&connection, &stream.topic).await);
        }
    }
    if let Ok(routing) = Routing::of(streams) {
        checks.extend(debeziums(&connection, &routing).await);
    }
    checks.push(dead_letters(&connection, &config.kafka.dead_letter_topic).await);
    for stream in streams.iter() {
        checks.push(lag(&connection, &config.group(&stream.name), &stream.topic).await);
    }
    checks
}

async fn topic(connection: &KafkaConnection, topic: &str) -> Vec<Check> {
    match topic_facts(connection, topic).await {
        Ok(facts) => vec![layout(topic, &facts), retention(topic, &facts), cleanup(topic, &facts)],
        Err(error) => vec![missing(topic, error)],
    }
}

/// A topic of Debezium's own that is missing stops the connector without an error.
async fn debeziums(connection: &KafkaConnection, routing: &Routing) -> Vec<Check> {
    let mut checks = Vec::new();
    for topic in routing.own_topics() {
        checks.extend(topic_facts(connection, &topic).await.err().map(|error| missing(&topic, error)));
    }
    checks
}

async fn dead_letters(connection: &KafkaConnection, topic: &str) -> Check {
    if topic.is_empty() {
        let finding = "no topic is set: poison halts its stream";
        return GROUP.warn("dead letters", finding, "Set kafka.dead_letter_topic, unless that is meant.");
    }
    match topic_facts(connection, topic).await {
        Ok(facts) => GROUP.ok(format!("dead letters, {topic}"), format!("{} partitions", facts.partitions)),
        Err(error) => missing(topic, error),
    }
}

fn missing(topic: &str, error: PipelineError) -> Check {
    let cure = if error.kind == ErrorKind::Misconfigured { APPLY } else { error.kind.advice() };
    GROUP.fail(format!("topic {topic}"), error.message, cure)
}

fn layout(topic: &str, facts: &TopicFacts) -> Check {
    let name = format!("topic {topic}");
    let TopicFacts { partitions, replication, min_insync_replicas, .. } = facts;
    let insync = min_insync_replicas.unwrap_or(1);
    let finding = format!("{partitions} partitions, {replication} replicas, min.insync.replicas {insync}");
    if *partitions == 0 {
        GROUP.fail(name, finding, APPLY)
    } else if *replication < 2 {
        GROUP.warn(
            name,
            finding,
            "One broker holds it alone: fine for development; elsewhere reassign it to three.",
        )
    } else if insync < 2 {
        let cure = "Set the topic's min.insync.replicas=2, so that an accepted message survives the loss of a broker.";
        GROUP.warn(name, finding, cure)
    } else {
        GROUP.ok(name, finding)
    }
}

fn retention(topic: &str, facts: &TopicFacts) -> Check {
    let name = format!("topic {topic}: retention");
    match facts.retention_ms {
        Some(ms) if ms < 0 => GROUP.ok(name, "for ever"),
        Some(ms) if ms >= RETENTION_DAYS * DAY_MS => GROUP.ok(name, format!("{} days", ms / DAY_MS)),
        Some(ms) => {
            let span = Duration::from_millis(u64::try_from(ms).unwrap_or_default());
            let finding = format!("{:.1} days", span.as_secs_f64() / 86_400.0);
            let cure = format!(
                "Set the topic's retention.ms to {} ({RETENTION_DAYS} days) or more.",
                RETENTION_DAYS * DAY_MS
            );
            GROUP.warn(name, finding, cure)
        }
        None => GROUP.warn(name, "unknown", "See that the user may DESCRIBE_CONFIGS."),
    }
}

fn cleanup(topic: &str, facts: &TopicFacts) -> Check {
    let name = format!("topic {topic}: cleanup.policy");
    match facts.cleanup_policy.as_deref() {
        Some("delete") => GROUP.ok(name, "delete"),
        Some(other) => {
            let cure = "Set the topic's cleanup.policy=delete: compaction throws changes away that state is the sum of.";
            GROUP.fail(name, other, cure)
        }
        None => GROUP.warn(name, "unknown", "See that the user may DESCRIBE_CONFIGS."),
    }
}

async fn lag(connection: &KafkaConnection, group: &str, topic: &str) -> Check {
    let name = format!("group {group}");
    let lag = match describe(connection, group, topic).await {
        Ok(lag) => lag,
        Err(error) => return GROUP.skipped(name, error.message),
    };
    let expired: i64 = lag.partitions.iter().map(nova_kafka::PartitionLag::expired).sum();
    if expired > 0 {
        let cure = "`nova run` halts at the gap; `nova offsets show` names the command that goes on, and \
                    docs/runbooks/offsets.md how to make good what is gone.";
        return GROUP.fail(name, format!("{expired} offsets of {topic} expired before they were read"), cure);
    }
    if lag.partitions.iter().all(|partition| partition.committed.is_none()) {
        return GROUP.ok(name, format!("has not begun; {topic} holds {} offsets", lag.messages()));
    }
    if lag.partitions.iter().any(nova_kafka::PartitionLag::near_expiry) {
        let finding = format!("reads the oldest fifth of {topic}, and retention deletes it");
        let cure = "Speed the stream up, or raise the topic's retention.ms; `nova offsets show` tells how long is left.";
        return GROUP.warn(name, finding, cure);
    }
    GROUP
        .ok(name, format!("{} offsets (transaction markers count) behind the end of {topic}", lag.messages()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Level;

    fn facts() -> TopicFacts {
        TopicFacts {
            partitions: 12,
            replication: 3,
            retention_ms: Some(RETENTION_DAYS * DAY_MS),
            min_insync_replicas: Some(2),
            cleanup_policy: Some("delete".into()),
        }
    }

    #[test]
    fn a_topic_as_apply_makes_it_is_fine() {
        let facts = facts();
        for check in [layout("t", &facts), retention("t", &facts), cleanup("t", &facts)] {
            assert_eq!(check.level, Level::Ok, "{check:?}");
        }
    }

    #[test]
    fn weak_settings_warn_and_compaction_fails() {
        let single = TopicFacts { replication: 1, min_insync_replicas: Some(1), ..facts() };
        assert_eq!(layout("t", &single).level, Level::Warn);
        assert_eq!(layout("t", &TopicFacts { min_insync_replicas: Some(1), ..facts() }).level, Level::Warn);
        assert_eq!(layout("t", &TopicFacts { partitions: 0, ..facts() }).level, Level::Fail);
        let week = retention("t", &TopicFacts { retention_ms: Some(7 * DAY_MS), ..facts() });
        assert_eq!((week.level, week.finding.as_str()), (Level::Warn, "7.0 days"));
        assert_eq!(retention("t", &TopicFacts { retention_ms: Some(-1), ..facts() }).level, Level::Ok);
        let compacted = TopicFacts { cleanup_policy: Some("compact".into()), ..facts() };
        assert_eq!(cleanup("t", &compacted).level, Level::Fail);
    }
}
