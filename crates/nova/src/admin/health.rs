//! Liveness and readiness, with the reasons.
//!
//! Live means that every worker moves, not merely that the process is up. Ready means that every worker does its
//! work now and every server it needs answers; the servers are watched by workers of their own.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use nova_worker::{HealthBoard, WorkerHealth};
use serde::Serialize;
use utoipa::ToSchema;

use super::Admin;

/// The answer of both health checks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Report {
    /// `ok`, or `failing` with the reasons below.
    status: &'static str,
    /// A sentence for each worker that fails the check; empty when all is well.
    reasons: Vec<String>,
    /// All workers.
    workers: Vec<Worker>,
}

/// One worker's health.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Worker {
    /// The stream, or the server that is watched.
    name: String,
    /// Its status, reason, advice and the age of its last progress in milliseconds.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    health: WorkerHealth,
}

/// Whether every worker moves; 503 asks the orchestrator for a restart.
#[utoipa::path(get, path = "/health/live", responses(
    (status = 200, description = "Every worker moves", body = Report),
    (status = 503, description = "A worker is stuck", body = Report),
))]
pub(super) async fn live(State(admin): State<Arc<Admin>>) -> (StatusCode, Json<Report>) {
    let stall_limit = admin.stall_limit;
    report(&admin, |health| health.is_live(stall_limit))
}

/// Whether every worker does its work now; 503 names those that do not, and why.
#[utoipa::path(get, path = "/health/ready", responses(
    (status = 200, description = "Every worker works and every server answers", body = Report),
    (status = 503, description = "Something is held up", body = Report),
))]
pub(super) async fn ready(State(admin): State<Arc<Admin>>) -> (StatusCode, Json<Report>) {
    report(&admin, WorkerHealth::is_ready)
}

/// Every worker of this process, in their order.
pub(super) fn workers(boards: &[HealthBoard]) -> Vec<Worker> {
    let workers = boards.iter().flat_map(HealthBoard::workers);
    workers.map(|(name, health)| Worker { name, health }).collect()
}

fn report(admin: &Admin, passes: impl Fn(&WorkerHealth) -> bool) -> (StatusCode, Json<Report>) {
    let workers = workers(&admin.boards);
    let reasons: Vec<String> =
        workers.iter().filter(|worker| !passes(&worker.health)).map(Worker::sentence).collect();
    if reasons.is_empty() {
        (StatusCode::OK, Json(Report { status: "ok", reasons, workers }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Report { status: "failing", reasons, workers }))
    }
}

impl Worker {
    fn sentence(&self) -> String {
        use nova_worker::WorkerStatus::{Degraded, Halted, Restarting, Running, Starting, Stopped};
        let state = match &self.health.status {
            Starting => "is starting".to_owned(),
            Running => "has made no progress".to_owned(),
            Degraded { reason } => format!("is held up: {reason}"),
            Restarting { reason, attempt, next_in } => {
                format!("restarts in {:.1} s (attempt {attempt}): {reason}", next_in.as_secs_f64())
            }
            Halted { reason, advice: Some(advice) } => format!("has halted: {reason}. {advice}"),
            Halted { reason, advice: None } => format!("has halted: {reason}"),
            Stopped => "has stopped".to_owned(),
        };
        match self.health.last_progress {
            Some(age) if age.as_secs() >= 5 => {
                format!("{} {state} (last moved {} s ago)", self.name, age.as_secs())
            }
            _ => format!("{} {state}", self.name),
        }
    }
}
