//! The whole installation: servers, Nova's files, the one `nova run cdc` and the one `nova run events` that write the
//! event tables.
//!
//! Invariant: nobody but the workers of this world writes the event tables; scenarios that run streams of their own
//! give them tables and consumer groups of their own.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use sqlx::PgPool;
use tokio::process::Command;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use xtask::installation::{Installation, RunningWorker};
use xtask::stack::{ClickHouseServer, Lifetime, ServerProcess, Stack, StackOptions};
use xtask::traffic::{self, TrafficCounters, TrafficOptions, TrafficReport};

use crate::wait::{s, until};

/// `pipeline.shutdown_deadline` and a little: a worker that was asked to end must have done so.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
const LOG_LINES: usize = 30;
/// Traffic around a fault ends with the fault.
const LONGEST_LOAD: Duration = Duration::from_secs(660);

/// What a command answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

/// Everything that runs. Dropped, and so stopped, in this order.
pub(crate) struct World {
    worker: RunningWorker,
    events: RunningWorker,
    pub(crate) installation: Installation,
    pub(crate) stack: Stack,
    started: usize,
    seed: u64,
    notes: String,
}

impl World {
    pub(crate) async fn start() -> Result<Self> {
        let stack = Stack::start(StackOptions::default()).await?;
        let installation = Installation::prepare(&stack, Lifetime::WithOwner).await?;
        installation.install().await?;
        let worker = installation.run_worker("cdc-1", &["cdc", "--from-beginning"]).await?;
        let events = installation.run_worker("events", &["events", "--from-beginning"]).await?;
        Ok(Self { worker, events, installation, stack, started: 1, seed: first_seed(), notes: String::new() })
    }

    /// A new scenario: what was noted belongs to the one before.
    pub(crate) fn begin(&mut self) {
        self.notes.clear();
    }

    /// Told when the scenario fails.
    pub(crate) fn note(&mut self, text: &str) {
        self.notes.push_str(text);
        self.notes.push('\n');
    }

    /// What was noted, and the end of the worker's log.
    pub(crate) fn story(&self) -> String {
        let log = self.worker.process.log();
        let text = std::fs::read(log).unwrap_or_default();
        let mut story = format!("{}the last lines of {}:\n", self.notes, log.display());
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
            let _ = writeln!(story, "  {line}");
        }
        story
    }

    pub(crate) fn clickhouse(&self) -> Result<&ClickHouseServer> {
        self.stack.clickhouse()
    }

    pub(crate) fn postgres(&self) -> &PgPool {
        &self.installation.postgres
    }

    pub(crate) fn brokers(&self) -> Result<String> {
        Ok(self.stack.kafka()?.bootstrap())
    }

    pub(crate) fn worker(&self) -> &RunningWorker {
        &self.worker
    }

    /// The one that runs the streams of the outbox.
    pub(crate) fn events(&self) -> &RunningWorker {
        &self.events
    }

    /// Sends `signal` to the worker, waits for its end, and starts a new one in its place. Answers the exit code.
    pub(crate) async fn replace_worker(&mut self, signal: Signal) -> Result<Option<i32>> {
        let code = ended(&self.worker.process, signal).await?;
        self.start_worker().await?;
        Ok(code)
    }

    /// Ends the worker in order; until [`World::start_worker`] there is none.
    pub(crate) async fn stop_worker(&self) -> Result<()> {
        ended(&self.worker.process, Signal::SIGTERM).await.map(drop)
    }

    /// Starts a worker in the place of one that has ended.
    pub(crate) async fn start_worker(&mut self) -> Result<()> {
        self.started += 1;
        let log = format!("cdc-{}", self.started);
        self.worker = self.installation.run_worker(&log, &["cdc"]).await?;
        Ok(())
    }

    /// Ends both workers.
    pub(crate) async fn stop_workers(&self) -> Result<()> {
        self.stop_worker().await?;
        ended(&self.events.process, Signal::SIGTERM).await.map(drop)
    }

    /// Starts both again.
    pub(crate) async fn start_workers(&mut self) -> Result<()> {
        self.start_worker().await?;
        self.events = self.installation.run_worker(&format!("events-{}", self.started), &["events"]).await?;
        Ok(())
    }

    /// Lets the application write for so long, with a new seed.
    pub(crate) async fn traffic(&mut self, seconds: u64, rate: f64) -> Result<TrafficReport> {
        let load = self.load(rate);
        let options = TrafficOptions { duration: s(seconds), ..load.options };
        traffic::run(&load.pool, &options, |_| (), CancellationToken::new()).await
    }

    /// Traffic that is to run beside something else.
    pub(crate) fn load(&mut self, rate: f64) -> Load {
        self.seed += 1000;
        self.note(&format!("traffic: seed {} ({rate}/s)", self.seed));
        let options =
            TrafficOptions { seed: self.seed, writers: 4, rate, users: 200, duration: LONGEST_LOAD };
        Load { pool: self.postgres().clone(), options, counters: TrafficCounters::default() }
    }

    /// Runs `nova` with the configuration of this installation.
    pub(crate) async fn nova(&self, args: &[&str]) -> Result<Answer> {
        self.nova_with(args, &[]).await
    }

    /// The same, with environment variables.
    pub(crate) async fn nova_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Result<Answer> {
        self.nova_within(s(120), args, variables).await
    }

    /// The same, for commands that may take so long.
    pub(crate) async fn nova_within(
        &self,
        limit: Duration,
        args: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Answer> {
        let mut command = Command::new(&self.installation.nova);
        command.arg("--config").arg(&self.installation.config).args(args);
        command.envs(variables.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
        let begun = Instant::now();
        let output = timeout(limit, command.output()).await;
        let output = output.with_context(|| format!("nova {} did not end", args.join(" ")))??;
        Ok(Answer {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: begun.elapsed(),
        })
    }
}

/// Traffic that runs beside something else.
pub(crate) struct Load {
    pool: PgPool,
    options: TrafficOptions,
    counters: TrafficCounters,
}

impl Load {
    /// Lets the application write until `fault` has happened.
    pub(crate) async fn around<T>(&self, fault: impl Future<Output = Result<T>>) -> Result<T> {
        let stop = CancellationToken::new();
        let traffic = traffic::run_counted(&self.pool, &self.options, &self.counters, |_| (), stop.clone());
        let fault = async {
            let happened = fault.await;
            stop.cancel();
            happened
        };
        Ok(tokio::try_join!(traffic, fault)?.1)
    }

    /// Waits for so many more transactions.
    pub(crate) async fn goes_on_for(&self, transactions: u64) -> Result<()> {
        let wanted = self.counters.transactions() + transactions;
        until("the application writes", s(30), async || {
            let done = self.counters.transactions();
            ensure!(done >= wanted, "{done} of {wanted} transactions");
            Ok(())
        })
        .await
    }
}

/// Sends `signal` and waits for the end; answers the exit code.
pub(crate) async fn ended(process: &ServerProcess, signal: Signal) -> Result<Option<i32>> {
    process.kill(signal)?;
    let what = format!("`{}` ends after {signal}", process.name());
    let status = until(&what, ENDS_WITHIN, async || process.exit_status().context("it still runs")).await?;
    Ok(status.code())
}

/// `TEST_SEED`, to run the same traffic again, or one that differs from run to run.
fn first_seed() -> u64 {
    let given = std::env::var("TEST_SEED").ok().and_then(|text| text.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    given.unwrap_or_else(now)
}
