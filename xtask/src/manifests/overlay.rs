//! What an overlay may do: choose components, and change environment, replicas and images.
//!
//! Invariant: whatever else differs between environments would be tested in none but production.

use serde_json::Value;

use super::yaml::{list, text};

/// How many patches an overlay may have.
const PATCHES: usize = 3;
/// Fields of a kustomization that choose, or change nothing but environment, replicas and images.
const FIELDS: [&str; 8] =
    ["apiVersion", "kind", "resources", "components", "images", "replicas", "configMapGenerator", "patches"];
/// The ConfigMaps of environment variables.
const ENVIRONMENT: [&str; 2] = ["nova-env", "nova-replay"];
/// The last part of a patch's path; the rest of it is on the way there.
const CHANGES: [&str; 5] = ["replicas", "minReplicaCount", "maxReplicaCount", "image", "env"];

/// What is wrong with an overlay's kustomization, and with its patches as they were read from their files.
pub(super) fn findings(kustomization: &Value, patches: &[Value]) -> Vec<String> {
    let mut findings = Vec::new();
    for field in kustomization.as_object().into_iter().flat_map(|fields| fields.keys()) {
        if !FIELDS.contains(&field.as_str()) {
            findings.push(format!("`{field}` is nothing that an overlay may use"));
        }
    }
    if list(kustomization, "/resources") != ["../../base"] {
        findings.push("its resources are ../../base, and components".to_owned());
    }
    for generator in list(kustomization, "/configMapGenerator") {
        let (name, behavior) = (text(generator, "/name"), text(generator, "/behavior"));
        if !ENVIRONMENT.contains(&name) || behavior != "merge" {
            let names = ENVIRONMENT.join(" and ");
            findings.push(format!("configMapGenerator {name}: only {names} may be merged into"));
        }
    }
    let count = list(kustomization, "/patches").len();
    if count > PATCHES {
        findings.push(format!("{count} patches, and {PATCHES} at most are allowed"));
    }
    for patch in list(kustomization, "/patches") {
        if patch.as_object().is_none_or(|fields| fields.keys().any(|field| field != "path")) {
            findings.push(format!("patch {patch}: a patch is a file, named by `path`"));
        }
    }
    for patch in patches {
        let mut paths = Vec::new();
        leaves(patch.get("spec").unwrap_or(&Value::Null), "spec", &mut paths);
        let others = paths.iter().filter(|path| !path.split('.').any(|part| CHANGES.contains(&part)));
        let name = super::yaml::name(patch);
        findings.extend(
            others.map(|path| format!("patch of {name}: {path} is no environment, replicas or image")),
        );
    }
    findings
}

/// The paths of all values that are no object.
fn leaves(value: &Value, path: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, inner)| leaves(inner, &format!("{path}.{name}"), into));
        }
        // Containers are patched by name, so their list is looked into.
        Value::Array(items) if path.ends_with("containers") => {
            for item in items {
                let Some(fields) = item.as_object() else { continue };
                let changed = fields.iter().filter(|(name, _)| *name != "name");
                changed.for_each(|(name, inner)| leaves(inner, &format!("{path}.{name}"), into));
            }
        }
        _ => into.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::documents;
    use super::*;

    const GOOD: &str = "
resources: [../../base]
components: [../../components/kafka]
replicas: [{name: nova-cdc, count: 3}]
configMapGenerator: [{name: nova-env, behavior: merge, literals: [NOVA_LOG_LEVEL=debug]}]
patches: [{path: a.yaml}]
";
    const PATCH: &str = "
kind: Deployment
metadata: {name: nova-cdc}
spec:
  replicas: 2
  template: {spec: {containers: [{name: nova, image: other, env: [{name: A, value: b}]}]}}
";

    fn findings_of(kustomization: &str, patch: &str) -> Vec<String> {
        findings(&documents(kustomization).unwrap()[0], &documents(patch).unwrap())
    }

    #[test]
    fn environment_replicas_and_images_may_be_changed() {
        assert_eq!(findings_of(GOOD, PATCH), Vec::<String>::new());
    }

    #[test]
    fn anything_else_is_named() {
        let patch = PATCH.replace("image: other", "resources: {limits: {memory: 1Gi}}");
        let found = findings_of(GOOD, &patch);
        let path = "spec.template.spec.containers.resources.limits.memory";
        assert_eq!(
            found,
            [format!("patch of Deployment/nova-cdc: {path} is no environment, replicas or image")]
        );
        for (from, to, finding) in [
            ("[../../base]", "[../../base, extra.yaml]", "its resources are ../../base"),
            ("replicas:", "namePrefix: x-\nreplicas:", "`namePrefix` is nothing"),
            ("name: nova-env", "name: nova-config", "configMapGenerator nova-config"),
            ("{path: a.yaml}", "{path: a}, {path: b}, {path: c}, {path: d}", "4 patches"),
            ("{path: a.yaml}", "{patch: '', target: {kind: Job}}", "a patch is a file"),
        ] {
            let found = findings_of(&GOOD.replace(from, to), PATCH);
            assert!(found.len() == 1 && found[0].contains(finding), "{found:?}");
        }
    }
}
