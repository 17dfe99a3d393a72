//! The connector and the topics that `deploy/kubernetes` declares are those that `nova connector apply` would make.

use std::collections::BTreeMap;

use nova_streams::StreamSet;
use serde_json::Value;

use super::{Rendered, Routing, topics};
use crate::config::Config;
use crate::deploy_tests::{deploy, documents};

/// Settings that differ between environments: the connector reads them from files.
const ACCOUNT: [(&str, &str); 5] = [
    ("database.hostname", "host"),
    ("database.port", "port"),
    ("database.dbname", "database"),
    ("database.user", "user"),
    ("database.password", "password"),
];

fn routing() -> Routing {
    Routing::of(&StreamSet::load(&deploy("../config/streams.toml")).unwrap()).unwrap()
}

/// A setting as Kafka reads it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn settings(object: &Value) -> BTreeMap<String, String> {
    let config = object["spec"]["config"].as_object().unwrap();
    config.iter().map(|(key, value)| (key.clone(), plain(value))).collect()
}

#[test]
fn the_connector_is_the_one_that_is_rendered() {
    let declared = documents("kubernetes/components/kafka/connector.yaml").remove(0);
    let mut found = settings(&declared);
    found.insert("connector.class".to_owned(), plain(&declared["spec"]["class"]));
    found.insert("tasks.max".to_owned(), plain(&declared["spec"]["tasksMax"]));
    let mut wanted = Rendered::of(&Config::default(), &routing()).unwrap().settings().clone();
    for (key, file) in ACCOUNT {
        wanted.insert(key.to_owned(), format!("${{dir:/mnt/replication:{file}}}"));
    }
    assert_eq!(found, wanted);
    assert_eq!(declared["metadata"]["name"], Config::default().connect.connector.as_str());
}

#[test]
fn the_topics_are_those_that_apply_would_make() {
    let name = |topic: &Value| plain(topic["spec"].get("topicName").unwrap_or(&topic["metadata"]["name"]));
    let number = |topic: &Value, key: &str| i32::try_from(topic["spec"][key].as_i64().unwrap()).unwrap();
    let declared: BTreeMap<_, _> = documents("kubernetes/components/kafka/topics.yaml")
        .iter()
        .map(|topic| (name(topic), (number(topic, "partitions"), number(topic, "replicas"), settings(topic))))
        .collect();
    // What the deployment promises, whatever the defaults are.
    for stream in StreamSet::load(&deploy("../config/streams.toml")).unwrap().iter() {
        let (partitions, replicas, settings) = &declared[&stream.topic];
        assert_eq!((*partitions, *replicas), (12, 3), "{}", stream.topic);
        assert_eq!((&*settings["min.insync.replicas"], &*settings["retention.ms"]), ("2", "2592000000"));
    }
    let specs = topics::specs(&Config::default(), &routing());
    let wanted: BTreeMap<_, _> = specs
        .into_iter()
        .map(|spec| (spec.name, (spec.partitions, spec.replication, spec.configs)))
        .collect();
    assert_eq!(declared, wanted);
}
