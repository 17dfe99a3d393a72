//! The manager's public face: options, the workers it is given, and how it all ended.
//!
//! Invariant: there is one shutdown token, one force token and one drain deadline for all workers.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::supervisor::Supervisor;
use crate::{BackgroundWorker, HealthBoard, RetryPolicy};

/// How workers are restarted and drained.
#[derive(Debug, Clone, Copy)]
pub struct ManagerOptions {
    /// Time from the shutdown request until the last worker must have returned.
    pub drain_deadline: Duration,
    /// Which failures lead to a restart, after which pause, and how often in a row before the worker is halted.
    pub restart: RetryPolicy,
    /// A run that lasted this long was healthy: its failure starts the backoff and the count of attempts anew.
    pub reset_after: Duration,
    /// Return from `run` once every worker has finished or halted. If false, wait for the shutdown request, so that the
    /// admin server can go on showing why they did.
    pub end_when_idle: bool,
}

impl Default for ManagerOptions {
    /// 30 s to drain, restarts without limit, reset after 60 s, end when idle.
    fn default() -> Self {
        Self {
            drain_deadline: Duration::from_secs(30),
            restart: RetryPolicy::default(),
            reset_after: Duration::from_secs(60),
            end_when_idle: true,
        }
    }
}

/// A worker that ended with a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaltedWorker {
    /// The worker's name.
    pub name: String,
    /// Why it ended.
    pub reason: String,
    /// What the operator can do.
    pub advice: Option<String>,
}

/// How a manager's run ended. Where several apply, the last in this list wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManagerOutcome {
    /// All workers finished their work without being asked to stop.
    Finished,
    /// Shutdown was asked for, and all workers that were still at work drained in time.
    Drained,
    /// Everything ended in order but for these workers.
    Halted {
        /// In the order in which they ended.
        workers: Vec<HaltedWorker>,
    },
    /// These workers were still running at the drain deadline and were cut off.
    DeadlineMissed {
        /// Their names, sorted.
        workers: Vec<String>,
    },
    /// The force token was cancelled while these workers were still running; they were cut off.
    Forced {
        /// Their names, sorted.
        workers: Vec<String>,
    },
}

/// Runs and supervises workers until they end or are told to.
pub struct WorkerManager {
    options: ManagerOptions,
    board: HealthBoard,
    shutdown: CancellationToken,
    force: CancellationToken,
}

impl WorkerManager {
    /// A manager without workers.
    #[must_use]
    pub fn new(options: ManagerOptions) -> Self {
        Self {
            options,
            board: HealthBoard::default(),
            shutdown: CancellationToken::new(),
            force: CancellationToken::new(),
        }
    }

    /// Adds a worker; it starts with [`run`](Self::run).
    #[must_use = "the manager is returned"]
    #[expect(clippy::should_implement_trait, reason = "the builder's word; a manager is no sum")]
    pub fn add(self, worker: Arc<dyn BackgroundWorker>) -> Self {
        self.board.add(worker);
        self
    }

    /// Cancel it to make all workers drain.
    #[must_use]
    pub fn shutdown_token(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Cancel it to end at once, without waiting for the drain.
    #[must_use]
    pub fn force_token(&self) -> CancellationToken {
        self.force.clone()
    }

    /// The health of the workers; also shows those added later.
    #[must_use]
    pub fn health(&self) -> HealthBoard {
        self.board.clone()
    }

    /// Runs all workers to their end. Dropping the returned future cuts them off like the force token.
    pub async fn run(self) -> ManagerOutcome {
        Supervisor::new(self.options, self.shutdown, self.force).run(&self.board.entries()).await
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
