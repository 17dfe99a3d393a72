//! Installing one downloaded folder into the cache, once, whole or not at all.
//!
//! Invariant: the final name appears by one rename, made under a lock that other processes respect.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::sys::statvfs::statvfs;

/// Free space wanted before a download: all three artifacts, their archives and Maven's own copies.
const WANTED_MIB: u64 = 2048;
const PARTIAL: &str = ".partial";

/// A download that did not work. Exit code 5.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Too little room.
    #[error(
        "not enough space for the downloads: {dir} has {free_mib} MiB free, {WANTED_MIB} MiB are wanted; free some, or set NOVA_CACHE_DIR to a folder with more room"
    )]
    NoSpace {
        /// The cache folder.
        dir: String,
        /// What is free there.
        free_mib: u64,
    },
    /// The tool that downloads failed.
    #[error(
        "downloading {what} failed: {cause}\nCheck the network (and the proxy or mirror settings of that tool), then run the same command again; nothing half is left in the cache"
    )]
    Download {
        /// The artifact.
        what: &'static str,
        /// The tool's command line and last lines.
        cause: String,
    },
}

/// Fills `target` by `download` into a fresh folder beside it, unless `target` is there already.
///
/// # Errors
/// [`ArtifactError`], or when the cache folder cannot be written.
pub(super) async fn once<F>(cache: &Path, target: &Path, what: &'static str, download: F) -> Result<()>
where
    F: AsyncFnOnce(&Path) -> Result<()>,
{
    if target.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(cache)
        .with_context(|| format!("cannot create the cache folder {}; set NOVA_CACHE_DIR", cache.display()))?;
    let _lock = locked(&beside(target, ".lock"), what).await?;
    if target.is_dir() {
        return Ok(()); // another process was faster
    }
    // Left by a process that was killed; the lock says that nobody uses it any more.
    let partial = Partial::fresh(beside(target, PARTIAL))?;
    require_space(cache, WANTED_MIB)?;
    crate::say(&format!("downloading {what} into {}", cache.display()));
    download(&partial.0)
        .await
        .map_err(|error| ArtifactError::Download { what, cause: format!("{error:#}") })?;
    fs::rename(&partial.0, target)
        .with_context(|| format!("cannot move the download to {}", target.display()))?;
    Ok(())
}

/// Waits for the lock off the async threads; the file stays, an empty one.
async fn locked(path: &Path, what: &'static str) -> Result<File> {
    let file = File::create(path)
        .with_context(|| format!("cannot create {}; set NOVA_CACHE_DIR", path.display()))?;
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    crate::say(&format!("another process is downloading {what}; waiting for it"));
    tokio::task::spawn_blocking(move || file.lock().map(|()| file))
        .await
        .context("waiting for the lock of the download")?
        .with_context(|| format!("cannot lock {}", path.display()))
}

fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn require_space(dir: &Path, wanted_mib: u64) -> Result<()> {
    let stat = statvfs(dir).with_context(|| format!("asking for the free space of {}", dir.display()))?;
    let free_mib = stat.blocks_available().saturating_mul(stat.fragment_size()) / (1024 * 1024);
    if free_mib < wanted_mib {
        return Err(ArtifactError::NoSpace { dir: dir.display().to_string(), free_mib }.into());
    }
    Ok(())
}

/// A folder that goes unless it was renamed.
struct Partial(PathBuf);

impl Partial {
    fn fresh(path: PathBuf) -> Result<Self> {
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_download_leaves_nothing_and_the_next_one_is_whole() {
        let cache = tempfile::tempdir().unwrap();
        let target = cache.path().join("tool-1");
        let failing = async |dir: &Path| {
            fs::write(dir.join("half"), "x")?;
            anyhow::bail!("`mvn` failed")
        };
        let error = once(cache.path(), &target, "the tool", failing).await.unwrap_err();
        assert!(
            error.to_string().starts_with("downloading the tool failed: `mvn` failed\nCheck the network")
        );
        assert!(error.downcast_ref::<ArtifactError>().is_some());
        assert!(!target.exists() && !beside(&target, PARTIAL).exists());

        let good = async |dir: &Path| Ok(fs::write(dir.join("whole"), "y")?);
        once(cache.path(), &target, "the tool", good).await.unwrap();
        assert!(target.join("whole").exists() && !target.join("half").exists());

        let never = async |_: &Path| anyhow::bail!("downloaded twice");
        once(cache.path(), &target, "the tool", never).await.unwrap();
    }

    #[tokio::test]
    async fn two_at_a_time_download_once() {
        let cache = tempfile::tempdir().unwrap();
        let target = cache.path().join("tool-1");
        let count = std::sync::atomic::AtomicU32::new(0);
        let download = async |_: &Path| {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(())
        };
        let one = once(cache.path(), &target, "the tool", download);
        let two = once(cache.path(), &target, "the tool", download);
        let (one, two) = tokio::join!(one, two);
        one.and(two).unwrap();
        assert_eq!(count.into_inner(), 1);
    }

    #[test]
    fn too_little_room_names_the_folder_and_the_sizes() {
        let cache = tempfile::tempdir().unwrap();
        let error = require_space(cache.path(), u64::MAX).unwrap_err().to_string();
        assert!(
            error.contains(&cache.path().display().to_string()) && error.contains("2048 MiB are wanted"),
            "{error}"
        );
    }
}
