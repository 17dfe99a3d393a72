//! Tools written in Rust, built from the registry.
//!
//! Invariant: the version is pinned, and with `--locked` so is everything it is built from; cargo checks what it downloads
//! against the registry's checksums. Nothing stays behind but the program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::{Cache, install};
use crate::workspace;

/// What checks licences, bans, sources and advisories.
const DENY: &str = "cargo-deny";
const DENY_VERSION: &str = "0.20.2";

impl Cache {
    /// The program `cargo-deny`; built when it is missing.
    ///
    /// # Errors
    /// [`ArtifactError`](super::ArtifactError).
    pub async fn cargo_deny(&self) -> Result<PathBuf> {
        let dir = self.dir.join(format!("{DENY}-{DENY_VERSION}"));
        install::once(&self.dir, &dir, "cargo-deny (built from source)", build).await?;
        Ok(dir.join(DENY))
    }
}

/// Builds the program into `dir`, without optimisation: it runs for a second and is built within one minute.
async fn build(dir: &Path) -> Result<()> {
    let (root, target) = (dir.join("root"), dir.join("target"));
    let mut command = Command::new(workspace::cargo());
    command.args([
        "install",
        DENY,
        "--version",
        DENY_VERSION,
        "--locked",
        "--debug",
        "--no-track",
        "--quiet",
        "--root",
    ]);
    command.arg(&root).env("CARGO_TARGET_DIR", &target).env("CARGO_PROFILE_DEV_DEBUG", "0");
    // Not in the workspace, whose own settings are not meant for it.
    command.current_dir(dir).env_remove("RUSTFLAGS");
    crate::command::run("cargo-deny", &mut command).await?;
    fs::rename(root.join("bin").join(DENY), dir.join(DENY)).context("cargo installed no cargo-deny")?;
    for folder in [root, target] {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}
