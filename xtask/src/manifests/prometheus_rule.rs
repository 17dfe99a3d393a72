//! The alerts for the Prometheus operator: the same groups as in `deploy/monitoring/rules.yaml`, as an object of its kind
//! (<https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusRule>).
//!
//! Invariant: there is one source. The object is written from it by `cargo xtask manifests --write`, and one that differs is a
//! finding; Kustomize cannot put a file's structure into an object.

use std::fs;

use anyhow::{Context, Result};

use crate::workspace;

const SOURCE: &str = "deploy/monitoring/rules.yaml";
const OBJECT: &str = "deploy/kubernetes/components/monitoring/rules.yaml";
const HEAD: &str = "\
# Written by `cargo xtask manifests --write` from deploy/monitoring/rules.yaml: change that.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: nova
spec:
";

/// Writes the object.
pub(super) fn write() -> Result<()> {
    let object = object()?;
    fs::write(workspace::root().join(OBJECT), object).with_context(|| format!("writing {OBJECT}"))
}

/// Whether the object is what would be written.
pub(super) fn findings() -> Result<Vec<String>> {
    let found = fs::read_to_string(workspace::root().join(OBJECT)).unwrap_or_default();
    let differs = format!("{OBJECT} is not what {SOURCE} says; `cargo xtask manifests --write` makes it so");
    Ok(if found == object()? { Vec::new() } else { vec![differs] })
}

fn object() -> Result<String> {
    let source = workspace::root().join(SOURCE);
    Ok(wrapped(&fs::read_to_string(&source).with_context(|| format!("reading {SOURCE}"))?))
}

/// The groups, deeper by the object's one level; what is said to people before them stays where it is.
fn wrapped(rules: &str) -> String {
    let groups = rules.lines().skip_while(|line| line.starts_with('#'));
    let deeper = groups.map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") });
    std::iter::once(HEAD.to_owned()).chain(deeper).collect()
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    #[test]
    fn the_object_has_the_groups_of_the_source() {
        let rules = fs::read_to_string(workspace::root().join(SOURCE)).unwrap();
        let (rules, object) = (
            yaml::documents(&rules).unwrap().remove(0),
            yaml::documents(&wrapped(&rules)).unwrap().remove(0),
        );
        assert!(rules["groups"].as_array().is_some_and(|groups| groups.len() > 2));
        assert_eq!(object["spec"], rules);
        assert_eq!(findings().unwrap(), Vec::<String>::new());
    }
}
