//! `nova reconcile`: PostgreSQL against ClickHouse as of one snapshot, once or again and again.
//!
//! Invariant: comparing changes nothing on either server, except for a logical message in PostgreSQL's log. What was
//! found is data on stdout; what is being waited for is said on stderr.

mod args;
mod progress;
mod worker;

use nova_clickhouse::{Client, TableInfo};
use nova_pipeline::PipelineError;
use nova_reconcile::history::HistoryError;
use nova_reconcile::{
    Checkpoint, CompareOptions, PostgresAccess, ReconcileError, Reconciler, Report, RunOptions, Scope,
    StreamReport, Verdict, history, render, text_columns,
};
use nova_streams::{Stream, StreamSet};

pub use args::Instant;
pub use args::ReconcileArgs;
use args::{HistoryArgs, ReconcileCommand};
pub use progress::Told;
pub use worker::{NAME, ReconcileWorker};

use crate::cli::Output;
use crate::config::{ClickHouseConfig, Config};
use crate::doctor::postgres_options;
use crate::exit::{Exit, Failure, Outcome};
use crate::login::{LoginFailure, login_failure};
use crate::run::{clickhouse_client, compile, declared, declared_or_all, kafka_connection};

/// Runs `nova reconcile`.
pub async fn run(args: &ReconcileArgs, config: &Config, streams: &StreamSet) -> Outcome {
    if let Some(ReconcileCommand::History(args)) = &args.command {
        return show_history(args, config).await;
    }
    let chosen = declared_or_all(&args.stream, streams)?;
    let since_ms = args.since.map(|time| time.0);
    let until_ms = args.until.map(|time| time.0);
    if let (Some(since), Some(until)) = (since_ms, until_ms)
        && since >= until
    {
        return Err(Failure::new(Exit::Usage, "--since is not before --until: there is nothing to compare"));
    }
    let mut config = config.clone();
    let limits = &mut config.reconcile;
    limits.parallel = args.parallel.unwrap_or(limits.parallel).max(1);
    limits.timeout = args.timeout.unwrap_or(limits.timeout);
    limits.max_listed = args.max_listed.unwrap_or(limits.max_listed);
    let scope = Scope { since_ms, until_ms, incremental: args.incremental };
    let reconciler = reconciler(&config, scope.clone())?;
    let names: Vec<String> = chosen.iter().map(|stream| stream.name.clone()).collect();
    let checkpoint = match &args.checkpoint {
        Some(file) => Checkpoint::open(file.clone(), &scope, &names)?,
        None => Checkpoint::none(&scope, &names),
    };
    let told = Told::start();
    let tell = |progress: &nova_reconcile::Progress| told.tell(progress);
    let groups = with_groups(&config, &chosen);
    let comparing = reconciler.run(&groups, checkpoint, &tell);
    let mut report = tokio::select! {
        report = comparing => report?,
        _ = tokio::signal::ctrl_c() => {
            let cure = match &args.checkpoint {
                Some(file) => format!("The same command goes on from {}.", file.display()),
                None => "With --checkpoint FILE, the same command would go on where it was ended.".to_owned(),
            };
            return Err(Failure::new(Exit::Interrupted, "interrupted").with_cure(cure));
        }
    };
    drop(told);
    record(&reconciler.clickhouse, &report).await;
    if !args.values {
        leave_out_texts(&mut report, &reconciler.clickhouse, streams).await?;
    }
    show(&report, args)?;
    conclude(&report)
}

fn with_groups<'s>(config: &Config, streams: &[&'s Stream]) -> Vec<(&'s Stream, String)> {
    streams.iter().map(|stream| (*stream, config.group(&stream.name))).collect()
}

/// What the configuration says about comparing.
pub fn reconciler(config: &Config, scope: Scope) -> Result<Reconciler, Failure> {
    let limits = &config.reconcile;
    let clickhouse =
        ClickHouseConfig { request_timeout: limits.statement_timeout, ..config.clickhouse.clone() };
    let options = postgres_options(&config.postgres, &config.postgres.user, &config.postgres.password);
    let replica = (!limits.replica_host.is_empty())
        .then(|| options.clone().host(&limits.replica_host).port(limits.replica_port));
    Ok(Reconciler {
        clickhouse: clickhouse_client(&clickhouse)?,
        postgres: PostgresAccess {
            options,
            replica,
            parallel: limits.parallel,
            statement_timeout: limits.statement_timeout,
            slot: config.connect.slot.clone(),
            replication_user: config.connect.replication_user.clone(),
        },
        kafka: kafka_connection(config),
        dead_letter_topic: config.kafka.dead_letter_topic.clone(),
        options: RunOptions {
            compare: CompareOptions {
                scope,
                max_listed: limits.max_listed,
                parallel: limits.parallel,
                touched: None,
            },
            timeout: limits.timeout,
            max_snapshot_age: limits.max_snapshot_age,
            nova_version: env!("CARGO_PKG_VERSION").to_owned(),
        },
    })
}

