//! The account a server runs under when we are root: PostgreSQL refuses to run as root.
//!
//! Invariant: without root, everything runs as the caller and nothing is chowned.

use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::unistd::{Gid, Uid, User, chown};

/// A user and group id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
}

impl Account {
    /// The unprivileged account for PostgreSQL: `postgres`, else `nobody`; `None` when we are not root.
    ///
    /// # Errors
    /// When we are root and the machine has neither.
    pub fn unprivileged() -> Result<Option<Self>> {
        if !Uid::effective().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) =
                User::from_name(name).with_context(|| format!("looking up the user {name}"))?
            {
                return Ok(Some(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }));
            }
        }
        bail!(
            "PostgreSQL refuses to run as root, and neither the user postgres nor nobody exists; add one with useradd"
        )
    }

    /// Gives a file or folder (not its contents) to this account.
    ///
    /// # Errors
    /// When the path does not exist or we may not change its owner.
    pub fn own(self, path: &Path) -> Result<()> {
        chown(path, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
            .with_context(|| format!("giving {} to the user id {}", path.display(), self.uid))
    }
}
