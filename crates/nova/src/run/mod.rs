//! `nova run`: one worker per stream, the servers they need watched, health and metrics served.
//!
//! Invariant: everything that can be wrong before the first message (configuration, a taken port) is found before
//! a worker starts, and the admin server outlives the workers, so that their drain can be watched.

mod compared;
mod connect;
mod kafka;
mod preflight;
mod retention;
mod slot;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use nova_clickhouse::Client;
use nova_pipeline::{NewGroup, StreamWorker};
use nova_streams::{Stream, StreamSet};
use nova_worker::{
    ManagerOptions, ManagerOutcome, RetryPolicy, StopSignal, WorkerManager, shutdown_on_signals,
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use compared::Compared;
use connect::StreamConnect;
pub use connect::{clickhouse_client, compile, kafka_connection, replay_horizon};
use kafka::{KafkaWatch, Watched};
use slot::SlotWatch;
use watch::Watch;

use crate::admin::{AdminServer, Dashboard};
use crate::cli::RunArgs;
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::facts::Gatherer;
use crate::reconcile::{self, ReconcileWorker};
use crate::telemetry;

/// How often servers are looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// Runs streams until a signal, or until all of them have halted.
pub async fn run(args: &RunArgs, config: &Config, streams: &StreamSet) -> Outcome {
    let chosen = choose(args, streams)?;
    let client = clickhouse_client(&config.clickhouse)?;
    preflight::look(config, &client, is_reconcile(args)).await?;
    let admin = AdminServer::bind(&config.monitoring).await?;
    let dashboard = Dashboard::bind(&config.admin).await?;
    let gatherer = Gatherer::new(config, streams.iter())?;
    let registry =
        telemetry::init_metrics().map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    let shown = dashboard.as_ref().map(|dashboard| dashboard.address().to_string()).unwrap_or_default();
    info!(address = %admin.address(), dashboard = shown, streams = ?names(&chosen), version = env!("CARGO_PKG_VERSION"), "nova runs");

    let workers = if is_reconcile(args) {
        let options =
            ManagerOptions { drain_deadline: config.pipeline.shutdown_deadline, ..ManagerOptions::default() };
        WorkerManager::new(options).add(Arc::new(ReconcileWorker::new(config, streams)))
    } else {
        stream_workers(args, config, streams, &chosen, &client)
    };
    let watchers = server_watchers(config, &chosen, client);
    let boards = vec![workers.health(), watchers.health()];
    let (shutdown, force) = (workers.shutdown_token(), workers.force_token());
    let (watching, serving) = (watchers.shutdown_token(), CancellationToken::new());
    let work = async {
        let show = async {
            match dashboard {
                Some(dashboard) => dashboard.serve(gatherer, boards.clone(), serving.clone()).await,
                None => Ok(()),
            }
        };
        let serve = admin.serve(boards.clone(), registry, config.monitoring.stall_limit, serving.clone());
        let main = async {
            let outcome = workers.run().await;
            watching.cancel();
            serving.cancel();
            outcome
        };
        tokio::join!(main, watchers.run(), async {
            let (served, shown) = tokio::join!(serve, show);
            served.and(shown)
        })
    };
    let signals =
        |error: std::io::Error| Failure::new(Exit::Failure, format!("cannot listen for signals: {error}"));
    let ((outcome, _, served), signal) =
        shutdown_on_signals(&shutdown, &force, work).await.map_err(signals)?;
    served.map_err(|error| Failure::new(Exit::Failure, format!("admin server: {error}")))?;
    conclude(outcome, signal)
}

/// Whether the comparison is asked for, and no stream.
fn is_reconcile(args: &RunArgs) -> bool {
    args.worker.as_deref() == Some(reconcile::NAME)
}

fn names(streams: &[&Stream]) -> Vec<String> {
    streams.iter().map(|stream| stream.name.clone()).collect()
}

/// The streams that the command line asks for.
fn choose<'s>(args: &RunArgs, streams: &'s StreamSet) -> Result<Vec<&'s Stream>, Failure> {
    if is_reconcile(args) {
        return Ok(streams.iter().collect());
    }
    if let Some(worker) = &args.worker {
        let chosen = streams.of_worker(worker);
        if chosen.is_empty() {
            return Err(unknown(format!("no stream belongs to a worker `{worker}`"), &streams.workers()));
        }
        return Ok(chosen);
    }
    declared_or_all(&args.stream, streams)
}

