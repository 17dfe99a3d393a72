//! A server that Nova depends on, watched by a worker of its own: readiness tells of an outage before a batch does.
//!
//! Invariant: a server that the process does not need holds nobody up when it is away; metrics, health's details and one line
//! in the log say so.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use nova_pipeline::PipelineError;
use nova_worker::{BackgroundWorker, StatusCell, WorkerContext, WorkerError, WorkerHealth, WorkerStatus};
use tracing::{info, warn};

use crate::telemetry::catalogue::SERVER_UP;

/// Looks at one server again and again.
pub struct Watch<P> {
    name: &'static str,
    interval: Duration,
    probe: P,
    is_needed: bool,
    status: StatusCell,
    /// Why a server that is not needed does not answer.
    away: Mutex<Option<String>>,
}

impl<P> Watch<P> {
    /// Runs `probe` every `interval`.
    pub fn new(name: &'static str, interval: Duration, probe: P) -> Self {
        let (status, away) = (StatusCell::new(), Mutex::default());
        Self { name, interval, probe, is_needed: true, status, away }
    }

    /// The same for a server that the process can do without.
    #[must_use]
    pub fn not_needed(self) -> Self {
        Self { is_needed: false, ..self }
    }

    fn note(&self, found: Result<(), PipelineError>) {
        metrics::gauge!(SERVER_UP, "server" => self.name).set(if found.is_ok() { 1.0 } else { 0.0 });
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        let status = match found {
            Ok(()) => {
                if away.take().is_some() {
                    info!(server = self.name, "answers again");
                }
                WorkerStatus::Running
            }
            Err(error) if self.is_needed => {
                warn!(server = self.name, kind = %error.kind, "{error}");
                WorkerStatus::Degraded { reason: error.to_string() }
            }
            Err(error) => {
                if away.is_none() {
                    warn!(server = self.name, kind = %error.kind, "{error}; nothing waits for it");
                }
                *away = Some(error.to_string());
                WorkerStatus::Running
            }
        };
        self.status.set(status);
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
            self.note(found);
            if shutdown.run_until_cancelled(tokio::time::sleep(self.interval)).await.is_none() {
                return Ok(());
            }
        }
    }

    fn health_check(&self) -> WorkerHealth {
        let health = self.status.health();
        match &*self.away.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(reason) => health.with_detail("away", reason),
            None => health,
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use nova_pipeline::ErrorKind;

    use super::*;

    #[test]
    fn only_a_server_that_is_needed_holds_readiness_up() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let gone = || Err(PipelineError::new(ErrorKind::Unavailable, "connection refused"));
        let watch = |name| Watch::new(name, Duration::from_secs(5), ());

        let needed = watch("kafka");
        needed.note(gone());
        let degraded = WorkerStatus::Degraded { reason: "connection refused".to_owned() };
        assert_eq!(needed.status.health().status, degraded);

        let not_needed = watch("postgres").not_needed();
        not_needed.note(gone());
        assert_eq!(not_needed.status.health().status, WorkerStatus::Running);
        assert_eq!(not_needed.away.lock().unwrap().as_deref(), Some("connection refused"));
        let text = recorder.handle().render();
        assert!(text.contains("nova_server_up{server=\"postgres\"} 0"), "{text}");

        not_needed.note(Ok(()));
        assert_eq!(*not_needed.away.lock().unwrap(), None);
        assert!(recorder.handle().render().contains("nova_server_up{server=\"postgres\"} 1"));
    }
}
