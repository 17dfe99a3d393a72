//! The programs the machine must have: looked for, and as root installed with apt.
//!
//! Invariant: a machine that already has them is not changed, and without root nothing is changed at all.

mod apt;
mod find;
mod version;

use std::path::PathBuf;

use anyhow::Result;

pub use find::on_path;

/// A program (or group of programs) that must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// PostgreSQL server programs, 14 or newer.
    Postgres,
    /// A Java runtime, 17 or newer.
    Java,
    /// Maven, which downloads Kafka and Debezium.
    Maven,
    /// npm, which downloads the ClickHouse engine.
    Npm,
    /// `make`, a C++ compiler, and OpenSSL's headers with `pkg-config`, which build librdkafka.
    BuildTools,
    /// Chromium and its driver, in which reports are tested.
    Browser,
    /// Go, which builds the tools that check what is deployed.
    Go,
    /// Python 3 with pip, which downloads Kubernetes' schemas.
    Python,
}

impl Need {
    /// What servers and our own binaries need.
    pub const STACK: [Self; 5] = [Self::Postgres, Self::Java, Self::Maven, Self::Npm, Self::BuildTools];
    /// All of them: what the tests need.
    pub const ALL: [Self; 8] = [
        Self::Postgres,
        Self::Java,
        Self::Maven,
        Self::Npm,
        Self::BuildTools,
        Self::Browser,
        Self::Go,
        Self::Python,
    ];
    /// What the check of `deploy/` needs.
    pub const MANIFESTS: [Self; 5] = [Self::Go, Self::Python, Self::Npm, Self::Java, Self::Maven];

    /// Name for messages.
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL 14 or newer (server programs)",
            Self::Java => "Java 17 or newer",
            Self::Maven => "Maven (mvn)",
            Self::Npm => "npm",
            Self::BuildTools => "make, a C++ compiler and OpenSSL's headers (with pkg-config)",
            Self::Browser => "Chromium and chromedriver",
            Self::Go => "Go 1.26 or newer (from https://go.dev/dl where apt has an older one)",
            Self::Python => "Python 3 with pip",
        }
    }
}

/// Programs are missing and may not be installed, or their installation did not help. Exit code 5.
#[derive(Debug, thiserror::Error)]
#[error("missing on this machine: {names}\ninstall with:\n{cure}")]
pub struct Missing {
    names: String,
    cure: String,
}

/// Where the found programs lie.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The folder with `initdb` and `postgres`; when asked for.
    pub postgres_bin: Option<PathBuf>,
    /// The `java` program; when asked for.
    pub java: Option<PathBuf>,
}

/// Makes sure that `needs` are there; as root on Debian or Ubuntu, missing ones are installed.
///
/// # Errors
/// [`Missing`], with the exact command, or when apt fails.
pub async fn ensure(needs: &[Need]) -> Result<Found> {
    let missing = missing_of(needs).await;
    if !missing.is_empty() {
        let names = missing.iter().map(|need| need.name()).collect::<Vec<_>>().join(", ");
        let packages = apt::packages(&missing).await;
        if !(nix::unistd::Uid::effective().is_root() && on_path("apt-get").is_some()) {
            return Err(Missing { names, cure: apt::command_line(&packages) }.into());
        }
        crate::say(&format!("missing on this machine: {names}; installing {}", packages.join(" ")));
        apt::install(&packages).await?;
        let left = missing_of(&missing).await;
        if !left.is_empty() {
            let names = left.iter().map(|need| need.name()).collect::<Vec<_>>().join(", ");
            return Err(Missing { names, cure: apt::command_line(&packages) }.into());
        }
    }
    let postgres_bin = if needs.contains(&Need::Postgres) { find::postgres_bin().await } else { None };
    let java = if needs.contains(&Need::Java) { find::java().await } else { None };
    Ok(Found { postgres_bin, java })
}

async fn missing_of(needs: &[Need]) -> Vec<Need> {
    let mut missing = Vec::new();
    for need in needs {
        let found = match need {
            Need::Postgres => find::postgres_bin().await.is_some(),
            Need::Java => find::java().await.is_some(),
            Need::Maven => on_path("mvn").is_some(),
            Need::Npm => on_path("npm").is_some(),
            Need::BuildTools => {
                on_path("make").is_some()
                    && ["c++", "g++", "clang++"].iter().any(|name| on_path(name).is_some())
                    && find::has_library("libssl").await
            }
            Need::Browser => {
                on_path("chromedriver").is_some()
                    && ["chromium", "google-chrome"].iter().any(|name| on_path(name).is_some())
            }
            Need::Go => find::has_go().await,
            Need::Python => find::has_pip().await,
        };
        if !found {
            missing.push(*need);
        }
    }
    missing
}
