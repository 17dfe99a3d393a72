//! Scaling by lag: one trigger per stream, each blind to a partition that cannot move, none beyond the partitions.

use serde_json::Value;

use super::super::yaml::{list, name, of_kind, text};
use super::unmet;

pub(super) fn findings(objects: &[Value]) -> Vec<String> {
    of_kind(objects, "ScaledObject").flat_map(|scaled| of_scaled(scaled, objects)).collect()
}

fn of_scaled(scaled: &Value, objects: &[Value]) -> Vec<String> {
    let target = text(scaled, "/spec/scaleTargetRef/name");
    let deployment = of_kind(objects, "Deployment").find(|object| text(object, "/metadata/name") == target);
    let most = scaled.pointer("/spec/maxReplicaCount").and_then(Value::as_u64);
    let least = scaled.pointer("/spec/minReplicaCount").and_then(Value::as_u64);
    let mut findings = unmet(
        &name(scaled),
        &[
            (
                deployment.is_some_and(|found| found.pointer("/spec/replicas").is_none()),
                "it scales no Deployment, or one whose manifest sets replicas",
            ),
            (
                least.is_some_and(|least| least >= 1),
                "it may scale to nothing; a stopped worker holds back no lag",
            ),
        ],
    );
    for trigger in list(scaled, "/spec/triggers") {
        let setting = |key: &str| text(trigger, &format!("/metadata/{key}"));
        let topic = setting("topic");
        let partitions = of_kind(objects, "KafkaTopic")
            .find(|object| [text(object, "/spec/topicName"), text(object, "/metadata/name")].contains(&topic))
            .and_then(|object| object.pointer("/spec/partitions")?.as_u64());
        let stream = topic.rsplit('.').next().unwrap_or_default();
        findings.extend(unmet(
            &format!("{} {topic}", name(scaled)),
            &[
                (
                    setting("excludePersistentLag") == "true",
                    "a partition that cannot move on would call for workers",
                ),
                (
                    setting("limitToPartitionsWithLag") == "true",
                    "one partition's lag would call for several workers",
                ),
                (setting("allowIdleConsumers") != "true", "workers without a partition would be started"),
                (
                    setting("consumerGroup") == format!("nova-{stream}"),
                    "the group is not that of the topic's stream",
                ),
                (most.is_some() && most <= partitions, "more workers than the topic has partitions"),
            ],
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{after, committed};
    use super::*;

    #[test]
    fn a_poison_partition_drives_nothing() {
        let files =
            ["components/autoscaling/scale-cdc.yaml", "components/kafka/topics.yaml", "base/worker-cdc.yaml"];
        let objects = committed(&files);
        assert_eq!(findings(&objects), Vec::<String>::new());
        let name = "ScaledObject/nova-cdc";
        for (pointer, value, finding) in [
            ("/spec/triggers/1/metadata/excludePersistentLag", json!("false"), "cannot move on"),
            ("/spec/triggers/1/metadata/limitToPartitionsWithLag", json!("false"), "several workers"),
            ("/spec/triggers/1/metadata/allowIdleConsumers", json!("true"), "without a partition"),
            (
                "/spec/triggers/1/metadata/consumerGroup",
                json!("nova-posts"),
                "not that of the topic's stream",
            ),
            ("/spec/minReplicaCount", json!(0), "scale to nothing"),
            ("/spec/scaleTargetRef/name", json!("nova"), "scales no Deployment"),
        ] {
            let found = after(findings, &objects, name, pointer, value);
            assert!(found.len() == 1 && found[0].contains(finding), "{pointer}: {found:?}");
        }
        assert_eq!(after(findings, &objects, name, "/spec/maxReplicaCount", json!(13)).len(), 4);
    }
}
