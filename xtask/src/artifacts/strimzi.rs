//! Strimzi's custom resource definitions, which its own generator writes from the classes of its API.
//!
//! Invariant: the jars are pinned as Kafka's are; nothing of them stays but the definitions.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::versions::{JAVA, STRIMZI};
use super::{Cache, install, maven, pip};

const GENERATOR: &str = "io.strimzi.crdgenerator.CrdGenerator";
/// The kinds that deploy/ uses, as the API's classes.
const CLASSES: [&str; 4] =
    ["connect.KafkaConnect", "connector.KafkaConnector", "topic.KafkaTopic", "user.KafkaUser"];

impl Cache {
    /// The folder with the definitions, one file each; made when it is missing.
    ///
    /// # Errors
    /// [`ArtifactError`](super::ArtifactError).
    pub async fn strimzi_definitions(&self) -> Result<PathBuf> {
        let dir = self.dir.join(format!("strimzi-definitions-{STRIMZI}"));
        install::once(&self.dir, &dir, "Strimzi's resource definitions (75 MB)", generate).await?;
        Ok(dir)
    }
}

async fn generate(dir: &Path) -> Result<()> {
    let work = dir.join("work");
    fs::create_dir(&work).with_context(|| format!("creating {}", work.display()))?;
    let jars = work.join("jars");
    let java = work.join(JAVA.prefix).join("bin/java");
    tokio::try_join!(maven::strimzi(&work, &jars), pip::unpack(&work, &JAVA))?;
    fs::set_permissions(&java, Permissions::from_mode(0o755))
        .with_context(|| format!("no {}", java.display()))?;
    let mut command = Command::new(java);
    command.args(["-XX:TieredStopAtLevel=1", "-cp"]).arg(jars.join("*")).arg(GENERATOR);
    command.args(["--target-kube", "1.27+", "--crd-api-version", "v1"]);
    command.args(["--api-versions", "v1", "--storage-version", "v1", "--yaml"]);
    for class in CLASSES {
        let file = dir.join(format!("{}.yaml", class.rsplit('.').next().unwrap_or(class)));
        command.arg(format!("io.strimzi.api.kafka.model.{class}={}", file.display()));
    }
    crate::command::run("Strimzi's generator", &mut command).await?;
    fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))
}
