//! A ready-made place for a worker to keep its own status, readable by `health_check` while `run` is going on.
//!
//! Invariant: when a run ends in any way, a panic included, the status is `Stopped`: the guard sees to it.

use std::sync::{Mutex, PoisonError};

use crate::{WorkerHealth, WorkerStatus};

/// The status of one worker, shared between its `run` and its `health_check`.
#[derive(Debug)]
pub struct StatusCell(Mutex<WorkerStatus>);

impl StatusCell {
    /// A worker that has not been started.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(WorkerStatus::Stopped))
    }

    /// Call first in `run`: the status is `Starting` now, and `Stopped` when the guard is dropped.
    #[must_use = "the status returns to Stopped as soon as the guard is dropped"]
    pub fn start(&self) -> RunGuard<'_> {
        self.set(WorkerStatus::Starting);
        RunGuard(self)
    }

    /// Replaces the status.
    pub fn set(&self, status: WorkerStatus) {
        // A status is replaced as a whole, so a poisoned lock cannot hold half of one.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// The status now, as a health without details.
    #[must_use]
    pub fn health(&self) -> WorkerHealth {
        WorkerHealth::new(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Default for StatusCell {
    fn default() -> Self {
        Self::new()
    }
}

/// Marks the end of a run when dropped; see [`StatusCell::start`].
#[derive(Debug)]
pub struct RunGuard<'a>(&'a StatusCell);

impl Drop for RunGuard<'_> {
    fn drop(&mut self) {
        self.0.set(WorkerStatus::Stopped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_panics_leaves_the_status_stopped() {
        let cell = StatusCell::new();
        let run = std::panic::AssertUnwindSafe(|| {
            let _guard = cell.start();
            assert_eq!(cell.health().status, WorkerStatus::Starting);
            cell.set(WorkerStatus::Running);
            panic!("on purpose");
        });
        assert!(std::panic::catch_unwind(run).is_err());
        assert_eq!(cell.health().status, WorkerStatus::Stopped);
    }
}
