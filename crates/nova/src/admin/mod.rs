//! What a running process tells: health for orchestrators and metrics for Prometheus on one listener, the dashboard for
//! people on another. Reads, never changes anything.

mod dashboard;
mod health;
mod metrics;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use nova_worker::HealthBoard;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;

pub use dashboard::Dashboard;

use crate::config::MonitoringConfig;
use crate::exit::{Exit, Failure};

/// What the handlers read.
struct Admin {
    boards: Vec<HealthBoard>,
    metrics: PrometheusHandle,
    stall_limit: Duration,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Nova CDC admin", description = "Health and metrics of one `nova run` process."),
    paths(health::live, health::ready, metrics::metrics),
    components(schemas(health::Report, health::Worker))
)]
struct Document;

/// The server, bound but not yet serving: a taken port is found before any worker starts.
pub struct AdminServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl AdminServer {
    /// Binds the configured address.
    ///
    /// # Errors
    /// An address that is no address, or is taken.
    pub async fn bind(config: &MonitoringConfig) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(Exit::Unavailable, format!("monitoring.listen = {}: {error}", config.listen)).with_cure(
                "Stop the process that holds the port, or choose another: `--set monitoring.listen=127.0.0.1:0`.",
            )
        };
        let listener = TcpListener::bind(&config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// What the listener fails with.
    pub async fn serve(
        self,
        boards: Vec<HealthBoard>,
        metrics: PrometheusHandle,
        stall_limit: Duration,
        shutdown: CancellationToken,
    ) -> std::io::Result<()> {
        let router = router(Arc::new(Admin { boards, metrics, stall_limit }));
        axum::serve(self.listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
    }
}

fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(|| async { Json(Document::openapi()) }))
        .with_state(admin)
}
