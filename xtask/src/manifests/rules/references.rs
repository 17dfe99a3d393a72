//! What a pod mounts or reads is there: ConfigMaps in this very version, Secrets that somebody makes, all in one namespace.
//!
//! Invariant: a ConfigMap's name ends in the hash of its content, so a change of settings is a rollout, and undoing it another.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::yaml::{list, name, of_kind, text};
use super::templates;

const NAMESPACE: &str = "nova";
/// Made by Strimzi for the cluster `kafka`.
const CLUSTER_CA: &str = "kafka-cluster-ca-cert";

pub(super) fn findings(objects: &[Value]) -> Vec<String> {
    let maps: BTreeSet<&str> = of_kind(objects, "ConfigMap").map(|map| text(map, "/metadata/name")).collect();
    let secrets = secrets(objects);
    let unhashed = maps.iter().filter(|name| !is_hashed(name));
    let mut findings: Vec<String> = unhashed
        .map(|name| format!("ConfigMap/{name}: its name does not end in its content's hash"))
        .collect();
    let elsewhere = objects.iter().filter(|object| {
        text(object, "/kind") != "Namespace" && text(object, "/metadata/namespace") != NAMESPACE
    });
    findings
        .extend(elsewhere.map(|object| format!("{}: it is not in the namespace {NAMESPACE}", name(object))));
    for (owner, template) in templates(objects) {
        let mut used = Vec::new();
        references(template, &mut used);
        for (kind, name) in used {
            let there = if kind == "ConfigMap" { maps.contains(name) } else { secrets.contains(name) };
            if !there {
                findings.push(format!("{owner}: nothing here makes the {kind} `{name}`"));
            }
        }
    }
    findings
}

/// The Secrets that the operators make of the objects.
fn secrets(objects: &[Value]) -> BTreeSet<&str> {
    let external = of_kind(objects, "ExternalSecret").map(|object| text(object, "/spec/target/name"));
    let users = of_kind(objects, "KafkaUser").map(|object| text(object, "/metadata/name"));
    external.chain(users).chain([CLUSTER_CA]).collect()
}

/// Ten characters behind the last hyphen, as Kustomize writes them.
fn is_hashed(name: &str) -> bool {
    name.rsplit_once('-')
        .is_some_and(|(_, hash)| hash.len() == 10 && hash.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Every ConfigMap and Secret that a pod template names.
fn references<'v>(template: &'v Value, into: &mut Vec<(&'static str, &'v str)>) {
    for container in list(template, "/spec/containers") {
        let whole = list(container, "/envFrom")
            .iter()
            .map(|source| ("ConfigMap", text(source, "/configMapRef/name")));
        into.extend(whole);
        for variable in list(container, "/env") {
            into.extend([
                ("ConfigMap", text(variable, "/valueFrom/configMapKeyRef/name")),
                ("Secret", text(variable, "/valueFrom/secretKeyRef/name")),
            ]);
        }
    }
    for volume in list(template, "/spec/volumes") {
        into.extend([
            ("ConfigMap", text(volume, "/configMap/name")),
            ("Secret", text(volume, "/secret/secretName")),
        ]);
        for source in list(volume, "/projected/sources") {
            into.extend([
                ("ConfigMap", text(source, "/configMap/name")),
                ("Secret", text(source, "/secret/name")),
            ]);
        }
    }
    into.retain(|(_, name)| !name.is_empty());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{after, committed};
    use super::*;

    /// The migration with the names that Kustomize gives to its ConfigMaps.
    fn objects() -> Vec<Value> {
        let hash = "abcdef2345";
        let mut objects = committed(&[
            "base/migrate.yaml",
            "components/secrets/clickhouse.yaml",
            "components/secrets/postgres.yaml",
        ]);
        let text = serde_json::to_string(&objects[0]).unwrap();
        let maps = ["nova-config", "nova-env", "nova-streams"];
        let text = maps
            .iter()
            .fold(text, |text, name| text.replace(&format!("\"{name}\""), &format!("\"{name}-{hash}\"")));
        objects[0] = serde_json::from_str(&text).unwrap();
        let map = |name| json!({"kind": "ConfigMap", "metadata": {"name": format!("{name}-{hash}")}});
        objects.extend(maps.map(map));
        for object in &mut objects {
            object["metadata"]["namespace"] = json!(NAMESPACE); // Kustomize does
        }
        objects
    }

    #[test]
    fn what_is_named_is_made() {
        assert_eq!(findings(&objects()), Vec::<String>::new());
    }

    #[test]
    fn what_nobody_makes_is_named() {
        let objects = objects();
        let found =
            after(findings, &objects, "ExternalSecret/nova-postgres-reader", "/spec/target/name", json!("x"));
        assert_eq!(found, ["Job/nova-migrate: nothing here makes the Secret `nova-postgres-reader`"]);
        let found =
            after(findings, &objects, "ConfigMap/nova-env-abcdef2345", "/metadata/name", json!("nova-env"));
        assert_eq!(
            found,
            [
                "ConfigMap/nova-env: its name does not end in its content's hash",
                "Job/nova-migrate: nothing here makes the ConfigMap `nova-env-abcdef2345`",
            ]
        );
        let found = after(findings, &objects, "Job/nova-migrate", "/metadata/namespace", json!("default"));
        assert_eq!(found, ["Job/nova-migrate: it is not in the namespace nova"]);
    }
}
