//! The page at `/` that shows the flow from PostgreSQL to ClickHouse while somebody looks at it.
//!
//! Invariant: it reads and never changes anything, it shows no value of a row, and servers are asked only while a page is
//! open, however many are.

mod guard;
mod live;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::middleware;
use axum::response::sse::Sse;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use nova_worker::HealthBoard;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::AdminConfig;
use crate::exit::{Exit, Failure};
use crate::facts::Gatherer;
use guard::Guard;
use live::Live;

const PAGE: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/app.js");

/// The server, bound but not yet serving.
pub struct Dashboard {
    listener: TcpListener,
    address: SocketAddr,
    guard: Guard,
}

impl Dashboard {
    /// Binds the configured address; `None` if there is none.
    ///
    /// # Errors
    /// An address that is no address or is taken, and one that others can reach while no token is set.
    pub async fn bind(config: &AdminConfig) -> Result<Option<Self>, Failure> {
        if config.listen.is_empty() {
            return Ok(None);
        }
        let failed = |error: std::io::Error| {
            Failure::new(Exit::Unavailable, format!("admin.listen = {}: {error}", config.listen)).with_cure(
                "Stop the process that holds the port, choose another (`--set admin.listen=127.0.0.1:0`), or do without \
                 the dashboard (`--set admin.listen=`).",
            )
        };
        let listener = TcpListener::bind(&config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() && config.token.is_empty() {
            let message = format!(
                "admin.listen = {}: others can reach that address, and no token is set",
                config.listen
            );
            return Err(Failure::new(Exit::Usage, message)
                .with_cure("Set admin.token_file (or admin.token), or listen on 127.0.0.1."));
        }
        let guard = Guard::new(&config.token, address.ip().is_loopback());
        Ok(Some(Self { listener, address, guard }))
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
        gatherer: Gatherer,
        boards: Vec<HealthBoard>,
        shutdown: CancellationToken,
    ) -> std::io::Result<()> {
        let live = Arc::new(Live::new(shutdown.clone()));
        let router = router(self.guard, Arc::clone(&live));
        let serving =
            axum::serve(self.listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        let looking = shutdown.run_until_cancelled(live.look(gatherer, &boards));
        tokio::join!(serving.into_future(), looking).0
    }
}

fn router(guard: Guard, live: Arc<Live>) -> Router {
    let file =
        |kind: &'static str, text: &'static str| get(move || async move { ([(CONTENT_TYPE, kind)], text) });
    Router::new()
        .route("/", file("text/html; charset=utf-8", PAGE))
        .route("/style.css", file("text/css; charset=utf-8", STYLE))
        .route("/app.js", file("text/javascript; charset=utf-8", SCRIPT))
        .route("/events", get(events))
        .with_state(live)
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::check))
}

/// What is so now, again and again, as server-sent events.
async fn events(State(live): State<Arc<Live>>) -> Response {
    match live.listen() {
        // nginx would hold the stream back otherwise.
        Some(stream) => {
            ([(HeaderName::from_static("x-accel-buffering"), "no")], Sse::new(stream)).into_response()
        }
        None => (StatusCode::SERVICE_UNAVAILABLE, "as many pages are open as are served; close one\n")
            .into_response(),
    }
}

#[cfg(test)]
mod tests;
