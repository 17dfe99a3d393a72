//! How far the live stream is behind, while a job works beside it.

use std::time::Duration;

use nova_kafka::{KafkaConnection, PartitionLag, describe};
use nova_pipeline::PipelineError;

/// How often it is asked.
pub const EVERY: Duration = Duration::from_secs(2);

/// A stream's consumer group.
#[derive(Debug, Clone)]
pub struct Live {
    /// How the brokers are reached.
    pub connection: KafkaConnection,
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
}

impl Live {
    /// Messages that the group has not read yet, where it reads at all.
    ///
    /// # Errors
    /// By kind, those of any question to Kafka.
    pub async fn lag(&self) -> Result<i64, PipelineError> {
        let lag = describe(&self.connection, &self.group, &self.topic).await?;
        let read = lag.partitions.iter().filter(|lag| lag.committed.is_some());
        Ok(read.map(PartitionLag::messages).sum())
    }
}
