//! Names of the metrics of this crate, as kafka_exporter has them (<https://github.com/danielqsj/kafka_exporter>).
//!
//! Invariant: a metric's name is written here and nowhere else. Labels: `consumergroup`, `topic`, `partition`, where not
//! said otherwise.

/// Gauge: the group's committed offset.
pub const CURRENT_OFFSET: &str = "kafka_consumergroup_current_offset";
/// Gauge: messages between the committed offset and the end.
pub const LAG: &str = "kafka_consumergroup_lag";
/// Gauge: the offset after the last message of a partition (labels `topic`, `partition`).
pub const END_OFFSET: &str = "kafka_topic_partition_current_offset";
/// Gauge: the oldest offset of a partition (labels `topic`, `partition`).
pub const OLDEST_OFFSET: &str = "kafka_topic_partition_oldest_offset";
/// Gauge: how near a stream is to losing unread messages to retention (label `stream`), the worst of its partitions;
/// [`PartitionLag::retention_used`](crate::PartitionLag::retention_used).
pub const RETENTION_USED: &str = "nova_retention_used_ratio";

/// Tells the metrics recorder what the metrics mean.
pub fn describe() {
    metrics::describe_gauge!(CURRENT_OFFSET, "The consumer group's committed offset of a partition");
    metrics::describe_gauge!(LAG, "Messages between the committed offset and the end of a partition");
    metrics::describe_gauge!(END_OFFSET, "The offset after the last message of a partition");
    metrics::describe_gauge!(OLDEST_OFFSET, "The oldest offset a partition still holds");
    metrics::describe_gauge!(
        RETENTION_USED,
        "Share of the messages still held that the group has not read, where retention deletes; 1: messages are lost"
    );
}
