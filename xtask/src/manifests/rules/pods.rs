//! Every pod: no rights, no secrets in plain sight, bounded memory, a known image. Workers: probes and a budget for drains.

use serde_json::{Value, json};

use super::super::yaml::{list, name, of_kind, text};
use super::{templates, unmet};

/// Parts of names of variables whose value would be a secret.
const SECRETS: [&str; 4] = ["PASSWORD", "SECRET", "TOKEN", "HEADERS"];

pub(super) fn findings(objects: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    for (owner, template) in templates(objects) {
        let Some(pod) = template.get("spec") else { continue };
        findings.extend(of_pod(&owner, pod));
        for container in list(pod, "/containers").iter().chain(list(pod, "/initContainers")) {
            findings.extend(of_container(&format!("{owner} {}", text(container, "/name")), container));
        }
    }
    for worker in of_kind(objects, "Deployment") {
        findings.extend(of_worker(worker, objects));
    }
    let secrets =
        of_kind(objects, "Secret").map(|secret| format!("{}: a secret does not belong here", name(secret)));
    findings.extend(secrets);
    findings
}

fn of_pod(owner: &str, pod: &Value) -> Vec<String> {
    let is = |pointer: &str, value: Value| pod.pointer(pointer) == Some(&value);
    unmet(
        owner,
        &[
            (is("/automountServiceAccountToken", json!(false)), "automountServiceAccountToken is not false"),
            (
                is("/enableServiceLinks", json!(false)),
                "enableServiceLinks is not false; nova refuses such variables",
            ),
            (is("/securityContext/runAsNonRoot", json!(true)), "securityContext.runAsNonRoot is not true"),
            (
                is("/securityContext/seccompProfile/type", json!("RuntimeDefault")),
                "securityContext.seccompProfile is not RuntimeDefault",
            ),
        ],
    )
}

fn of_container(place: &str, container: &Value) -> Vec<String> {
    let is = |pointer: &str, value: Value| container.pointer(pointer) == Some(&value);
    let has = |pointer: &str| container.pointer(pointer).is_some();
    let mut findings = unmet(
        place,
        &[
            (is("/securityContext/readOnlyRootFilesystem", json!(true)), "its root is not read-only"),
            (is("/securityContext/allowPrivilegeEscalation", json!(false)), "it may gain privileges"),
            (is("/securityContext/capabilities/drop", json!(["ALL"])), "it keeps capabilities"),
            (has("/resources/requests/cpu"), "it requests no cpu"),
            (
                has("/resources/requests/memory") && has("/resources/limits/memory"),
                "its memory is not bounded",
            ),
            (is_pinned(text(container, "/image")), "its image has no tag, or `latest`"),
        ],
    );
    for variable in list(container, "/env") {
        let (name, plain) = (text(variable, "/name"), variable.get("value").is_some());
        if plain && SECRETS.iter().any(|part| name.contains(part)) && !name.ends_with("_FILE") {
            findings.push(format!("{place}: {name} is a secret in plain sight; name a file"));
        }
    }
    findings
}

/// Whether an image is named by digest or by a tag that is not moved.
pub(in super::super) fn is_pinned(image: &str) -> bool {
    // A registry's port has a colon, too.
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(['@', ':']).is_some_and(|(_, version)| !version.is_empty() && version != "latest")
}

fn of_worker(worker: &Value, objects: &[Value]) -> Vec<String> {
    let labels = worker.pointer("/spec/template/metadata/labels");
    let covers = |budget: &&Value| {
        let wanted = budget.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
        wanted.is_some_and(|wanted| {
            wanted.iter().all(|(key, value)| labels.and_then(|has| has.get(key)) == Some(value))
        })
    };
    let path = |probe: &str| text(worker, &format!("/spec/template/spec/containers/0/{probe}/httpGet/path"));
    let budgets = of_kind(objects, "PodDisruptionBudget").filter(covers).count();
    unmet(
        &name(worker),
        &[
            (
                path("livenessProbe") == "/health/live",
                "its liveness probe does not ask whether its workers move",
            ),
            (path("readinessProbe") == "/health/ready", "its readiness probe does not ask /health/ready"),
            (
                worker.pointer("/spec/template/spec/terminationGracePeriodSeconds").is_some(),
                "it has no grace period",
            ),
            (
                !list(worker, "/spec/template/spec/topologySpreadConstraints").is_empty(),
                "it is not spread over nodes",
            ),
            (budgets == 1, "no PodDisruptionBudget covers it, or several do"),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{after, committed};
    use super::*;

    fn objects() -> Vec<Value> {
        let mut objects = committed(&["base/worker-cdc.yaml", "base/disruption.yaml", "base/outbox.yaml"]);
        for pointer in ["/spec/template", "/spec/jobTemplate/spec/template"] {
            for image in objects
                .iter_mut()
                .filter_map(|object| object.pointer_mut(&format!("{pointer}/spec/containers/0/image")))
            {
                *image = json!("registry.example.com:5000/nova:0.1.0"); // an overlay names it
            }
        }
        objects
    }

    #[test]
    fn the_committed_workers_keep_the_rules() {
        assert_eq!(findings(&objects()), Vec::<String>::new());
    }

    #[test]
    fn each_rule_is_missed_by_name() {
        let container = "/spec/template/spec/containers/0";
        for (pointer, value, finding) in [
            ("/spec/template/spec/automountServiceAccountToken", json!(true), "automountServiceAccountToken"),
            ("/spec/template/spec/enableServiceLinks", json!(true), "enableServiceLinks"),
            ("/spec/template/spec/securityContext", json!({"runAsNonRoot": true}), "seccompProfile"),
            (
                &format!("{container}/securityContext/readOnlyRootFilesystem"),
                json!(false),
                "root is not read-only",
            ),
            (&format!("{container}/resources/limits"), json!({}), "memory is not bounded"),
            (&format!("{container}/image"), json!("registry.example.com:5000/nova:latest"), "`latest`"),
            (&format!("{container}/image"), json!("registry.example.com:5000/nova"), "no tag"),
            (&format!("{container}/livenessProbe/httpGet/path"), json!("/metrics"), "workers move"),
            (
                &format!("{container}/env"),
                json!([{"name": "NOVA_CLICKHOUSE_PASSWORD", "value": "x"}]),
                "NOVA_CLICKHOUSE_PASSWORD is a secret in plain sight",
            ),
            ("/spec/template/metadata/labels", json!({}), "no PodDisruptionBudget"),
        ] {
            let found = after(findings, &objects(), "Deployment/nova-cdc", pointer, value);
            assert!(found.len() == 1 && found[0].contains(finding), "{pointer}: {found:?}");
        }
    }
}
