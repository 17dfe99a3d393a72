//! Background workers: run, supervise, restart, report health, drain. It knows nothing of Nova and serves any service.
//!
//! A [`BackgroundWorker`] is one long-running job. A [`WorkerManager`] starts several, restarts those whose failure is
//! transient, shows their state on a [`HealthBoard`], and drains them all under one deadline when told to stop.
//!
//! Invariant: every task belongs to the manager's `JoinSet`. Nothing is detached, and a worker is cut off only after
//! it has missed the drain deadline or when a second signal forces the end.
//!
//! ```no_run
//! # async fn example(worker: std::sync::Arc<dyn nova_worker::BackgroundWorker>) -> std::io::Result<()> {
//! use nova_worker::{ManagerOptions, WorkerManager, shutdown_on_signals};
//!
//! let manager = WorkerManager::new(ManagerOptions::default()).add(worker);
//! let (shutdown, force) = (manager.shutdown_token(), manager.force_token());
//! let _board = manager.health(); // for the admin server
//! let (outcome, signal) = shutdown_on_signals(&shutdown, &force, manager.run()).await?;
//! # let _ = (outcome, signal); Ok(())
//! # }
//! ```

mod board;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod health;
mod manager;
mod progress;
mod retry;
mod signals;
mod status;
mod supervisor;
mod worker;

pub use async_trait::async_trait;
pub use board::HealthBoard;
pub use error::{Failure, WorkerError};
pub use health::{WorkerHealth, WorkerStatus};
pub use manager::{HaltedWorker, ManagerOptions, ManagerOutcome, WorkerManager};
pub use progress::ProgressHandle;
pub use retry::{Backoff, RetryEnd, RetryError, RetryPolicy};
pub use signals::{StopSignal, shutdown_on_signals};
pub use status::{RunGuard, StatusCell};
pub use tokio_util::sync::CancellationToken;
pub use worker::{BackgroundWorker, WorkerContext};
