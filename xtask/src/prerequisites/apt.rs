//! Installing missing programs with apt, or saying how.
//!
//! Invariant: Debian's PostgreSQL packages do not get to create or start a cluster of their own through us.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::Need;

const CLUSTER_CONFIG: &str = "/etc/postgresql-common/createcluster.conf";
const NO_CLUSTER: &str = "create_main_cluster = false";
/// Newest first: a release of Debian or Ubuntu has one or two of them.
const JAVA_PACKAGES: [&str; 3] =
    ["openjdk-21-jre-headless", "openjdk-17-jre-headless", "openjdk-25-jre-headless"];

/// The Debian packages for `needs`.
pub(super) async fn packages(needs: &[Need]) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for need in needs {
        match need {
            Need::Postgres => packages.push("postgresql"),
            Need::Java => packages.push(java_package().await),
            Need::Maven => packages.push("maven"),
            Need::Npm => packages.push("npm"),
            Need::BuildTools => packages.extend(["make", "g++", "pkg-config", "libssl-dev"]),
            Need::Browser => packages.extend(["chromium", "chromium-driver"]),
            Need::Go => packages.push("golang-go"),
            Need::Python => packages.extend(["python3", "python3-pip"]),
        }
    }
    packages
}

/// The newest Java this release has; the answer is only as good as apt's lists.
async fn java_package() -> &'static str {
    for package in JAVA_PACKAGES {
        let mut command = Command::new("apt-cache");
        command.args(["show", "--no-all-versions", package]).stdin(Stdio::null());
        if command.output().await.is_ok_and(|output| output.status.success()) {
            return package;
        }
    }
    "default-jre-headless"
}

/// The commands a person without our rights has to run, one per line.
pub(super) fn command_line(packages: &[&str]) -> String {
    const INSTALL: &str = "sudo apt-get install -y --no-install-recommends";
    let mut lines = vec!["  sudo apt-get update".to_owned()];
    if packages.contains(&"postgresql") {
        lines.push(format!("  {INSTALL} postgresql-common"));
        lines.push(format!("  echo '{NO_CLUSTER}' | sudo tee -a {CLUSTER_CONFIG}"));
    }
    lines.push(format!("  {INSTALL} {}", packages.join(" ")));
    lines.join("\n")
}

/// Installs `packages` as root.
pub(super) async fn install(packages: &[&str]) -> Result<()> {
    apt_get(&["update"]).await?;
    if packages.contains(&"postgresql") {
        install_postgres().await?;
    }
    apt_get(&[&["install", "-y", "--no-install-recommends"], packages].concat()).await
}

/// The setting is in a file of `postgresql-common`, so that package comes first; afterwards the file is as it was.
async fn install_postgres() -> Result<()> {
    const INSTALL: [&str; 3] = ["install", "-y", "--no-install-recommends"];
    apt_get(&[&INSTALL[..], &["postgresql-common"]].concat()).await?;
    let path = Path::new(CLUSTER_CONFIG);
    let before = std::fs::read_to_string(path).with_context(|| format!("reading {CLUSTER_CONFIG}"))?;
    std::fs::write(path, without_cluster(&before)).with_context(|| format!("writing {CLUSTER_CONFIG}"))?;
    let installed = apt_get(&[&INSTALL[..], &["postgresql"]].concat()).await;
    std::fs::write(path, before).with_context(|| format!("restoring {CLUSTER_CONFIG}"))?;
    installed
}

/// The configuration with the creation of a cluster switched off; the last of several settings wins.
fn without_cluster(config: &str) -> String {
    format!("{}\n{NO_CLUSTER}\n", config.trim_end())
}

/// Its output goes to stderr as it comes. It is not killed with us: half an installation helps nobody.
async fn apt_get(args: &[&str]) -> Result<()> {
    let line = format!("apt-get {}", args.join(" "));
    crate::say(&line);
    let mut command = Command::new("apt-get");
    command
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(std::io::stderr());
    let status = command.status().await.with_context(|| format!("`{line}` could not be run"))?;
    if !status.success() {
        bail!(
            "`{line}` failed ({status}); its messages are above. Check the network and /etc/apt/sources.list, then try again"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_command_prevents_a_cluster_before_postgresql_is_installed() {
        let text = command_line(&["postgresql", "make", "g++"]);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "sudo apt-get update",
                "sudo apt-get install -y --no-install-recommends postgresql-common",
                "echo 'create_main_cluster = false' | sudo tee -a /etc/postgresql-common/createcluster.conf",
                "sudo apt-get install -y --no-install-recommends postgresql make g++",
            ]
        );
        assert!(!command_line(&["maven"]).contains("create_main_cluster"));
    }

    #[test]
    fn the_cluster_setting_is_the_last_word() {
        let text = without_cluster("create_main_cluster = true\nssl = on\n\n");
        assert_eq!(text, "create_main_cluster = true\nssl = on\ncreate_main_cluster = false\n");
    }
}
