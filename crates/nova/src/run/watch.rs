//! A server that Nova depends on, watched by a worker of its own: readiness tells of an outage before a batch does.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use nova_pipeline::PipelineError;
use nova_worker::{BackgroundWorker, StatusCell, WorkerContext, WorkerError, WorkerHealth, WorkerStatus};
use tracing::warn;

/// Looks at one server again and again.
pub struct Watch<P> {
    name: &'static str,
    interval: Duration,
    probe: P,
    status: StatusCell,
}

impl<P> Watch<P> {
    /// Runs `probe` every `interval`.
    pub fn new(name: &'static str, interval: Duration, probe: P) -> Self {
        Self { name, interval, probe, status: StatusCell::new() }
    }
}

#[async_trait]
impl<P, F> BackgroundWorker for Watch<P>
where
    P: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), PipelineError>> + Send,
{
    fn name(&self) -> &str {
        self.name
    }

    async fn run(&self, context: WorkerContext) -> Result<(), WorkerError> {
        let _running = self.status.start();
        let shutdown = context.shutdown();
        loop {
            context.progress().record();
            let Some(found) = shutdown.run_until_cancelled((self.probe)()).await else { return Ok(()) };
            self.status.set(match found {
                Ok(()) => WorkerStatus::Running,
                Err(error) => {
                    warn!(server = self.name, kind = %error.kind, "{error}");
                    WorkerStatus::Degraded { reason: error.to_string() }
                }
            });
            if shutdown.run_until_cancelled(tokio::time::sleep(self.interval)).await.is_none() {
                return Ok(());
            }
        }
    }

    fn health_check(&self) -> WorkerHealth {
        self.status.health()
    }
}
