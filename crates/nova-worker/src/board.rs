//! The health of all workers of one manager, readable at any time and after the manager has ended.
//!
//! Invariant: what the manager knows outranks what a worker claims: one that has ended is never shown as running.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::time::Instant;

use crate::{BackgroundWorker, ProgressHandle, WorkerHealth, WorkerStatus};

/// A cheap handle (one `Arc`) for the admin server.
#[derive(Clone, Default)]
pub struct HealthBoard(Arc<RwLock<Vec<Arc<Entry>>>>);

impl HealthBoard {
    /// Name and health of each worker, in the order in which they were added.
    #[must_use]
    pub fn workers(&self) -> Vec<(String, WorkerHealth)> {
        self.entries().iter().map(|entry| (entry.name.clone(), entry.health())).collect()
    }

    pub(crate) fn add(&self, worker: Arc<dyn BackgroundWorker>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(Entry::new(worker)));
    }

    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for HealthBoard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.workers()).finish()
    }
}

/// What the manager knows about a worker.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    Pending,
    /// `run` is going on: the worker speaks for itself.
    Active,
    Waiting {
        reason: String,
        attempt: u32,
        until: Instant,
    },
    Halted {
        reason: String,
        advice: Option<String>,
    },
    Stopped,
}

/// One worker, as the manager and the board share it.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) worker: Arc<dyn BackgroundWorker>,
    pub(crate) progress: ProgressHandle,
    phase: Mutex<Phase>,
}

impl Entry {
    fn new(worker: Arc<dyn BackgroundWorker>) -> Self {
        let name = worker.name().to_owned();
        Self { name, worker, progress: ProgressHandle::new(), phase: Mutex::new(Phase::Pending) }
    }

    pub(crate) fn set(&self, phase: Phase) {
        // A phase is replaced as a whole, so a poisoned lock cannot hold half of one.
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn health(&self) -> WorkerHealth {
        let phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut health = self.worker.health_check();
        match phase {
            Phase::Pending => health.status = WorkerStatus::Starting,
            Phase::Active => {}
            Phase::Waiting { reason, attempt, until } => {
                let next_in = until.saturating_duration_since(Instant::now());
                health.status = WorkerStatus::Restarting { reason, attempt, next_in };
            }
            Phase::Halted { reason, advice } => health.status = WorkerStatus::Halted { reason, advice },
            Phase::Stopped => health.status = WorkerStatus::Stopped,
        }
        let age = self.progress.age();
        health.last_progress = Some(health.last_progress.map_or(age, |own| own.min(age)));
        health
    }
}
