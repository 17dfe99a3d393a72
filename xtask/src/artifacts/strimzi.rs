//! Strimzi's custom resource definitions, which its own generator writes from the classes of its API.
//!
//! Invariant: the jars are pinned as Kafka's are; nothing of them stays but the definitions.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::versions::STRIMZI;
use super::{Cache, install, maven};

const GENERATOR: &str = "io.strimzi.crdgenerator.CrdGenerator";
/// The kinds that deploy/ uses, as the API's classes.
const CLASSES: [&str; 4] =
    ["connect.KafkaConnect", "connector.KafkaConnector", "topic.KafkaTopic", "user.KafkaUser"];

impl Cache {
    /// The folder with the definitions, one file each; made when it is missing.
    ///
    /// # Errors
    /// [`ArtifactError`](super::ArtifactError).
    pub async fn strimzi_definitions(&self, java: &Path) -> Result<PathBuf> {
        let dir = self.dir.join(format!("strimzi-definitions-{STRIMZI}"));
        let what = "Strimzi's resource definitions (20 MB)";
        install::once(&self.dir, &dir, what, async |dir| generate(dir, java).await).await?;
        Ok(dir)
    }
}

async fn generate(dir: &Path, java: &Path) -> Result<()> {
    let jars = dir.join("jars");
    fs::create_dir(&jars).with_context(|| format!("creating {}", jars.display()))?;
    maven::strimzi(&jars).await?;
    let mut command = Command::new(java);
    command.args(["-XX:TieredStopAtLevel=1", "-cp"]).arg(jars.join("*")).arg(GENERATOR);
    command.args(["--target-kube", "1.27+", "--crd-api-version", "v1"]);
    command.args(["--api-versions", "v1", "--storage-version", "v1", "--yaml"]);
    for class in CLASSES {
        let file = dir.join(format!("{}.yaml", class.rsplit('.').next().unwrap_or(class)));
        command.arg(format!("io.strimzi.api.kafka.model.{class}={}", file.display()));
    }
    crate::command::run("Strimzi's generator", &mut command).await?;
    fs::remove_dir_all(&jars).with_context(|| format!("removing {}", jars.display()))
}
