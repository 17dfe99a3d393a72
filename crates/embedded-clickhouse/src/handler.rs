//! From an HTTP request to its answer: paths, authentication, the blocking thread that runs the statement.
//!
//! Invariant: statements run on tracked blocking threads, never more than the configured number, and go on to
//! their end when the client goes away.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::auth::Credentials;
use crate::engine::Engine;
use crate::exception::Exception;
use crate::execute::{self, Answer, MAX_STATEMENT_BYTES};
use crate::input;
use crate::request::{self, Query};
use crate::response::{self, Identity, Reply};

/// What all requests share.
pub(crate) struct State {
    pub(crate) engine: Engine,
    pub(crate) identity: Identity,
    pub(crate) credentials: Credentials,
    pub(crate) permits: Semaphore,
    /// Connections and running statements.
    pub(crate) work: TaskTracker,
}

/// Answers one request; errors become answers.
pub(crate) async fn handle(state: Arc<State>, request: Request<Incoming>) -> Result<Reply, Infallible> {
    let (parts, body) = request.into_parts();
    let has_query = parts.uri.query().is_some_and(|query| !query.is_empty());
    Ok(match (&parts.method, parts.uri.path()) {
        (_, "/ping" | "/replicas_status") => response::text(StatusCode::OK, "Ok.\n"),
        (&Method::GET | &Method::HEAD, "/") if !has_query => response::text(StatusCode::OK, "Ok.\n"),
        (&Method::GET | &Method::HEAD | &Method::POST, "/" | "/query") => query(state, parts, body).await,
        (&Method::GET | &Method::HEAD | &Method::POST, _) => response::text(
            StatusCode::NOT_FOUND,
            "There is no handle here. Use / or /ping for health checks.\n",
        ),
        _ => response::text(StatusCode::NOT_IMPLEMENTED, "Use GET or POST.\n"),
    })
}

async fn query(state: Arc<State>, parts: Parts, body: Incoming) -> Reply {
    let url = request::url_parameters(&parts.uri);
    let parsed = match state.credentials.check(&parts.headers, &url) {
        Ok(user) => Query::new(user, &parts.method, &parts.headers, url),
        Err(exception) => Err(exception),
    };
    let mut query = match parsed {
        Ok(query) => query,
        Err(exception) => {
            // Read what the client is still writing, see `Pump::run`.
            input::channel(false).0.run(body).await;
            return response::exception(&exception, false, "", &state.identity);
        }
    };
    let (id, compress) = (query.id.clone(), query.compress);
    let outcome = match request::multipart_boundary(&parts.headers) {
        Some(boundary) => match take_fields(&mut query, boundary, body).await {
            Ok(()) => run(&state, query, None).await,
            Err(exception) => Err(exception),
        },
        None => run(&state, query, Some(body)).await,
    };
    match outcome {
        Ok(answer) => response::answer(answer, compress, &id, &state.identity),
        Err(exception) => {
            tracing::debug!(query_id = id, "{}", exception.text.trim_end());
            response::exception(&exception, compress, &id, &state.identity)
        }
    }
}

async fn take_fields(query: &mut Query, boundary: &str, body: Incoming) -> Result<(), Exception> {
    let body = Limited::new(body, MAX_STATEMENT_BYTES).collect().await.map_err(|error| {
        let message =
            format!("multipart/form-data body: {error}; at most {MAX_STATEMENT_BYTES} bytes are accepted");
        Exception::new(Exception::QUERY_IS_TOO_LARGE, message)
    })?;
    query.take_fields(&body.to_bytes(), boundary)
}

async fn run(state: &Arc<State>, query: Query, body: Option<Incoming>) -> Result<Answer, Exception> {
    let internal = |error: &dyn std::fmt::Display| Exception::new(Exception::LOGICAL_ERROR, error);
    let _permit = state.permits.acquire().await.map_err(|error| internal(&error))?;
    let (pump, input) = input::channel(query.decompress && body.is_some());
    let shared = Arc::clone(state);
    let statement = state.work.spawn_blocking(move || execute::run(&shared.engine, &query, input));
    let feed = async {
        match body {
            Some(body) => pump.run(body).await,
            None => pump.end().await,
        }
    };
    let (result, ()) = tokio::join!(statement, feed);
    result.map_err(|error| internal(&error))?
}
