//! What is downloaded once: Kafka with Connect, Debezium, the ClickHouse engine, and what checks `deploy/`: tools, schemas.
//!
//! Invariant: a folder that has its final name in the cache is complete; downloads happen in a folder beside it.

mod cargo;
mod go;
mod install;
mod maven;
mod module;
mod npm;
mod pip;
mod strimzi;
pub mod versions;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use go::GoTool;
pub use install::ArtifactError;
pub use module::ModuleFiles;
pub use pip::WheelFiles;

/// The cache folder: `NOVA_CACHE_DIR`, else `nova-cdc` in `XDG_CACHE_HOME`, else in `~/.cache`.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// The cache of this user; the folder is made when something is downloaded.
    ///
    /// # Errors
    /// When no variable tells where it is.
    pub fn open() -> Result<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let dir = cache_dir(variable("NOVA_CACHE_DIR"), variable("XDG_CACHE_HOME"), variable("HOME"));
        let dir = dir.context("no place for downloads: set NOVA_CACHE_DIR, XDG_CACHE_HOME or HOME")?;
        Ok(Self { dir: std::path::absolute(dir).context("the present folder cannot be read")? })
    }

    /// The cache folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn libs(&self) -> PathBuf {
        self.dir.join(format!("kafka-{}", versions::KAFKA))
    }

    /// `plugin.path` wants the folder that holds plugin folders, here one.
    fn plugins(&self) -> PathBuf {
        self.dir.join(format!("plugins-debezium-{}", versions::DEBEZIUM))
    }

    fn engine_dir(&self) -> PathBuf {
        self.dir.join(format!("libchdb-{}", versions::ENGINE))
    }

    /// Whether Kafka's and Debezium's jars are there.
    #[must_use]
    pub fn has_jars(&self) -> bool {
        self.libs().is_dir() && self.plugins().is_dir()
    }

    /// Whether the ClickHouse engine is there.
    #[must_use]
    pub fn has_engine(&self) -> bool {
        self.engine_dir().is_dir()
    }

    /// The folder of Kafka's jars and the folder of plugin folders; downloaded with Maven when missing.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn jars(&self) -> Result<(PathBuf, PathBuf)> {
        let (libs, plugins) = (self.libs(), self.plugins());
        install::once(&self.dir, &libs, "Kafka and Kafka Connect (54 MB)", maven::kafka).await?;
        install::once(&self.dir, &plugins, "Debezium's PostgreSQL connector (28 MB)", maven::debezium)
            .await?;
        Ok((libs, plugins))
    }

    /// `libchdb.so`, the ClickHouse engine; downloaded with npm when missing.
    ///
    /// # Errors
    /// [`ArtifactError`]; on machines that are not x86-64, with the other ways to get a ClickHouse.
    pub async fn engine(&self) -> Result<PathBuf> {
        let dir = self.engine_dir();
        install::once(&self.dir, &dir, "the ClickHouse engine (140 MB, 570 MB unpacked)", npm::engine)
            .await?;
        Ok(dir.join(npm::LIBRARY))
    }

    /// The program of dockerfile-utils, for node; downloaded with npm when missing.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn dockerfile_utils(&self) -> Result<PathBuf> {
        let (name, version, _) = versions::DOCKERFILE_UTILS[0];
        let dir = self.dir.join(format!("{name}-{version}"));
        install::once(&self.dir, &dir, "dockerfile-utils", npm::dockerfile_utils).await?;
        Ok(dir.join("node_modules/dockerfile-utils/bin/dockerfile-utils"))
    }

    /// The folder whose `node_modules` has Playwright; downloaded with npm when missing.
    ///
    /// # Errors
    /// [`ArtifactError`].
    pub async fn playwright(&self) -> Result<PathBuf> {
        let (name, version, _) = versions::PLAYWRIGHT;
        let dir = self.dir.join(format!("{name}-{version}"));
        install::once(&self.dir, &dir, "Playwright (4 MB)", npm::playwright).await?;
        Ok(dir)
    }
}

fn cache_dir(nova: Option<PathBuf>, xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    nova.or_else(|| xdg.map(|dir| dir.join("nova-cdc")))
        .or_else(|| home.map(|dir| dir.join(".cache/nova-cdc")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_most_specific_variable_says() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(cache_dir(path("/n"), path("/x"), path("/h")), path("/n"));
        assert_eq!(cache_dir(None, path("/x"), path("/h")), path("/x/nova-cdc"));
        assert_eq!(cache_dir(None, None, path("/h")), path("/h/.cache/nova-cdc"));
        assert_eq!(cache_dir(None, None, None), None);
    }
}
