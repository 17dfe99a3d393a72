//! `nova run reconcile`: compares all streams again and again, and says in log and health what it found.

use async_trait::async_trait;
use nova_reconcile::{Checkpoint, Report, Scope, Verdict, metrics};
use nova_streams::{Stream, StreamSet};
use nova_worker::{BackgroundWorker, StatusCell, WorkerContext, WorkerError, WorkerHealth, WorkerStatus};
use tracing::{error, info, warn};

use super::{reconciler, record, with_groups};
use crate::config::Config;

/// The name of the worker, and what follows `nova run`.
pub const NAME: &str = "reconcile";

/// Compares on a schedule.
pub struct ReconcileWorker {
    config: Config,
    streams: Vec<Stream>,
    status: StatusCell,
}

impl ReconcileWorker {
    /// For all streams.
    pub fn new(config: &Config, streams: &StreamSet) -> Self {
        let streams = streams.iter().cloned().collect();
        Self { config: config.clone(), streams, status: StatusCell::new() }
    }

    async fn compare(&self, context: &WorkerContext) -> Result<Report, String> {
        let scope = Scope::default();
        let reconciler = reconciler(&self.config, scope.clone()).map_err(|failure| failure.to_string())?;
        let streams: Vec<&Stream> = self.streams.iter().collect();
        let names: Vec<String> = streams.iter().map(|stream| stream.name.clone()).collect();
        let alive = |_: &nova_reconcile::Progress| context.progress().record();
        let checkpoint = Checkpoint::none(&scope, &names);
        let groups = with_groups(&self.config, &streams);
        let report = reconciler.run(&groups, checkpoint, &alive).await.map_err(|error| error.to_string())?;
        metrics::publish(&report);
        record(&reconciler.clickhouse, &report).await;
        Ok(report)
    }
}

fn tell(report: &Report) {
    for stream in &report.streams {
        let tally = stream.tally;
        match stream.verdict {
            Verdict::Equal => info!(stream = stream.stream, "PostgreSQL and ClickHouse are equal"),
            Verdict::Explained => {
                warn!(
                    stream = stream.stream,
                    explained = tally.explained,
                    "only dead letters make a difference"
                );
            }
            Verdict::Incomplete => {
                warn!(stream = stream.stream, reason = stream.reason, "not compared");
            }
            Verdict::Different => error!(
                stream = stream.stream,
                missing = tally.missing,
                extra = tally.extra,
                doubled = tally.doubled,
                different = tally.different,
                "PostgreSQL and ClickHouse differ; `nova reconcile --stream {}` lists how",
                stream.stream
            ),
        }
    }
}

#[async_trait]
impl BackgroundWorker for ReconcileWorker {
    fn name(&self) -> &str {
        NAME
    }

    async fn run(&self, context: WorkerContext) -> Result<(), WorkerError> {
        let _running = self.status.start();
        let shutdown = context.shutdown();
        loop {
            context.progress().record();
            let Some(found) = shutdown.run_until_cancelled(self.compare(&context)).await else {
                return Ok(());
            };
            self.status.set(match found {
                Ok(report) => {
                    tell(&report);
                    WorkerStatus::Running
                }
                Err(reason) => {
                    warn!("the comparison did not come to an end: {reason}");
                    WorkerStatus::Degraded { reason }
                }
            });
            let next = tokio::time::Instant::now() + self.config.reconcile.every;
            while tokio::time::Instant::now() < next {
                // A worker that rests is alive.
                context.progress().record();
                let nap = next.min(tokio::time::Instant::now() + self.config.monitoring.stall_limit / 4);
                if shutdown.run_until_cancelled(tokio::time::sleep_until(nap)).await.is_none() {
                    return Ok(());
                }
            }
        }
    }

    fn health_check(&self) -> WorkerHealth {
        self.status.health()
    }
}
