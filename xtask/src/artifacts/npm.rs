//! The ClickHouse engine, by npm.
//!
//! Invariant: the archive's hash is pinned in the lock file we write; `npm ci` refuses another one, and no install
//! script of a package is run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::process::Command;

use super::versions::{ENGINE, ENGINE_INTEGRITY, ENGINE_PACKAGE};

/// The file name of the engine.
pub(super) const LIBRARY: &str = "libchdb.so";

/// `libchdb.so` into `dir`.
pub(super) async fn engine(dir: &Path) -> Result<()> {
    ensure!(
        std::env::consts::ARCH == "x86_64",
        "the engine is published for x86-64 Linux only, this is {}; put a `clickhouse` binary on PATH or set NOVA_CLICKHOUSE_URL",
        std::env::consts::ARCH
    );
    let work = dir.join("npm");
    fs::create_dir(&work).with_context(|| format!("creating {}", work.display()))?;
    fs::write(work.join("package.json"), manifest().to_string()).context("writing package.json")?;
    fs::write(work.join("package-lock.json"), lock().to_string()).context("writing package-lock.json")?;
    let mut command = Command::new("npm");
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"])
        .current_dir(&work);
    crate::command::run("npm", &mut command).await?;
    let library = work.join("node_modules").join(ENGINE_PACKAGE).join(LIBRARY);
    fs::rename(&library, dir.join(LIBRARY)).with_context(|| format!("{ENGINE_PACKAGE} has no {LIBRARY}"))?;
    fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))
}

fn manifest() -> serde_json::Value {
    json!({"name": "download", "version": "1.0.0", "private": true, "dependencies": {ENGINE_PACKAGE: ENGINE}})
}

/// Lock file version 3 (<https://docs.npmjs.com/cli/configuring-npm/package-lock-json>), without `resolved`, so that a
/// mirror of the registry works.
fn lock() -> serde_json::Value {
    let installed = format!("node_modules/{ENGINE_PACKAGE}");
    json!({
        "name": "download", "version": "1.0.0", "lockfileVersion": 3, "requires": true,
        "packages": {
            "": {"name": "download", "version": "1.0.0", "dependencies": {ENGINE_PACKAGE: ENGINE}},
            installed: {"version": ENGINE, "integrity": ENGINE_INTEGRITY},
        }
    })
}
