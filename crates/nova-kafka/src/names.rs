//! The metrics of this crate, as kafka_exporter has them (<https://github.com/danielqsj/kafka_exporter>).
//!
//! Invariant: a metric's name is written here and nowhere else. Labels: `consumergroup`, `topic`, `partition`, where not
//! said otherwise.

use std::collections::BTreeMap;

use nova_pipeline::metrics::Metric;

use crate::GroupLag;

/// Gauge: the group's committed offset.
pub const CURRENT_OFFSET: &str = "kafka_consumergroup_current_offset";
/// Gauge: messages between the committed offset and the end.
pub const LAG: &str = "kafka_consumergroup_lag";
/// Gauge: the age of the oldest message that the group has not read, in seconds; 0 when there is none.
pub const LAG_SECONDS: &str = "kafka_consumergroup_lag_seconds";
/// Gauge: the offset after the last message of a partition (labels `topic`, `partition`).
pub const END_OFFSET: &str = "kafka_topic_partition_current_offset";
/// Gauge: the oldest offset of a partition (labels `topic`, `partition`).
pub const OLDEST_OFFSET: &str = "kafka_topic_partition_oldest_offset";
/// Gauge: how near a stream is to losing unread messages to retention (label `stream`), the worst of its partitions;
/// [`PartitionLag::retention_used`](crate::PartitionLag::retention_used).
pub const RETENTION_USED: &str = "nova_retention_used_ratio";
/// Gauge: seconds until retention may delete an unread message (label `stream`), the worst of its partitions.
pub const RETENTION_LEFT: &str = "nova_retention_left_seconds";

const OF_GROUP: &[&str] = &["consumergroup", "topic", "partition"];
const OF_TOPIC: &[&str] = &["topic", "partition"];

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric::gauge(CURRENT_OFFSET, OF_GROUP, "The consumer group's committed offset of a partition"),
    Metric::gauge(LAG, OF_GROUP, "Messages between the committed offset and the end of a partition"),
    Metric::gauge(
        LAG_SECONDS,
        OF_GROUP,
        "Age of the oldest message that the group has not read, in seconds; 0 when there is none",
    ),
    Metric::gauge(END_OFFSET, OF_TOPIC, "The offset after the last message of a partition"),
    Metric::gauge(OLDEST_OFFSET, OF_TOPIC, "The oldest offset a partition still holds"),
    Metric::gauge(
        RETENTION_USED,
        &["stream"],
        "Share of the messages still held that the group has not read, where retention deletes; 1: messages are lost",
    ),
    Metric::gauge(
        RETENTION_LEFT,
        &["stream"],
        "Seconds until the topic's retention.ms lets an unread message be deleted; all of it while everything is read",
    ),
];

impl GroupLag {
    /// Sets the gauges of this list that are by group or partition; `unread_since_ms` as of [`standing_since`](crate::standing_since).
    pub fn publish(&self, unread_since_ms: &BTreeMap<i32, i64>, now_ms: i64) {
        // Offsets below 2^53 are exact in a gauge.
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        let float = |offset: i64| offset as f64;
        for lag in &self.partitions {
            let of_topic = [("topic", self.topic.clone()), ("partition", lag.partition.to_string())];
            let mut of_group = of_topic.to_vec();
            of_group.push(("consumergroup", self.group.clone()));
            metrics::gauge!(LAG, &of_group).set(float(lag.messages()));
            let since_ms = unread_since_ms.get(&lag.partition).copied().unwrap_or(now_ms);
            metrics::gauge!(LAG_SECONDS, &of_group).set(float((now_ms - since_ms).max(0)) / 1000.0);
            if let Some(committed) = lag.committed {
                metrics::gauge!(CURRENT_OFFSET, &of_group).set(float(committed));
            }
            metrics::gauge!(END_OFFSET, &of_topic).set(float(lag.high));
            metrics::gauge!(OLDEST_OFFSET, &of_topic).set(float(lag.low));
        }
    }
}
