//! The folder that holds one stack's data and logs.
//!
//! Invariant: the folder goes when its owner drops it. When the owner was killed before it could, the next stack
//! removes it: each folder carries a lock file, and a lock nobody holds means a dead owner.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const OWNED: &str = "nova-stack-";
const LEFT: &str = "nova-up-";
const UNBORN: &str = "nova-new-";
const LOCK: &str = "owner.lock";

/// One stack's folder.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    keep: bool,
    _lock: File,
}

impl RunDir {
    /// Makes a folder below the system's temporary folder, after removing those of owners that died.
    ///
    /// `keep`: leave it behind; `NOVA_KEEP_LOGS=1` does the same. `outlives`: it belongs to servers that stay up
    /// after this program, so nobody else may take it for abandoned.
    ///
    /// # Errors
    /// When the temporary folder cannot be written.
    pub fn create(keep: bool, outlives: bool) -> Result<Self> {
        let parent = std::env::temp_dir();
        sweep(&parent);
        let id = uuid::Uuid::new_v4().simple();
        let path = parent.join(format!("{}{id}", if outlives { LEFT } else { OWNED }));
        let lock = born_locked(&parent.join(format!("{UNBORN}{id}")), &path).with_context(|| {
            format!("cannot create the run folder {}; set TMPDIR to a writable folder", path.display())
        })?;
        let keep = keep || std::env::var_os("NOVA_KEEP_LOGS").is_some_and(|value| value == "1");
        let made = Self { path, keep, _lock: lock };
        made.subdir("logs")?;
        Ok(made)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes (if need be) and answers a folder inside, closed to other users.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn subdir(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot create the folder {}", path.display()))?;
        Ok(path)
    }

    /// The log file of one server.
    #[must_use]
    pub fn log(&self, server: &str) -> PathBuf {
        self.path.join("logs").join(format!("{server}.log"))
    }

    /// Leaves the folder in place when this handle is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Whether the folder stays.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.keep
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if self.keep {
            // Without a lock file nobody takes it for abandoned.
            let _ = fs::remove_file(self.path.join(LOCK));
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Makes a folder that has its final name only once its lock is held: a sweeper never sees it unlocked.
fn born_locked(unborn: &Path, path: &Path) -> std::io::Result<File> {
    // Readable by others: PostgreSQL's unprivileged account must reach its own, private folder inside.
    DirBuilder::new().mode(0o755).create(unborn)?;
    let lock = File::create(unborn.join(LOCK))?;
    lock.lock()?;
    fs::rename(unborn, path)?;
    Ok(lock)
}

/// Removes the run folders of owners that were killed.
pub fn sweep_abandoned() {
    sweep(&std::env::temp_dir());
}

fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(OWNED));
        if !ours {
            continue;
        }
        // A file we cannot open is another user's.
        let Ok(lock) = File::options().write(true).open(entry.path().join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_folder_is_swept_and_an_owned_one_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let dir = parent.path().join(name);
            fs::create_dir(&dir).unwrap();
            (dir.clone(), File::create(dir.join(LOCK)).unwrap())
        };
        let (owned, lock) = make("nova-stack-owned");
        lock.lock().unwrap();
        let (abandoned, dead) = make("nova-stack-abandoned");
        drop(dead);
        let (up, _) = make("nova-up-left");
        let (kept, lock_of_kept) = make("nova-stack-kept");
        drop(RunDir { path: kept.clone(), keep: true, _lock: lock_of_kept });

        sweep(parent.path());

        assert!(owned.exists() && up.exists() && kept.exists());
        assert!(!abandoned.exists());
    }

    #[test]
    fn the_folder_goes_with_its_handle_unless_kept() {
        let dir = RunDir::create(false, false).unwrap();
        let path = dir.path().to_owned();
        assert!(dir.log("kafka").parent().unwrap().is_dir());
        let kept = dir.is_kept();
        drop(dir);
        assert_eq!(path.exists(), kept);
        let _ = fs::remove_dir_all(path);
    }
}
