//! Objects against the schemas of their kinds, by kubeconform (<https://github.com/yannh/kubeconform>).
//!
//! Invariant: a kind without a schema is a finding, and so is a field that its schema does not know.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

/// The field that no kind has.
const UNKNOWN: &str = "novaUnknownField";

/// The program and its schemas.
pub(super) struct Kubeconform {
    /// The program.
    pub program: PathBuf,
    /// Template of the paths of Kubernetes' own schemas.
    pub native: String,
    /// Template of the paths of the operators' schemas.
    pub custom: String,
}

/// What `-output json` writes.
#[derive(Debug, Deserialize)]
struct Report {
    #[serde(default)]
    resources: Vec<Checked>,
}

#[derive(Debug, Deserialize)]
struct Checked {
    kind: String,
    name: String,
    status: String,
    #[serde(default)]
    msg: String,
}

impl Kubeconform {
    /// What is wrong with the objects.
    pub(super) async fn findings(&self, objects: &[Value]) -> Result<Vec<String>> {
        let checked = self.check(objects).await?;
        let wrong = checked.iter().filter(|one| one.status != "statusValid");
        Ok(wrong
            .map(|Checked { kind, name, msg, status }| format!("{kind}/{name}: {msg} ({status})"))
            .collect())
    }

    /// Shows that the check can fail: each object with one field too many is refused, and so is a kind that nobody knows.
    pub(super) async fn prove(&self, objects: &[Value]) -> Result<()> {
        let mut broken: Vec<Value> = objects.iter().cloned().map(with_unknown_field).collect();
        broken.push(json!({"apiVersion": "nova.dev/v1", "kind": "Unknown", "metadata": {"name": "unknown"}}));
        let checked = self.check(&broken).await?;
        let passed: Vec<_> = checked
            .iter()
            .filter(|one| !["statusInvalid", "statusError"].contains(&one.status.as_str()))
            .collect();
        if !passed.is_empty() {
            bail!("kubeconform lets an unknown field or kind pass: {passed:?}");
        }
        Ok(())
    }

    /// One answer for each object.
    async fn check(&self, objects: &[Value]) -> Result<Vec<Checked>> {
        let file =
            tempfile::Builder::new().suffix(".json").tempfile().context("no temporary file for objects")?;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        fs::write(file.path(), list.to_string()).context("writing the objects")?;
        let mut command = Command::new(&self.program);
        command.args(["-strict", "-verbose", "-output", "json"]);
        command.args(["-schema-location", &self.native, "-schema-location", &self.custom]).arg(file.path());
        command.kill_on_drop(true);
        let output = command.output().await.context("kubeconform could not be run")?;
        let report: Report = serde_json::from_slice(&output.stdout).with_context(|| {
            format!("kubeconform writes no report: {}", String::from_utf8_lossy(&output.stderr))
        })?;
        if report.resources.len() != objects.len() {
            bail!("kubeconform looked at {} objects of {}", report.resources.len(), objects.len());
        }
        Ok(report.resources)
    }
}

/// The object with an unknown field in its `spec`, or, of kinds that have none, beside it.
fn with_unknown_field(mut object: Value) -> Value {
    let place = if object.get("spec").is_some_and(Value::is_object) { "/spec" } else { "" };
    if let Some(fields) = object.pointer_mut(place).and_then(Value::as_object_mut) {
        fields.insert(UNKNOWN.to_owned(), json!(1));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_put_where_a_person_would() {
        let job = with_unknown_field(json!({"kind": "Job", "spec": {"a": 1}}));
        assert_eq!(job, json!({"kind": "Job", "spec": {"a": 1, UNKNOWN: 1}}));
        let map = with_unknown_field(json!({"kind": "ConfigMap"}));
        assert_eq!(map, json!({"kind": "ConfigMap", UNKNOWN: 1}));
        assert_eq!(with_unknown_field(map.clone()), map, "twice is once");
    }
}
