//! The contract between a worker and whoever runs it.
//!
//! Invariant: a worker gets a child of the shutdown token, so that it can hear the request but never make it for others.

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::{ProgressHandle, WorkerError, WorkerHealth};

/// A long-running job that a [`WorkerManager`](crate::WorkerManager) supervises.
///
/// The module `conformance` (feature `conformance`) checks an implementation against these rules.
#[async_trait]
pub trait BackgroundWorker: Send + Sync + 'static {
    /// Names the worker in logs, health and outcomes. The same for the whole life of the worker, and unique in its manager.
    fn name(&self) -> &str;

    /// Runs until the work is done, it has failed, or `context.shutdown()` asks for a graceful end: then finish or give
    /// back what is in hand and return `Ok(())`. Never called twice at the same time; called again after a restart, so
    /// each call builds its connections anew.
    ///
    /// # Errors
    /// [`WorkerError::Transient`] asks for a restart, [`WorkerError::Fatal`] halts this worker.
    async fn run(&self, context: WorkerContext) -> Result<(), WorkerError>;

    /// The worker's present state, from memory: no I/O and no waiting, since each health request calls it.
    /// `last_progress` may be left empty; the [`HealthBoard`](crate::HealthBoard) fills it in.
    fn health_check(&self) -> WorkerHealth;
}

/// What one run of a worker is given.
#[derive(Debug, Clone)]
pub struct WorkerContext {
    shutdown: CancellationToken,
    progress: ProgressHandle,
    attempt: u32,
}

impl WorkerContext {
    /// A context for running a worker without a manager: attempt 1, progress of its own.
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self::for_attempt(shutdown, ProgressHandle::new(), 1)
    }

    pub(crate) fn for_attempt(shutdown: CancellationToken, progress: ProgressHandle, attempt: u32) -> Self {
        Self { shutdown, progress, attempt }
    }

    /// Cancelled when the worker is to drain and return.
    #[must_use]
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Where the worker records that it moves.
    #[must_use]
    pub fn progress(&self) -> &ProgressHandle {
        &self.progress
    }

    /// 1 on the first start, one more for each restart since the worker was last healthy.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}