/// The stream of that name.
pub fn declared<'s>(name: &str, streams: &'s StreamSet) -> Result<&'s Stream, Failure> {
    let all = || streams.iter().map(|stream| stream.name.as_str()).collect::<Vec<_>>();
    streams.get(name).ok_or_else(|| unknown(format!("no stream `{name}` is declared"), &all()))
}

/// The streams of these names; all, if none is named.
pub fn declared_or_all<'s>(names: &[String], streams: &'s StreamSet) -> Result<Vec<&'s Stream>, Failure> {
    if names.is_empty() {
        return Ok(streams.iter().collect());
    }
    names.iter().map(|name| declared(name, streams)).collect()
}

fn unknown(what: String, known: &[&str]) -> Failure {
    Failure::new(Exit::Usage, what).with_cure(format!("Declared are: {}.", known.join(", ")))
}

fn stream_workers(
    args: &RunArgs,
    config: &Config,
    streams: &StreamSet,
    chosen: &[&Stream],
    client: &Client,
) -> WorkerManager {
    let new_group = if args.from_beginning { NewGroup::FromBeginning } else { NewGroup::Refuse };
    let options = config.pipeline_options(new_group);
    let manager = WorkerManager::new(ManagerOptions {
        drain_deadline: config.pipeline.shutdown_deadline,
        restart: RetryPolicy::default().with_backoff(options.backoff),
        ..ManagerOptions::default()
    });
    chosen.iter().fold(manager, |manager, stream| {
        let connect = StreamConnect::new(stream, streams, config, client.clone());
        let worker = StreamWorker::new(&stream.name, &config.group(&stream.name), options.clone(), connect);
        manager.add(Arc::new(worker))
    })
}

/// Watches Kafka (by asking where the groups stand) and ClickHouse, and the replication slot beside them.
fn server_watchers(config: &Config, streams: &[&Stream], client: Client) -> WorkerManager {
    let watched = |stream: &&Stream| Watched {
        stream: stream.name.clone(),
        group: config.group(&stream.name),
        topic: stream.topic.clone(),
    };
    let kafka = Arc::new(KafkaWatch::new(config.kafka.connection(), streams.iter().map(watched).collect()));
    let kafka = Watch::new("kafka", WATCH_INTERVAL, move || {
        let kafka = Arc::clone(&kafka);
        async move { kafka.look().await }
    });
    let compared = Arc::new(Compared::new(client.clone(), names(streams)));
    let clickhouse = Watch::new("clickhouse", WATCH_INTERVAL, move || {
        let (client, compared) = (client.clone(), Arc::clone(&compared));
        async move {
            client.ping().await?;
            compared.look().await;
            Ok(())
        }
    });
    let manager =
        WorkerManager::new(ManagerOptions::default()).add(Arc::new(kafka)).add(Arc::new(clickhouse));
    let Some(slot) = SlotWatch::new(config).map(Arc::new) else { return manager };
    let postgres = Watch::new("postgres", WATCH_INTERVAL, move || {
        let slot = Arc::clone(&slot);
        async move { slot.look().await }
    });
    manager.add(Arc::new(postgres.not_needed()))
}

fn conclude(outcome: ManagerOutcome, signal: Option<StopSignal>) -> Outcome {
    let interrupted =
        || Failure::new(Exit::Interrupted, "interrupted; everything in hand was written and committed");
    match outcome {
        ManagerOutcome::Finished | ManagerOutcome::Drained => match signal {
            Some(StopSignal::Interrupt) => Err(interrupted()),
            _ => Ok(()),
        },
        ManagerOutcome::Halted { workers } => {
            let lines: Vec<String> = workers
                .iter()
                .map(|worker| {
                    let advice = worker.advice.as_deref().unwrap_or_default();
                    format!("stream `{}` has halted: {}\n  {advice}", worker.name, worker.reason)
                })
                .collect();
            Err(Failure::new(Exit::Failure, lines.join("\n")))
        }
        ManagerOutcome::DeadlineMissed { workers } => Err(Failure::new(
            Exit::Partial,
            format!(
                "not drained within the deadline: {}; what they had in hand is read again",
                workers.join(", ")
            ),
        )),
        ManagerOutcome::Forced { workers } => Err(Failure::new(
            Exit::Interrupted,
            format!(
                "ended at once by a second signal: {}; what they had in hand is read again",
                workers.join(", ")
            ),
        )),
    }
}
