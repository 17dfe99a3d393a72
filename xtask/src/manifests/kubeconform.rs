//! Objects against the schemas of their kinds, by kubeconform (<https://github.com/yannh/kubeconform>).
//!
//! Invariant: a kind without a schema is a finding, and so is a field that its schema does not know.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use super::Environment;

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
    filename: String,
    kind: String,
    name: String,
    status: String,
    #[serde(default)]
    msg: String,
}

impl Kubeconform {
    /// What is wrong with the environments' objects.
    pub(super) async fn findings(&self, environments: &[Environment]) -> Result<Vec<String>> {
        let checked =
            self.check(environments.iter().map(|one| (one.name.as_str(), one.objects.clone()))).await?;
        let wrong = checked.iter().filter(|one| one.status != "statusValid");
        Ok(wrong.map(Checked::finding).collect())
    }

    /// Shows that the check can fail: each object with one field too many is refused, and so is a kind that nobody knows.
    pub(super) async fn prove(&self, environments: &[Environment]) -> Result<()> {
        let unknown =
            json!({"apiVersion": "nova.dev/v1", "kind": "Unknown", "metadata": {"name": "unknown"}});
        let broken = environments.iter().map(|one| {
            let objects = one.objects.iter().cloned().map(with_unknown_field);
            (one.name.as_str(), objects.chain([unknown.clone()]).collect())
        });
        let checked = self.check(broken).await?;
        let refused = ["statusInvalid", "statusError"];
        let passed = checked.iter().filter(|one| !refused.contains(&one.status.as_str()));
        let passed: Vec<String> = passed.map(Checked::finding).collect();
        ensure!(passed.is_empty(), "kubeconform lets an unknown field or kind pass:\n{}", passed.join("\n"));
        Ok(())
    }

    /// One answer for each object; all in one run, since the schemas are what takes its time.
    async fn check(&self, files: impl Iterator<Item = (&str, Vec<Value>)>) -> Result<Vec<Checked>> {
        let work = tempfile::tempdir().context("no temporary folder for objects")?;
        let mut command = Command::new(&self.program);
        command.args(["-strict", "-verbose", "-output", "json"]).current_dir(work.path()).kill_on_drop(true);
        command.args(["-schema-location", &self.native, "-schema-location", &self.custom]);
        let mut count = 0;
        for (name, objects) in files {
            count += objects.len();
            let file = format!("{name}.json");
            let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
            fs::write(work.path().join(&file), list.to_string()).context("writing the objects")?;
            command.arg(file);
        }
        let output = command.output().await.context("kubeconform could not be run")?;
        let report: Report = serde_json::from_slice(&output.stdout).with_context(|| {
            format!("kubeconform writes no report: {}", String::from_utf8_lossy(&output.stderr))
        })?;
        let looked_at = report.resources.len();
        ensure!(looked_at == count, "kubeconform looked at {looked_at} objects of {count}");
        Ok(report.resources)
    }
}

impl Checked {
    fn finding(&self) -> String {
        let environment = self.filename.trim_end_matches(".json");
        format!("{environment}: {}/{}: {} ({})", self.kind, self.name, self.msg, self.status)
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
