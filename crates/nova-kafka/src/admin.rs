//! Topics: made where they are missing, and described for `nova doctor`.
//!
//! Invariant: an existing topic is never changed.

use std::collections::BTreeMap;
use std::time::Duration;

use nova_pipeline::{ErrorKind, PipelineError};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;

use crate::context::Logs;
use crate::errors::{coded, failed};
use crate::options::{KafkaConnection, check_topic};
use crate::reach::explained;
use crate::source::ANSWER_WITHIN;

/// A topic to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: i32,
    /// How many replicas of each.
    pub replication: i32,
    /// Settings, for example `retention.ms` (<https://kafka.apache.org/documentation/#topicconfigs>).
    pub configs: BTreeMap<String, String>,
}

/// What became of a [`TopicSpec`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was made.
    New,
    /// It was there already, and was left as it is.
    Existed,
}

/// What `nova doctor` wants to know about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFacts {
    /// How many partitions.
    pub partitions: usize,
    /// Replicas of the partition that has the fewest.
    pub replication: usize,
    /// `retention.ms`; -1 keeps for ever.
    pub retention_ms: Option<i64>,
    /// `min.insync.replicas`.
    pub min_insync_replicas: Option<i32>,
    /// `cleanup.policy`: `delete`, `compact` or both.
    pub cleanup_policy: Option<String>,
}

/// Makes the topics that are missing; in the order of `specs`, what became of each.
///
/// # Errors
/// The first refusal; topics before and after it may have been made, and asking again is safe.
pub async fn create_topics(
    connection: &KafkaConnection,
    specs: &[TopicSpec],
) -> Result<Vec<Created>, PipelineError> {
    let doing = format!("making topics at {}", connection.brokers);
    for spec in specs {
        check_topic(&spec.name)?;
    }
    let topics: Vec<_> = specs.iter().map(new_topic).collect();
    let options = asking().operation_timeout(Some(Duration::from_secs(30)));
    let admin = admin(connection)?;
    let results = match admin.create_topics(&topics, &options).await {
        Ok(results) => results,
        Err(error) => return Err(explained(&connection.config()?, failed(&doing, &error)).await),
    };
    let each = results.into_iter().map(|result| match result {
        Ok(_) => Ok(Created::New),
        Err((_, Code::TopicAlreadyExists)) => Ok(Created::Existed),
        Err((topic, code)) => Err(coded(&format!("making the topic {topic}"), code)),
    });
    each.collect()
}

/// A broker that does not answer within this time is away.
fn asking() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_WITHIN))
}

fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    let topic = NewTopic::new(&spec.name, spec.partitions, TopicReplication::Fixed(spec.replication));
    spec.configs.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
}

/// Describes a topic.
///
/// # Errors
/// `Misconfigured` for a missing topic, `AccessDenied` (DESCRIBE and DESCRIBE_CONFIGS are wanted), `Unavailable`.
pub async fn topic_facts(connection: &KafkaConnection, topic: &str) -> Result<TopicFacts, PipelineError> {
    check_topic(topic)?;
    let doing = format!("describing the topic {topic}");
    let admin = admin(connection)?;
    let resource = [ResourceSpecifier::Topic(topic)];
    let described = match admin.describe_configs(&resource, &asking()).await {
        Ok(described) => described.into_iter().next(),
        Err(error) => return Err(explained(&connection.config()?, failed(&doing, &error)).await),
    };
    let described =
        described.ok_or_else(|| PipelineError::new(ErrorKind::Unknown, format!("{doing}: no answer")))?;
    let described = described.map_err(|code| coded(&doing, code))?;
    let config = |name: &str| described.get(name).and_then(|entry| entry.value.clone());
    let (partitions, replication) = layout(admin, topic.to_owned(), doing.clone()).await?;
    Ok(TopicFacts {
        partitions,
        replication,
        retention_ms: config("retention.ms").and_then(|value| value.parse().ok()),
        min_insync_replicas: config("min.insync.replicas").and_then(|value| value.parse().ok()),
        cleanup_policy: config("cleanup.policy"),
    })
}

async fn layout(
    admin: AdminClient<Logs>,
    topic: String,
    doing: String,
) -> Result<(usize, usize), PipelineError> {
    let asking = tokio::task::spawn_blocking(move || {
        let metadata = admin
            .inner()
            .fetch_metadata(Some(&topic), ANSWER_WITHIN)
            .map_err(|error| failed(&doing, &error))?;
        let found = metadata.topics().first();
        if let Some(error) = found.and_then(rdkafka::metadata::MetadataTopic::error) {
            return Err(coded(&doing, error.into()));
        }
        let partitions = found.map_or(&[][..], |found| found.partitions());
        let replication = partitions.iter().map(|partition| partition.replicas().len()).min();
        Ok((partitions.len(), replication.unwrap_or(0)))
    });
    asking.await.unwrap_or_else(|error| {
        Err(PipelineError::new(ErrorKind::Unknown, format!("a call to Kafka: {error}")))
    })
}

fn admin(connection: &KafkaConnection) -> Result<AdminClient<Logs>, PipelineError> {
    let doing = format!("connecting to Kafka at {}", connection.brokers);
    connection.config()?.create_with_context(Logs).map_err(|error| failed(&doing, &error))
}
