//! `/metrics`: what the registry has, and how the workers are at this moment.
//!
//! Invariant: at each scrape every worker has exactly one status.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use metrics::gauge;
use nova_worker::{HealthBoard, WorkerHealth, WorkerStatus};

use super::Admin;
use crate::telemetry::catalogue::{WORKER_IDLE, WORKER_STATUS};

const STATUSES: [&str; 6] = ["starting", "running", "degraded", "restarting", "halted", "stopped"];

/// All metrics, in Prometheus' text form.
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "Metrics", content_type = "text/plain")))]
pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    for (worker, health) in admin.boards.iter().flat_map(HealthBoard::workers) {
        publish(&worker, &health);
    }
    admin.metrics.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render())
}

fn publish(worker: &str, health: &WorkerHealth) {
    let now = name(&health.status);
    for status in STATUSES {
        let is = if status == now { 1.0 } else { 0.0 };
        gauge!(WORKER_STATUS, "worker" => worker.to_owned(), "status" => status).set(is);
    }
    let idle = health.last_progress.unwrap_or_default();
    gauge!(WORKER_IDLE, "worker" => worker.to_owned()).set(idle.as_secs_f64());
}

fn name(status: &WorkerStatus) -> &'static str {
    match status {
        WorkerStatus::Starting => "starting",
        WorkerStatus::Running => "running",
        WorkerStatus::Degraded { .. } => "degraded",
        WorkerStatus::Restarting { .. } => "restarting",
        WorkerStatus::Halted { .. } => "halted",
        WorkerStatus::Stopped => "stopped",
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_worker_has_one_status_whatever_it_had_before() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let halted = WorkerStatus::Halted { reason: "column gone".to_owned(), advice: None };
        metrics::with_local_recorder(&recorder, || {
            publish("likes", &WorkerHealth::new(WorkerStatus::Running));
            publish("likes", &WorkerHealth::new(halted));
        });
        let text = recorder.handle().render();
        let is: Vec<&str> = text.lines().filter(|line| line.ends_with("\"} 1")).collect();
        assert_eq!(is, ["nova_worker_status{worker=\"likes\",status=\"halted\"} 1"]);
    }
}
