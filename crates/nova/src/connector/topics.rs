//! The topics that `nova connector apply` makes.
//!
//! Connect makes none of its own: without the topic of the heartbeat, the transactions or the signals, Debezium's
//! producer waits for ever while the connector reads RUNNING (seen with `auto.create.topics.enable=false`).
//! Invariant: what exists is left as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use nova_kafka::TopicSpec;

use super::routing::Routing;
use crate::config::Config;

/// Nobody reads Debezium's own topics but a person who is looking for something.
const OWN_RETENTION: Duration = Duration::from_secs(24 * 3600);

/// Every topic that the connector and the streams need.
pub(super) fn specs(config: &Config, routing: &Routing) -> Vec<TopicSpec> {
    let (partitions, retention) = (i32::from(config.connect.partitions), config.connect.retention);
    let make = |name: &str, partitions, retention| spec(config, name, partitions, retention);
    let declared = routing.topics().map(|topic| make(topic, partitions, retention));
    let own = routing.own_topics().map(|topic| make(&topic, 1, OWN_RETENTION));
    let dead_letters = Some(config.kafka.dead_letter_topic.as_str()).filter(|topic| !topic.is_empty());
    let dead_letters = dead_letters.map(|topic| {
        let mut spec = make(topic, 1, retention);
        // The broker refuses times that its own clock has not reached, and a worker's clock may be wrong.
        spec.configs.insert("message.timestamp.type".to_owned(), "LogAppendTime".to_owned());
        spec
    });
    declared.chain(own).chain(dead_letters).collect()
}

fn spec(config: &Config, name: &str, partitions: i32, retention: Duration) -> TopicSpec {
    let replicas = config.connect.replicas;
    let configs = BTreeMap::from([
        ("cleanup.policy".to_owned(), "delete".to_owned()),
        ("retention.ms".to_owned(), retention.as_millis().to_string()),
        // With acks=all, a message that Kafka has accepted survives the loss of a broker.
        ("min.insync.replicas".to_owned(), replicas.clamp(1, 2).to_string()),
    ]);
    TopicSpec { name: name.to_owned(), partitions, replication: i32::from(replicas), configs }
}

#[cfg(test)]
mod tests {
    use super::super::routing::tests::streams;
    use super::*;

    #[test]
    fn declared_topics_get_partitions_and_retention_the_others_little() {
        let config = Config::default();
        let routing = Routing::of(&streams(&[("likes", "public.likes", "cdc.likes")])).unwrap();
        let specs = specs(&config, &routing);
        let summary: Vec<_> = specs
            .iter()
            .map(|spec| (spec.name.as_str(), spec.partitions, spec.configs["retention.ms"].as_str()))
            .collect();
        assert_eq!(
            summary,
            [
                ("cdc.likes", 12, "2592000000"),
                ("cdc.transaction", 1, "86400000"),
                ("__debezium-heartbeat.cdc", 1, "86400000"),
                ("cdc.debezium_signal", 1, "86400000"),
                ("nova.dead-letters", 1, "2592000000"),
            ]
        );
        let stamped: Vec<_> =
            specs.iter().filter(|spec| spec.configs.contains_key("message.timestamp.type")).collect();
        assert!(matches!(stamped[..], [spec] if spec.name == "nova.dead-letters"));
        assert!(specs.iter().all(|spec| spec.configs["min.insync.replicas"] == "2" && spec.replication == 3));
    }
}
