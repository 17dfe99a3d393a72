//! `embedded-clickhouse`: the engine as a server process, for development and tests.
//!
//! Invariant: standard output gets one line, the URL, once requests are answered; after SIGTERM or SIGINT the process
//! ends with 0 when the engine has been closed, and never runs libchdb's exit handlers.

mod arguments;

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use arguments::Arguments;
use clap::Parser as _;
use embedded_clickhouse::{EmbeddedClickHouse, Options, exit_process};
use tokio::signal::unix::{SignalKind, signal};

fn main() {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()),
        )
        .init();
    let code = match run(arguments) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("{error:#}");
            1
        }
    };
    exit_process(code)
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(arguments.threads.saturating_add(4))
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let (password, other_users, tls) = (arguments.password()?, arguments.other_users()?, arguments.tls());
    let addresses = [Some(arguments.listen), tls.as_ref().map(|tls| tls.listen)];
    for open in addresses.into_iter().flatten().filter(|address| !address.ip().is_loopback()) {
        if password.is_empty() {
            bail!("{open} is open to the network: set a password, or listen on 127.0.0.1");
        }
    }
    // Before the engine starts, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let server = EmbeddedClickHouse::start(Options {
        listen: arguments.listen,
        tls,
        user: arguments.user,
        password,
        other_users,
        config_file: arguments.config_file,
        threads: arguments.threads,
        ..Options::new(arguments.library, arguments.data)
    })
    .await?;
    let url = server.url();
    if let Some(file) = &arguments.ready_file {
        write_whole(file, &url).with_context(|| format!("cannot write {}", file.display()))?;
    }
    // The reader of the line may be gone; the server is of use without it.
    let _ = writeln!(std::io::stdout(), "{url}");
    tracing::info!(url, "ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    let stopping = server.shutdown(Duration::from_secs(arguments.shutdown_seconds));
    tokio::select! {
        result = stopping => result.context("stopped"),
        _ = terminate.recv() => bail!("a second signal ended the shutdown"),
        _ = interrupt.recv() => bail!("a second signal ended the shutdown"),
    }
}

/// Whoever waits for the file sees all of it or nothing.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text)?;
    std::fs::rename(partial, path)
}
