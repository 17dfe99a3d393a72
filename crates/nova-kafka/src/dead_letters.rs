//! Dead letters, written to a Kafka topic.
//!
//! Invariant: a letter counts as written when all in-sync replicas have it (`acks=all`, idempotent), never before.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use nova_pipeline::fail_points::{self, Boundary};
use nova_pipeline::{DeadLetter, DeadLetters, ErrorKind, PipelineError, trace};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::context::Logs;
use crate::errors::{code_of, failed};
use crate::options::{KafkaConnection, check_topic};
use crate::{admin, letter};

/// How long the broker may take to acknowledge a letter before the caller hears that it did not.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);

/// The dead-letter topic. Key: `topic/partition/offset` of the message; value: the message's; headers: the
/// message's, then `nova.*`.
pub struct KafkaDeadLetters {
    producer: FutureProducer<Logs>,
    topic: String,
}

impl KafkaDeadLetters {
    /// Connects, and makes sure that `topic` (by custom `nova.dead-letters`) is there.
    ///
    /// # Errors
    /// `Misconfigured` for a missing topic or a setting, `AccessDenied`, `Unavailable`.
    pub async fn connect(connection: &KafkaConnection, topic: &str) -> Result<Self, PipelineError> {
        check_topic(topic)?;
        // Asked first: the producer would wait for a missing topic, or have the broker make one.
        admin::topic_facts(connection, topic).await?;
        let mut config = connection.config()?;
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("delivery.timeout.ms", ACKNOWLEDGED_WITHIN.as_millis().to_string())
            // One letter per batch: a broker that finds a batch too large then means that letter.
            .set("batch.num.messages", "1");
        let doing = format!("connecting to Kafka at {}", connection.brokers);
        let producer = config.create_with_context(Logs).map_err(|error| failed(&doing, &error))?;
        Ok(Self { producer, topic: topic.to_owned() })
    }

    async fn write_one(&self, letter: &DeadLetter) -> Result<(), PipelineError> {
        let key = letter::key(letter);
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let now_ms = u64::try_from(now_ms).unwrap_or(u64::MAX);
        let mut limit = letter.value.as_ref().map_or(0, Vec::len);
        loop {
            let record = FutureRecord {
                topic: &self.topic,
                partition: None,
                payload: letter::value(letter, limit),
                key: Some(&key),
                timestamp: None,
                headers: Some(letter::headers(letter, limit, now_ms)),
            };
            match self.producer.send(record, ACKNOWLEDGED_WITHIN).await {
                Ok(_) => return Ok(()),
                Err((error, _)) if too_large(&error) && limit > 0 => {
                    tracing::warn!(%key, limit, "a dead letter is too large for {}; its value is cut", self.topic);
                    limit /= 2;
                }
                Err((error, _)) => {
                    return Err(refused(&format!("writing the dead letter {key} to {}", self.topic), &error));
                }
            }
        }
    }
}

impl DeadLetters for KafkaDeadLetters {
    async fn write(&self, letters: &[DeadLetter]) -> Result<(), PipelineError> {
        fail_points::reach(Boundary::BeforeLetters);
        let written = join_all(letters.iter().map(|letter| self.write_one(letter)));
        let all = async {
            let written = fail_points::amid(Boundary::AmidLetters, written).await;
            written.into_iter().collect::<Result<(), _>>()
        };
        trace::traced(trace::send(&self.topic, letters.len()), all).await?;
        fail_points::reach(Boundary::AfterLetters);
        Ok(())
    }
}

/// The topic was there at the start: when it is gone, its letters wait until it is there again.
fn refused(doing: &str, error: &KafkaError) -> PipelineError {
    let mut failure = failed(doing, error);
    if matches!(
        code_of(error),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
    ) {
        failure.kind = ErrorKind::Unavailable;
    }
    failure
}

fn too_large(error: &KafkaError) -> bool {
    matches!(code_of(error), Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge))
}
