//! The ClickHouse engine, the checker of Dockerfiles, and what drives a browser, by npm.
//!
//! Invariant: each archive's hash is pinned in the lock file we write; `npm ci` refuses another one, and no install
//! script of a package is run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::process::Command;

use super::versions::{DOCKERFILE_UTILS, ENGINE, ENGINE_INTEGRITY, ENGINE_PACKAGE, PLAYWRIGHT};

/// The file name of the engine.
pub(super) const LIBRARY: &str = "libchdb.so";

/// A package: name, version, hash.
pub(super) type Package = (&'static str, &'static str, &'static str);

/// `libchdb.so` into `dir`.
pub(super) async fn engine(dir: &Path) -> Result<()> {
    ensure!(
        std::env::consts::ARCH == "x86_64",
        "the engine is published for x86-64 Linux only, this is {}; put a `clickhouse` binary on PATH or set NOVA_CLICKHOUSE_URL",
        std::env::consts::ARCH
    );
    let work = dir.join("npm");
    fs::create_dir(&work).with_context(|| format!("creating {}", work.display()))?;
    install(&work, &[(ENGINE_PACKAGE, ENGINE, ENGINE_INTEGRITY)]).await?;
    let library = work.join("node_modules").join(ENGINE_PACKAGE).join(LIBRARY);
    fs::rename(&library, dir.join(LIBRARY)).with_context(|| format!("{ENGINE_PACKAGE} has no {LIBRARY}"))?;
    fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))
}

/// dockerfile-utils, with what it needs, into `dir`.
pub(super) async fn dockerfile_utils(dir: &Path) -> Result<()> {
    install(dir, &DOCKERFILE_UTILS).await
}

/// Playwright into `dir`.
pub(super) async fn playwright(dir: &Path) -> Result<()> {
    install(dir, &[PLAYWRIGHT]).await
}

/// The packages, into `node_modules` of `work`; those that they need are among them.
async fn install(work: &Path, packages: &[Package]) -> Result<()> {
    fs::write(work.join("package.json"), manifest(packages).to_string()).context("writing package.json")?;
    fs::write(work.join("package-lock.json"), lock(packages).to_string())
        .context("writing package-lock.json")?;
    let mut command = Command::new("npm");
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"])
        .current_dir(work);
    crate::command::run("npm", &mut command).await.map(drop)
}

fn dependencies(packages: &[Package]) -> serde_json::Value {
    packages.iter().map(|(name, version, _)| ((*name).to_owned(), json!(version))).collect()
}

fn manifest(packages: &[Package]) -> serde_json::Value {
    json!({"name": "download", "version": "1.0.0", "private": true, "dependencies": dependencies(packages)})
}

/// Lock file version 3 (<https://docs.npmjs.com/cli/configuring-npm/package-lock-json>), without `resolved`, so that a
/// mirror of the registry works.
fn lock(packages: &[Package]) -> serde_json::Value {
    let mut entries = serde_json::Map::new();
    let root = json!({"name": "download", "version": "1.0.0", "dependencies": dependencies(packages)});
    entries.insert(String::new(), root);
    for (name, version, integrity) in packages {
        entries.insert(format!("node_modules/{name}"), json!({"version": version, "integrity": integrity}));
    }
    json!({"name": "download", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": entries})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_pins_each_package_by_version_and_hash() {
        let lock = lock(&[("a", "1.0.0", "sha512-x"), ("@b/c", "2.0.0", "sha512-y")]);
        assert_eq!(lock["packages"][""]["dependencies"], json!({"a": "1.0.0", "@b/c": "2.0.0"}));
        assert_eq!(
            lock["packages"]["node_modules/@b/c"],
            json!({"version": "2.0.0", "integrity": "sha512-y"})
        );
    }
}
