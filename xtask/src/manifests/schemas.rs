//! The schemas: Kubernetes' own, and those that the operators publish with their code.
//!
//! Invariant: what is cached is what was published; it is made into JSON Schemas anew at each run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::crd;
use crate::artifacts::{Cache, versions};

/// Kubeconform's template for Kubernetes' own kinds.
pub(super) async fn native(cache: &Cache) -> Result<String> {
    let folder =
        cache.wheel_files(&versions::KUBERNETES_SCHEMAS).await?.join(versions::KUBERNETES_SCHEMAS.prefix);
    Ok(format!("{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", folder.display()))
}

/// Kubeconform's template for the operators' kinds; the schemas are written into `work`.
pub(super) async fn custom(cache: &Cache, work: &Path) -> Result<String> {
    let mut folders = vec![cache.strimzi_definitions().await?];
    for definitions in &versions::DEFINITIONS {
        folders.push(cache.module_files(definitions).await?);
    }
    let schemas = work.join("schemas");
    fs::create_dir(&schemas).with_context(|| format!("creating {}", schemas.display()))?;
    for folder in folders {
        crd::convert(&folder, &schemas)?;
    }
    Ok(format!("{}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json", schemas.display()))
}
