//! `cargo xtask manifests`: everything in `deploy/` is built and checked without a cluster.
//!
//! Kustomize builds each environment; kubeconform holds every object against the schema of its kind, from Kubernetes and from the
//! operators, unknown fields and unknown kinds being errors; our own rules look at what no schema says. Then the same
//! objects, each with one field too many, must all be refused: a check that could not fail would prove nothing.
//!
//! Invariant: nothing but the downloads, which are pinned and cached, needs a network.

mod compose;
mod crd;
mod dockerfile;
mod kubeconform;
mod overlay;
mod prometheus_rule;
mod rules;
mod schemas;
mod yaml;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::artifacts::{Cache, versions};
use crate::prerequisites::{self, Need};
use crate::{command, say, workspace};
use kubeconform::Kubeconform;

const OVERLAYS: &str = "deploy/kubernetes/overlays";

/// Builds and checks all manifests, the compose file and the Dockerfile; `write`: makes first what is made from another file.
///
/// # Errors
/// Something that is needed cannot be had, or there are findings; all of them are named.
pub async fn run(write: bool) -> Result<()> {
    let begun = Instant::now();
    if write {
        prometheus_rule::write()?;
    }
    prerequisites::ensure(&Need::MANIFESTS).await?;
    let cache = Cache::open()?;
    let work = tempfile::tempdir().context("no temporary folder for schemas")?;
    // One fetches while another builds.
    let (kustomize, program, native, custom) = tokio::try_join!(
        cache.go_tool(&versions::KUSTOMIZE),
        cache.go_tool(&versions::KUBECONFORM),
        schemas::native(&cache, work.path()),
        schemas::custom(&cache, work.path()),
    )?;
    let kubeconform = Kubeconform { program, native, custom };
    let mut environments = Vec::new();
    for overlay in overlays()? {
        environments.push(Environment::build(&overlay, &kustomize).await?);
    }
    let mut findings: Vec<String> = environments.iter().flat_map(Environment::findings).collect();
    findings.extend(kubeconform.findings(&environments).await?);
    kubeconform.prove(&environments).await?;
    findings.extend(prometheus_rule::findings()?);
    findings.extend(compose::findings(&cache).await?);
    findings.extend(dockerfile::findings(&cache).await?);
    if !findings.is_empty() {
        bail!("deploy/ has {} findings:\n{}", findings.len(), findings.join("\n"));
    }
    say(&format!("manifests: passed after {} s", begun.elapsed().as_secs()));
    Ok(())
}

fn overlays() -> Result<Vec<PathBuf>> {
    let folder = workspace::root().join(OVERLAYS);
    let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    ensure!(!folders.is_empty(), "{OVERLAYS} is empty");
    Ok(folders)
}

/// What an overlay makes.
struct Environment {
    name: String,
    objects: Vec<Value>,
    /// What the overlay does that it may not.
    overlay: Vec<String>,
}

impl Environment {
    async fn build(overlay: &Path, kustomize: &Path) -> Result<Self> {
        let name = overlay.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(kustomize);
        let built = command::run("Kustomize", command.arg("build").arg(overlay)).await?;
        let text = String::from_utf8(built.stdout).context("Kustomize wrote no UTF-8")?;
        let objects = yaml::documents(&text).with_context(|| format!("what Kustomize built of {name}"))?;
        say(&format!("manifests: {name}: {} objects", objects.len()));
        Ok(Self { overlay: overlay_findings(overlay)?, name, objects })
    }

    /// What our own rules find.
    fn findings(&self) -> Vec<String> {
        let findings = self.overlay.iter().cloned().chain(rules::findings(&self.objects));
        findings.map(|finding| format!("{}: {finding}", self.name)).collect()
    }
}

fn overlay_findings(overlay: &Path) -> Result<Vec<String>> {
    let kustomizations = yaml::read(&overlay.join("kustomization.yaml"))?;
    let kustomization = kustomizations.first().unwrap_or(&Value::Null);
    let mut patches = Vec::new();
    for patch in yaml::list(kustomization, "/patches") {
        patches.extend(yaml::read(&overlay.join(yaml::text(patch, "/path")))?);
    }
    Ok(overlay::findings(kustomization, &patches))
}
