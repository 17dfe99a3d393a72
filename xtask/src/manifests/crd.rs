//! Custom resource definitions as JSON Schemas in which an unknown field is an error.
//!
//! Invariant: an object whose fields are listed takes no others, unless the definition itself says so; Kubernetes would drop
//! them in silence.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::yaml;

/// Writes the schemas of all definitions in `from` into `to`, one per version, where kubeconform's template
/// `{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json` looks for them; answers how many.
pub(super) fn convert(from: &Path, to: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry.with_context(|| format!("reading {}", from.display()))?.path();
        for definition in yaml::read(&path)? {
            count += write_versions(&definition, to).with_context(|| path.display().to_string())?;
        }
    }
    ensure!(count > 0, "{} holds no custom resource definition", from.display());
    Ok(count)
}

fn write_versions(definition: &Value, to: &Path) -> Result<usize> {
    let (group, kind) = (yaml::text(definition, "/spec/group"), yaml::text(definition, "/spec/names/kind"));
    let versions = yaml::list(definition, "/spec/versions");
    ensure!(
        !group.is_empty() && !kind.is_empty() && !versions.is_empty(),
        "this is no custom resource definition"
    );
    let folder = to.join(group);
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    for version in versions {
        let schema = version.pointer("/schema/openAPIV3Schema").context("a version without a schema")?;
        let mut schema = schema.clone();
        close(&mut schema);
        let file = folder.join(format!("{}_{}.json", kind.to_lowercase(), yaml::text(version, "/name")));
        fs::write(&file, schema.to_string()).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(versions.len())
}

/// Closes a structural schema
/// (<https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>)
/// and writes OpenAPI's `nullable` in JSON Schema's words.
fn close(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    let open = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    if fields.contains_key("properties") && !open && !fields.contains_key("additionalProperties") {
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    if fields.get("nullable") == Some(&json!(true))
        && let Some(kind) = fields.get("type").cloned()
    {
        fields.insert("type".to_owned(), json!([kind, "null"]));
    }
    // Not below allOf, anyOf, oneOf and not: those repeat some of the fields, for a condition.
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(close);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            close(inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  group: example.org
  names: {kind: Widget}
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                size: {type: integer, nullable: true}
                free: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {a: {type: string}}}
                labels: {type: object, additionalProperties: {type: object, properties: {b: {type: string}}}}
              oneOf: [{properties: {size: {minimum: 1}}}]
";

    #[test]
    fn listed_fields_are_all_there_are() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("widgets.yaml"), DEFINITION).unwrap();
        assert_eq!(convert(from.path(), to.path()).unwrap(), 1);
        let written = fs::read_to_string(to.path().join("example.org/widget_v1.json")).unwrap();
        let schema: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(schema["additionalProperties"], json!(false));
        let spec = &schema["properties"]["spec"];
        assert_eq!(spec["additionalProperties"], json!(false));
        assert_eq!(spec["properties"]["size"]["type"], json!(["integer", "null"]));
        assert_eq!(spec["properties"]["free"].get("additionalProperties"), None);
        assert_eq!(
            spec["properties"]["labels"]["additionalProperties"]["additionalProperties"],
            json!(false)
        );
        assert_eq!(spec["oneOf"][0].get("additionalProperties"), None);
    }

    #[test]
    fn another_file_is_refused_by_name() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("x.yaml"), "kind: List\n").unwrap();
        let error = format!("{:#}", convert(from.path(), to.path()).unwrap_err());
        assert!(error.ends_with("x.yaml: this is no custom resource definition"), "{error}");
    }
}