/// Texts of rows are no business of a report, unless somebody asks for them.
async fn leave_out_texts(report: &mut Report, client: &Client, streams: &StreamSet) -> Result<(), Failure> {
    for found in report.streams.iter_mut().filter(|found| !found.differences.is_empty()) {
        let table = TableInfo::read(client, &found.table).await.map_err(PipelineError::from)?;
        let mapping = compile(declared(&found.stream, streams)?, &table)?;
        found.leave_out_texts(text_columns(mapping.columns()));
    }
    Ok(())
}

/// Keeps the run in ClickHouse; a role that may only read has no history.
async fn record(client: &Client, report: &Report) {
    if let Err(error) = history::record(client, report).await {
        tracing::warn!("the run is not kept: {error}");
    }
}

fn show(report: &Report, args: &ReconcileArgs) -> Outcome {
    if let Some(file) = &args.html {
        std::fs::write(file, render::html(report)).map_err(|error| {
            Failure::new(Exit::Failure, format!("{} cannot be written: {error}", file.display()))
        })?;
    }
    match args.output {
        Output::Table => print!("{}", render::text(report, render::Style::of_stdout())),
        Output::Json => print!("{}", render::json(report)),
    }
    Ok(())
}

async fn show_history(args: &HistoryArgs, config: &Config) -> Outcome {
    let client = clickhouse_client(&config.clickhouse)?;
    let runs =
        history::runs(&client, args.stream.as_deref(), args.limit).await.map_err(ReconcileError::from)?;
    match args.output {
        Output::Table => print!("{}", render::history_text(&runs)),
        Output::Json => print!("{}", render::history_json(&runs)),
    }
    Ok(())
}

fn conclude(report: &Report) -> Outcome {
    let of = |verdict: Verdict| {
        let names = report.streams.iter().filter(|stream| stream.verdict == verdict);
        names.map(named).collect::<Vec<_>>().join(", ")
    };
    match report.verdict() {
        Verdict::Equal => Ok(()),
        Verdict::Explained => {
            Err(Failure::new(Exit::Differences, "the only differences are messages that became dead letters")
                .with_cure("`nova dlq list` shows them, `nova dlq retry` takes them up again."))
        }
        Verdict::Incomplete => {
            let what = format!("not compared: {}", of(Verdict::Incomplete));
            Err(Failure::new(Exit::Partial, what).with_cure("The other streams are equal."))
        }
        Verdict::Different => {
            let what = format!("PostgreSQL and ClickHouse differ: {}", of(Verdict::Different));
            Err(Failure::new(Exit::Differences, what))
        }
    }
}

fn named(stream: &StreamReport) -> String {
    match &stream.reason {
        Some(reason) => format!("{} ({reason})", stream.stream),
        None => format!("{} ({} keys)", stream.stream, stream.tally.total()),
    }
}

impl From<ReconcileError> for Failure {
    fn from(error: ReconcileError) -> Self {
        let message = error.to_string();
        let unavailable = |cure: &str| Self::new(Exit::Unavailable, message.clone()).with_cure(cure);
        match error {
            ReconcileError::Pipeline(error) => error.into(),
            ReconcileError::ClickHouse(error) | ReconcileError::History(HistoryError::ClickHouse(error)) => {
                error.into()
            }
            ReconcileError::TimedOut { .. } => unavailable("With --timeout it may take longer."),
            ReconcileError::Postgres { source: sqlx::Error::Database(_), .. } => {
                Self::new(Exit::Failure, message).with_cure("`nova doctor` looks at what the role needs.")
            }
            ReconcileError::Postgres { doing, source } => {
                let LoginFailure { finding, cure, .. } = login_failure(&source, "postgres");
                Self::new(Exit::Unavailable, format!("PostgreSQL, {doing}: {finding}")).with_cure(cure)
            }
            ReconcileError::Source(_) => unavailable("`nova doctor` looks at the slot."),
            ReconcileError::Refused { .. } | ReconcileError::Checkpoint { .. } => {
                Self::new(Exit::Usage, message)
            }
            ReconcileError::Answer { .. } | ReconcileError::History(_) => Self::new(Exit::Failure, message),
        }
    }
}
