//! The HTTP server around the engine, and its life from start to clean end.
//!
//! Invariant: the engine is closed only when no request uses it; a request under way gets the shutdown's deadline.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Credentials;
use crate::engine::{Engine, EngineStartError, Parameters};
use crate::exception::Exception;
use crate::handler::{self, State};
use crate::response::Identity;
use crate::tls::TlsOptions;

/// Time for what the deadline cut off to let go of the engine.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// How to start an [`EmbeddedClickHouse`].
#[derive(Clone)]
pub struct Options {
    /// Path of `libchdb.so`.
    pub library: PathBuf,
    /// Data directory; made if missing, locked while the server runs.
    pub data: PathBuf,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A second address, for TLS.
    pub tls: Option<TlsOptions>,
    /// The name of the user who may do everything, usually `default`.
    pub user: String,
    /// The user's password; empty for none.
    pub password: String,
    /// Further users and their passwords. Each has the role of its name, which the configuration file's `users_config`
    /// must define and give to `default`.
    pub other_users: Vec<(String, String)>,
    /// A ClickHouse configuration file for the engine.
    pub config_file: Option<PathBuf>,
    /// Statements that run at the same time; more of them wait.
    pub threads: usize,
}

impl Options {
    /// Loopback on a free port, user `default` without password, 32 statements at a time.
    pub fn new(library: impl Into<PathBuf>, data: impl Into<PathBuf>) -> Self {
        Self {
            library: library.into(),
            data: data.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            user: "default".to_owned(),
            password: String::new(),
            other_users: Vec::new(),
            config_file: None,
            threads: 32,
        }
    }
}

/// Why the server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The engine did not start.
    #[error(transparent)]
    Engine(#[from] EngineStartError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}; take a free port with --listen, or port 0")]
    Listen {
        /// The address given.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("the TLS listener needs a certificate and its key in PEM")]
    Tls(#[source] std::io::Error),
    /// The engine started and then could not say its version.
    #[error("the engine does not answer: {0}")]
    NoAnswer(String),
}

/// The engine could not be closed because statements were still running at the deadline. Data of finished
/// inserts are safe; end the process without destructors, by [`crate::exit_process`].
#[derive(Debug, thiserror::Error)]
#[error(
    "{running} statements or connections were still at work at the shutdown's deadline; the engine was not closed"
)]
pub struct ShutdownError {
    /// Statements and connections still at work.
    pub running: usize,
}

/// A running server. One for each process and data directory; drop without [`Self::shutdown`] leaves the
/// engine open until the process ends.
pub struct EmbeddedClickHouse {
    address: SocketAddr,
    state: Arc<State>,
    stop: CancellationToken,
    accepting: JoinSet<()>,
}

impl EmbeddedClickHouse {
    /// Starts the engine and listens. The port is bound first, so that a taken port leaves nothing behind.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let listener = bind(options.listen).await?;
        let address =
            listener.local_addr().map_err(|source| StartError::Listen { address: options.listen, source })?;
        let secure = match &options.tls {
            Some(tls) => {
                tls.read().map_err(StartError::Tls)?;
                Some(bind(tls.listen).await?)
            }
            None => None,
        };
        let Options { library, data, user, password, other_users: others, config_file, threads, tls, .. } =
            options;
        let no_answer = |error: &dyn std::fmt::Display| StartError::NoAnswer(error.to_string());
        let (engine, identity) = tokio::task::spawn_blocking(move || {
            let engine = Engine::start(&library, &data, config_file.as_deref())?;
            let identity = identity(&engine).map_err(|exception| no_answer(&exception.text.trim_end()))?;
            Ok::<_, StartError>((engine, identity))
        })
        .await
        .map_err(|error| no_answer(&error))??;
        let state = Arc::new(State {
            engine,
            identity,
            credentials: Credentials { user, password, others },
            permits: Semaphore::new(threads.clamp(1, Semaphore::MAX_PERMITS)),
            work: TaskTracker::new(),
        });
        let stop = CancellationToken::new();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, None, Arc::clone(&state), stop.clone()));
        if let (Some(listener), Some(tls)) = (secure, tls) {
            accepting.spawn(accept(listener, Some(Arc::new(tls)), Arc::clone(&state), stop.clone()));
        }
        Ok(Self { address, state, stop, accepting })
    }

    /// The address listened on, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://host:port`, as clients take it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops accepting, lets requests under way finish within `deadline`, then closes the engine.
    pub async fn shutdown(mut self, deadline: Duration) -> Result<(), ShutdownError> {
        self.stop.cancel();
        let state = Arc::clone(&self.state);
        state.work.close();
        let drained = async {
            while self.accepting.join_next().await.is_some() {}
            state.work.wait().await;
        };
        let mut idle = tokio::time::timeout(deadline, drained).await.is_ok();
        if !idle {
            // Ends the connections; an insert that waits for the rest of its body is then cancelled.
            self.accepting.shutdown().await;
            idle = tokio::time::timeout(CANCEL_GRACE, state.work.wait()).await.is_ok();
        }
        let running = state.work.len();
        drop(self.state);
        match Arc::try_unwrap(state) {
            Ok(state) if idle => {
                let closed = tokio::task::spawn_blocking(move || state.engine.close()).await;
                closed.map_err(|_| ShutdownError { running })
            }
            // Closing under a running statement would crash; the engine's memory is left to the process' end.
            state => {
                std::mem::forget(state);
                Err(ShutdownError { running })
            }
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn identity(engine: &Engine) -> Result<Identity, Exception> {
    let lost = || Exception::new(Exception::LOGICAL_ERROR, "no version");
    let mut session = engine.open().ok_or_else(lost)?;
    let row = session.query(b"SELECT version(), timezone()", "TabSeparated", &Parameters::default())?;
    let row = String::from_utf8_lossy(row.as_ref()).trim_end().to_owned();
    let (version, timezone) = row.split_once('\t').ok_or_else(lost)?;
    Ok(Identity { version: version.to_owned(), timezone: timezone.to_owned() })
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<TlsOptions>>,
    state: Arc<State>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let serving = serve(stream, tls.clone(), Arc::clone(&state), stop.clone());
                connections.spawn(state.work.track_future(serving));
            }
            // Out of file descriptors, mostly: give running requests a chance to end.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, tls: Option<Arc<TlsOptions>>, state: Arc<State>, stop: CancellationToken) {
    // Answers are small and written at once; Nagle's algorithm would delay them by up to 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let Some(tls) = tls else { return converse(stream, state, stop).await };
    let accepted = tokio::select! {
        accepted = tls.accept(stream) => accepted,
        () = stop.cancelled() => return,
    };
    match accepted {
        Ok(stream) => converse(stream, state, stop).await,
        Err(error) => tracing::debug!(%error, "no TLS connection"),
    }
}

async fn converse<S>(stream: S, state: Arc<State>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| handler::handle(Arc::clone(&state), request));
    let connection = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}
