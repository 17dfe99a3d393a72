//! Finding programs without running an installer.
//!
//! Invariant: a program counts only when it is executable and says that it is new enough.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use super::version::{go_minor, java_major, postgres_major};

const POSTGRES_MIN: u32 = 14;
const JAVA_MIN: u32 = 17;
/// Of Go 1.
const GO_MIN: u32 = 26;

/// The first executable file `name` in the folders of PATH.
#[must_use]
pub fn on_path(name: &str) -> Option<PathBuf> {
    in_folders(&std::env::var_os("PATH")?, name)
}

fn in_folders(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The folder of the newest PostgreSQL server programs: Debian's and Red Hat's places, `pg_config --bindir`, PATH.
pub(super) async fn postgres_bin() -> Option<PathBuf> {
    let mut folders = folders_below("/usr/lib/postgresql", "bin");
    if let Some(output) = answer_of(Path::new("pg_config"), "--bindir").await {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    folders.extend(on_path("postgres").and_then(|program| program.parent().map(Path::to_owned)));
    let mut best = None;
    for folder in folders.into_iter().filter(|folder| is_executable(&folder.join("initdb"))) {
        let Some(output) = answer_of(&folder.join("postgres"), "--version").await else { continue };
        let major = postgres_major(&String::from_utf8_lossy(&output.stdout)).unwrap_or(0);
        if major >= POSTGRES_MIN && best.as_ref().is_none_or(|(newest, _)| major > *newest) {
            best = Some((major, folder));
        }
    }
    best.map(|(_, folder)| folder)
}

/// A `java` that is new enough: of `JAVA_HOME`, on PATH, or of Debian's folder of JVMs.
pub(super) async fn java() -> Option<PathBuf> {
    let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin"));
    let mut programs: Vec<PathBuf> = home.into_iter().map(|bin| bin.join("java")).collect();
    programs.extend(on_path("java"));
    programs.extend(folders_below("/usr/lib/jvm", "bin").into_iter().map(|bin| bin.join("java")));
    for program in programs {
        let Some(output) = answer_of(&program, "-version").await else { continue };
        if java_major(&String::from_utf8_lossy(&output.stderr)).is_some_and(|major| major >= JAVA_MIN) {
            return Some(program);
        }
    }
    None
}

/// Whether `go` on PATH is new enough.
pub(super) async fn has_go() -> bool {
    let Some(output) = answer_of(Path::new("go"), "version").await else { return false };
    go_minor(&String::from_utf8_lossy(&output.stdout)).is_some_and(|minor| minor >= GO_MIN)
}

/// Whether the `python3` on PATH has pip.
pub(super) async fn has_pip() -> bool {
    let mut command = Command::new("python3");
    let answer =
        command.args(["-m", "pip", "--version"]).stdin(Stdio::null()).kill_on_drop(true).output().await;
    answer.is_ok_and(|output| output.status.success())
}

fn folders_below(parent: &str, child: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join(child)).filter(|folder| folder.is_dir()).collect()
}

/// Whether a C library can be built against.
pub(super) async fn has_library(name: &str) -> bool {
    answer_of(Path::new("pkg-config"), name).await.is_some()
}

async fn answer_of(program: &Path, argument: &str) -> Option<Output> {
    let mut command = Command::new(program);
    let output = command.arg(argument).stdin(Stdio::null()).kill_on_drop(true).output().await.ok()?;
    output.status.success().then_some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_only_when_it_may_be_executed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tool");
        std::fs::write(&file, "").unwrap();
        let path = std::env::join_paths([Path::new("/nowhere"), dir.path()]).unwrap();
        assert_eq!(in_folders(&path, "tool"), None);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(in_folders(&path, "tool"), Some(file));
    }
}
