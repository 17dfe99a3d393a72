//! Kafka's, Debezium's and Strimzi's jars, by Maven.
//!
//! Invariant: the direct dependencies are pinned here and theirs by the published POMs; a checksum that does not
//! match fails the download.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tokio::process::Command;

use super::versions::{DEBEZIUM, KAFKA, SLF4J, STRIMZI};

/// Kafka, Connect, the JSON converter, the tools and a logger, into `dir` itself.
pub(super) async fn kafka(dir: &Path) -> Result<()> {
    const GROUP: &str = "org.apache.kafka";
    let names = ["kafka_2.13", "connect-runtime", "connect-json", "kafka-tools"];
    let mut dependencies = names.map(|name| (GROUP, name, KAFKA)).to_vec();
    dependencies.push(("org.slf4j", "slf4j-simple", SLF4J));
    copy_dependencies(dir, dir, &dependencies).await
}

/// Debezium into a plugin folder of its own inside `dir`.
pub(super) async fn debezium(dir: &Path) -> Result<()> {
    let connector = ("io.debezium", "debezium-connector-postgres", DEBEZIUM);
    copy_dependencies(dir, &dir.join("debezium-connector-postgres"), &[connector]).await
}

/// The classes of Strimzi's API and the generator of its definitions, into the folder `jars` of `work`.
pub(super) async fn strimzi(work: &Path, jars: &Path) -> Result<()> {
    copy_dependencies(work, jars, &["api", "crd-generator"].map(|name| ("io.strimzi", name, STRIMZI))).await
}

/// A dependency: group, artifact, version.
type Dependency<'a> = (&'a str, &'a str, &'a str);

async fn copy_dependencies(work: &Path, output: &Path, dependencies: &[Dependency<'_>]) -> Result<()> {
    let pom = work.join("pom.xml");
    fs::write(&pom, pom_of(dependencies)).with_context(|| format!("writing {}", pom.display()))?;
    let mut command = Command::new("mvn");
    command.args(["--batch-mode", "--quiet", "--strict-checksums", "--file"]).arg(&pom);
    command.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
    command.arg(format!("-DoutputDirectory={}", output.display()));
    crate::command::run("Maven", &mut command).await?;
    fs::remove_file(&pom).with_context(|| format!("removing {}", pom.display()))
}

fn pom_of(dependencies: &[Dependency<'_>]) -> String {
    let mut xml = "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\n\
        <groupId>dev.nova</groupId><artifactId>download</artifactId><version>1</version><packaging>pom</packaging>\n\
        <dependencies>\n"
        .to_owned();
    for (group, artifact, version) in dependencies {
        xml.push_str(&format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>\n"
        ));
    }
    xml.push_str("</dependencies></project>\n");
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_pins_each_dependency() {
        let pom = pom_of(&[("a.b", "c", "1.2"), ("d", "e", "3")]);
        assert!(
            pom.contains(
                "<groupId>a.b</groupId><artifactId>c</artifactId><version>1.2</version></dependency>"
            )
        );
        assert_eq!(pom.matches("<dependency>").count(), 2);
    }
}
