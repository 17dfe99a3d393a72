//! Go programs, built from the module proxy.
//!
//! Invariant: a program's module is pinned by version and hash; what it depends on is what its own `go.mod` names, checked by
//! Go's checksum database. Nothing stays behind but the program: Go's caches live and end with the download.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use super::{Cache, install};

/// A program that is published as the source of a Go module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoTool {
    /// The program's name, and that of its folder in the cache.
    pub name: &'static str,
    /// What is said while it is made.
    pub what: &'static str,
    /// The module's path, <https://go.dev/ref/mod#module-path>.
    pub module: &'static str,
    /// Its version, with the `v`.
    pub version: &'static str,
    /// Its hash as in a `go.sum`: `h1:…=`; Go refuses a module that has another one.
    pub sum: &'static str,
    /// The folder of the program's package in the module; empty for the module's root.
    pub package: &'static str,
    /// Build tags, separated by commas.
    pub tags: &'static str,
}

impl Cache {
    /// The program; built when it is missing. Go itself is a prerequisite
    /// ([`Need::Go`](crate::prerequisites::Need::Go)).
    ///
    /// # Errors
    /// [`ArtifactError`](super::ArtifactError).
    pub async fn go_tool(&self, tool: &GoTool) -> Result<PathBuf> {
        let dir = self.dir.join(format!("{}-{}", tool.name, tool.version.trim_start_matches('v')));
        install::once(&self.dir, &dir, tool.what, async |dir| build(dir, tool).await).await?;
        Ok(dir.join(tool.name))
    }
}

/// `go` in `work`, with its caches there.
///
/// The user's GOPROXY and GOSUMDB hold, so that a mirror of the module proxy works.
pub(super) fn go(work: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(work).env("GOMODCACHE", work.join("mod")).env("GOCACHE", work.join("build"));
    // Without cgo no C compiler is needed, and the module cache must be removable by whoever made it.
    command.env("CGO_ENABLED", "0").env("GOFLAGS", "-modcacherw -mod=mod -trimpath");
    command.env("GOTOOLCHAIN", "local").env("GOWORK", "off");
    command
}

/// Builds the program into `dir`.
///
/// Not by `go install module@version`: that refuses modules whose `go.mod` replaces or excludes others. As a dependency of
/// an empty module they are taken.
async fn build(dir: &Path, tool: &GoTool) -> Result<()> {
    let work = dir.join("go");
    fs::create_dir(&work).with_context(|| format!("creating {}", work.display()))?;
    fs::write(work.join("go.mod"), mod_file(tool)).context("writing go.mod")?;
    fs::write(work.join("go.sum"), sum_file(tool)).context("writing go.sum")?;
    let mut command = go(&work);
    command.args(["build", "-ldflags=-s -w", "-tags", tool.tags, "-o"]).arg(dir.join(tool.name));
    command.arg(package_path(tool));
    crate::command::run("Go", &mut command).await?;
    fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))
}

fn mod_file(tool: &GoTool) -> String {
    format!("module download\n\ngo 1.25.0\n\nrequire {} {}\n", tool.module, tool.version)
}

fn sum_file(tool: &GoTool) -> String {
    format!("{} {} {}\n", tool.module, tool.version, tool.sum)
}

fn package_path(tool: &GoTool) -> String {
    if tool.package.is_empty() { tool.module.to_owned() } else { format!("{}/{}", tool.module, tool.package) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_pinned_by_version_and_hash() {
        let tool = GoTool {
            name: "tool",
            what: "a tool",
            module: "example.org/m",
            version: "v1.2.3",
            sum: "h1:abc=",
            package: "cmd/tool",
            tags: "",
        };
        assert_eq!(mod_file(&tool), "module download\n\ngo 1.25.0\n\nrequire example.org/m v1.2.3\n");
        assert_eq!(sum_file(&tool), "example.org/m v1.2.3 h1:abc=\n");
        assert_eq!(package_path(&tool), "example.org/m/cmd/tool");
        assert_eq!(package_path(&GoTool { package: "", ..tool }), "example.org/m");
    }
}
