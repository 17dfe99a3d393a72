//! Up to where the rows of a table are final: an offset for each partition of each topic that is written into it.
//!
//! Invariant: whoever makes a frontier knows that every row of a message below it is in the table, durable, and that no
//! worker writes there any more: a group's committed offsets are one. Partitions that it does not name are final as a whole
//! (rows of repairs and backfills, topics that nobody reads).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sql::literal_content;

/// Offsets by topic and partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier(BTreeMap<String, BTreeMap<i32, i64>>);

impl Frontier {
    /// Sets the offset of one partition.
    pub fn set(&mut self, topic: &str, partition: i32, offset: i64) {
        self.0.entry(topic.to_owned()).or_default().insert(partition, offset);
    }

    /// The offset of a partition, if it is named.
    #[must_use]
    pub fn get(&self, topic: &str, partition: i32) -> Option<i64> {
        self.0.get(topic)?.get(&partition).copied()
    }

    /// For each partition that one of them names, the lower offset.
    #[must_use]
    pub fn lowest(mut self, other: &Self) -> Self {
        for (topic, offsets) in &other.0 {
            let own = self.0.entry(topic.clone()).or_default();
            for (partition, offset) in offsets {
                own.entry(*partition).and_modify(|own| *own = (*own).min(*offset)).or_insert(*offset);
            }
        }
        self
    }

    /// Whether it names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The condition that a row is not final: its message stands at the frontier or behind it.
    pub(super) fn beyond(&self) -> String {
        let of_topic = |(topic, offsets): (&String, &BTreeMap<i32, i64>)| {
            let partitions: Vec<String> = offsets
                .iter()
                .map(|(partition, offset)| {
                    format!("(kafka_partition = {partition} AND kafka_offset >= {})", (*offset).max(0))
                })
                .collect();
            format!("(topic = '{}' AND ({}))", literal_content(topic), partitions.join(" OR "))
        };
        let topics: Vec<String> =
            self.0.iter().filter(|(_, offsets)| !offsets.is_empty()).map(of_topic).collect();
        if topics.is_empty() { "0".to_owned() } else { format!("({})", topics.join(" OR ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_final_is_named_by_topic_partition_and_offset() {
        let mut frontier = Frontier::default();
        assert_eq!((frontier.beyond().as_str(), frontier.is_empty()), ("0", true));
        frontier.set("cdc.likes", 0, 10);
        frontier.set("cdc.likes", 3, -1);
        frontier.set("it's", 0, 4);
        assert_eq!(
            frontier.beyond(),
            "((topic = 'cdc.likes' AND ((kafka_partition = 0 AND kafka_offset >= 10) OR \
             (kafka_partition = 3 AND kafka_offset >= 0))) OR \
             (topic = 'it\\'s' AND ((kafka_partition = 0 AND kafka_offset >= 4))))"
        );
        assert_eq!((frontier.get("cdc.likes", 0), frontier.get("cdc.likes", 1)), (Some(10), None));
        let mut other = Frontier::default();
        other.set("cdc.likes", 0, 11);
        other.set("cdc.likes", 3, -2);
        other.set("posts", 1, 4);
        let lowest = frontier.clone().lowest(&other);
        let at = |topic, partition| lowest.get(topic, partition);
        assert_eq!((at("cdc.likes", 0), at("cdc.likes", 3), at("posts", 1)), (Some(10), Some(-2), Some(4)));
        let text = serde_json::to_string(&frontier).unwrap();
        assert_eq!(serde_json::from_str::<Frontier>(&text).unwrap(), frontier);
    }
}
