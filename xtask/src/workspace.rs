//! Where this workspace lies on disk, and how one of its binaries is built and found.
//!
//! Invariant: a path to a binary comes from cargo's own build messages, never from a guess about the target folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// The folder of the workspace's `Cargo.toml`.
#[must_use]
pub fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The target folder: `CARGO_TARGET_DIR` when set, else `target` in the workspace.
#[must_use]
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that runs us; a plain `cargo` when the program was started by hand.
#[must_use]
pub fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// Builds the workspace package `package` (development profile) and answers the path of the executable of that name.
///
/// # Errors
/// When cargo fails (its own messages go to stderr) or the package has no such binary.
pub async fn build_binary(package: &str) -> Result<PathBuf> {
    build_binary_with(package, "").await
}

/// The same with these features, separated by commas. The executable has the same path as without: whoever needs it
/// for long takes a copy.
///
/// # Errors
/// As for [`build_binary`].
pub async fn build_binary_with(package: &str, features: &str) -> Result<PathBuf> {
    build(package, &["--bin", package, "--features", features], package).await
}

/// Builds a target of a workspace package for speed, with these features, and answers the path of its executable;
/// `kind` is cargo's own word, `--bin` or `--example`.
///
/// # Errors
/// As for [`build_binary`].
pub async fn build_release(package: &str, kind: &str, name: &str, features: &str) -> Result<PathBuf> {
    build(package, &["--release", kind, name, "--features", features], name).await
}

async fn build(package: &str, target: &[&str], name: &str) -> Result<PathBuf> {
    let output = Command::new(cargo())
        .args(["build", "--quiet", "--package", package])
        .args(target)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .context("cargo could not be run")?;
    if !output.status.success() {
        bail!("cargo build --package {package} failed ({}); its messages are above", output.status);
    }
    executable_in(&output.stdout, name).with_context(|| {
        format!("cargo built {package} but named no executable; has the package a binary of that name?")
    })
}

/// Finds the executable of the binary `name` in cargo's line-by-line JSON messages.
fn executable_in(messages: &[u8], name: &str) -> Option<PathBuf> {
    messages
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter(|message| message.pointer("/target/name").and_then(|found| found.as_str()) == Some(name))
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_the_one_of_the_named_target() {
        let messages = br#"{"reason":"compiler-artifact","target":{"name":"lib"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}
{"reason":"compiler-artifact","target":{"name":"nova"},"executable":"/t/nova"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable_in(messages, "nova"), Some(PathBuf::from("/t/nova")));
        assert_eq!(executable_in(messages, "lib"), None);
    }
}
