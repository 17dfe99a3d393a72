//! Single files out of Go modules, such as the custom resource definitions that operators publish in theirs.
//!
//! Invariant: the module is pinned by version and hash; nothing of it stays but the files that were asked for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Cache, go, install};

/// Files of a Go module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleFiles {
    /// Name of their folder in the cache.
    pub name: &'static str,
    /// What is said while they are fetched.
    pub what: &'static str,
    /// The module's path.
    pub module: &'static str,
    /// Its version, with the `v`.
    pub version: &'static str,
    /// Its hash as in a `go.sum`: `h1:…=`.
    pub sum: &'static str,
    /// Paths inside the module; each file keeps its last part as its name.
    pub files: &'static [&'static str],
}

/// What `go mod download -json` answers (<https://go.dev/ref/mod#go-mod-download>).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    dir: PathBuf,
    sum: String,
}

impl Cache {
    /// The folder with the files; fetched when it is missing.
    ///
    /// # Errors
    /// [`ArtifactError`](super::ArtifactError).
    pub async fn module_files(&self, wanted: &ModuleFiles) -> Result<PathBuf> {
        let dir = self.dir.join(format!("{}-{}", wanted.name, wanted.version.trim_start_matches('v')));
        install::once(&self.dir, &dir, wanted.what, async |dir| fetch(dir, wanted).await).await?;
        Ok(dir)
    }
}

async fn fetch(dir: &Path, wanted: &ModuleFiles) -> Result<()> {
    let work = dir.join("go");
    fs::create_dir(&work).with_context(|| format!("creating {}", work.display()))?;
    let module = format!("{}@{}", wanted.module, wanted.version);
    let mut command = go::go(&work);
    command.args(["mod", "download", "-json", &module]);
    let output = crate::command::run("Go", &mut command).await?;
    let found = checked(&output.stdout, wanted)?;
    for file in wanted.files {
        let (from, name) = (found.join(file), Path::new(file).file_name().unwrap_or_default());
        fs::copy(&from, dir.join(name)).with_context(|| format!("{module} has no {file}"))?;
    }
    fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))
}

/// The folder of a module that has the pinned hash.
fn checked(answer: &[u8], wanted: &ModuleFiles) -> Result<PathBuf> {
    let found: Downloaded =
        serde_json::from_slice(answer).context("`go mod download -json` answers something else")?;
    let ModuleFiles { module, version, sum, .. } = wanted;
    ensure!(found.sum == *sum, "{module}@{version} has the hash {}, and {sum} is pinned", found.sum);
    Ok(found.dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_hash_is_refused() {
        let wanted = ModuleFiles {
            name: "m",
            what: "m",
            module: "example.org/m",
            version: "v1.0.0",
            sum: "h1:good=",
            files: &[],
        };
        let answer =
            |sum: &str| format!(r#"{{"Path":"example.org/m","Dir":"/mod/m","Sum":"{sum}","GoModSum":"x"}}"#);
        assert_eq!(checked(answer("h1:good=").as_bytes(), &wanted).unwrap(), Path::new("/mod/m"));
        let error = checked(answer("h1:bad=").as_bytes(), &wanted).unwrap_err().to_string();
        assert_eq!(error, "example.org/m@v1.0.0 has the hash h1:bad=, and h1:good= is pinned");
    }
}
