//! `nova replay`: a range of a topic once more through the pipeline, writing what the table lacks.
//!
//! Invariant: nothing is changed without `--execute`, the jobs' table included; the live group is asked, and never joined.

mod args;
mod bounds;
mod plan;
mod rebuild;
mod report;
mod work;

use std::collections::BTreeSet;

use nova_clickhouse::{Client, JobRow, Jobs, TableInfo, TableSink};
use nova_kafka::{KafkaConnection, KafkaDeadLetters};
use nova_pipeline::{ErrorKind, NewGroup, PipelineError, Replay, ReplayParts};
use nova_streams::{Mapping, Stream, StreamSet};

pub use args::ReplayCommand;
use args::{KafkaArgs, Mode};
use plan::Plan;
use report::{Done, GoesOn, Report};
use work::{Reached, Work};

use crate::config::Config;
use crate::dlq::{Site, Status};
use crate::exit::{Exit, Failure, Outcome};
use crate::job::{Job, Live, Request, read, unfinished};
use crate::run::{clickhouse_client, compile, declared, kafka_connection, replay_horizon};

/// Runs `nova replay`.
pub async fn run(command: &ReplayCommand, config: &Config, streams: &StreamSet) -> Outcome {
    let ReplayCommand::Kafka(args) = command;
    if args.mode == Mode::Rebuild {
        return rebuild::run(args, config, streams).await;
    }
    let stream = declared(&args.stream, streams)?;
    let ends = Ends::connect(stream, args, config, streams).await?;
    let group = config.group(&stream.name);
    let jobs = Jobs::new(ends.client.clone());
    let request = args.request(&ends.table);
    let earlier = unfinished(&jobs, &request, args.anew).await?;
    let kept: Option<Plan> = match &earlier {
        Some(row) => read("plan", row, &row.plan)?,
        None => None,
    };
    let (plan, estimate) = match kept {
        Some(plan) => {
            plan.check(&ends.connection, stream).await?;
            (plan, None)
        }
        None => {
            let plan = Plan::make(&ends.connection, args, stream, (&group, &ends.table)).await?;
            let estimate = plan.estimate(&ends.connection, (&ends.mapping, &ends.sink), &jobs).await?;
            (plan, Some(estimate))
        }
    };
    let goes_on = earlier.as_ref().map(GoesOn::of);
    let mut report = Report { stream: stream.name.clone(), plan, estimate, goes_on, result: None };
    report.print_plan(args.output);
    if !args.execute || report.plan.parts.is_empty() {
        return report.print_end(args.output);
    }
    let (done, outcome) = execute(args, ends, config, (jobs, &request, earlier), &report.plan).await?;
    let verdict = outcome.and_then(|()| done.verdict(report.plan.elsewhere));
    report.result = Some(done);
    report.print_end(args.output)?;
    verdict
}

/// Both ends of a replay, checked against each other.
struct Ends {
    connection: KafkaConnection,
    client: Client,
    mapping: Mapping,
    sink: TableSink,
    table: String,
}

impl Ends {
    async fn connect(
        stream: &Stream,
        args: &KafkaArgs,
        config: &Config,
        streams: &StreamSet,
    ) -> Result<Self, Failure> {
        let table = args.into.clone().unwrap_or_else(|| stream.table.clone());
        let reads_it_too = |other: &&Stream| {
            other.name != stream.name && other.table == table && other.topic == stream.topic
        };
        if let Some(other) = streams.iter().find(reads_it_too) {
            let message =
                format!("`{table}` is written by stream `{}`, which reads {}, too", other.name, other.topic);
            let cure = format!("Replay that one: --stream {}; or name another table.", other.name);
            return Err(Failure::new(Exit::Usage, message).with_cure(cure));
        }
        let client = clickhouse_client(&config.clickhouse)?;
        let info = TableInfo::read(&client, &table).await?;
        let mapping = compile(stream, &info)?;
        let mut horizon = replay_horizon(config, streams, &table);
        horizon.streams = horizon.streams.max(1);
        horizon.check(client.database(), &info).map_err(PipelineError::from)?;
        let sink = TableSink::new(client.clone(), &info, mapping.columns())?;
        Ok(Self { connection: kafka_connection(config), client, mapping, sink, table })
    }
}

/// Does what is planned; answers what was done, and how that ended.
async fn execute(
    args: &KafkaArgs,
    ends: Ends,
    config: &Config,
    (jobs, request, earlier): (Jobs, &Request, Option<JobRow>),
    plan: &Plan,
) -> Result<(Done, Outcome), Failure> {
    let reached = match &earlier {
        Some(row) => read("checkpoint", row, &row.checkpoint)?,
        None => None,
    };
    let reached = reached.unwrap_or_else(|| Reached::start(plan));
    let letters = if plan.elsewhere { BTreeSet::new() } else { letters(config, &args.stream, plan).await? };
    let topic = &config.kafka.dead_letter_topic;
    let dead_letters = match plan.elsewhere || topic.is_empty() {
        true => None,
        false => Some(KafkaDeadLetters::connect(&ends.connection, topic).await?),
    };
    let job = Job::begin(jobs, request, earlier, plan, plan.offsets(), args.max_rows_per_second).await?;
    let live =
        Live { connection: ends.connection.clone(), group: plan.group.clone(), topic: plan.topic.clone() };
    let replay = Replay::new(ReplayParts {
        topic: plan.topic.clone(),
        mapping: ends.mapping,
        sink: ends.sink,
        dead_letters,
        poison: config.pipeline_options(NewGroup::Refuse).poison,
        job: job.standing().job_id,
        status: job.status(),
        shutdown: job.stop_token(),
    });
    let connection = &ends.connection;
    let keep = |reached: &Reached| job.advance(reached.sums, reached);
    let mut work =
        Work { job: &job, replay: &replay, connection, plan, letters: &letters, reached, keep: &keep };
    let outcome = job.run(Some(&live), work.all()).await;
    Ok((Done::of(&job.standing(), work.reached), outcome))
}

/// Partition and offset of the plan's messages that lie in the dead-letter topic and have not been retried with success: they
/// are `nova dlq`'s, whatever they would become today.
async fn letters(config: &Config, stream: &str, plan: &Plan) -> Result<BTreeSet<(i32, i64)>, Failure> {
    let mut letters = BTreeSet::new();
    if config.kafka.dead_letter_topic.is_empty() {
        return Ok(letters);
    }
    let ranges = plan.ranges();
    let scanned = Site::of(config)?
        .scan(|entry| {
            let letter = &entry.stored.letter;
            let is_ours = letter.stream == stream && letter.topic == plan.topic;
            if is_ours
                && ranges.contains(letter.partition, letter.offset)
                && entry.status() != Status::Retried
            {
                letters.insert((letter.partition, letter.offset));
            }
        })
        .await;
    match scanned {
        Err(error) if error.kind != ErrorKind::Misconfigured => Err(error.into()),
        // Without such a topic there are no letters yet.
        _ => Ok(letters),
    }
}
