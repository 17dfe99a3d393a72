//! `nova replay kafka --mode rebuild`: rows of a range made anew by today's mapping, and exchanged with those that a table has.
//!
//! Invariant: nothing is changed without `--execute`, and the table only by exchanges of whole partitions that were checked
//! before and are healed after; `docs/replay.md` tells the steps, and decision 8 why nothing is lost.

mod check;
mod live;
mod report;
mod work;
mod writers;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use nova_clickhouse::rebuild::{Frontier, Scope, Shadow};
use nova_clickhouse::{Client, JobKind, JobRow, JobState, Jobs, TableInfo, TableSink};
use nova_kafka::KafkaConnection;
use nova_pipeline::{NewGroup, PipelineError, PoisonLimits};
use nova_streams::{Mapping, Stream, StreamSet};
use uuid::Uuid;

use super::args::KafkaArgs;
use super::bounds::Part;
use super::plan::Plan;
use super::report::GoesOn;
use super::work::Reached;
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::job::{Job, Live, Request, read, unfinished};
use crate::run::{clickhouse_client, compile, declared, kafka_connection};
use check::Allowed;
use live::{Seen, deploy_first};
use report::{Report, Surroundings};
use work::{Checkpoint, Found, Rebuilding, lock};
use writers::Writers;

/// A month is copied by one statement.
const STATEMENT: Duration = Duration::from_secs(6 * 3_600);
/// Jobs among which those are looked for that wait to be healed.
const JOBS: u32 = 1_000;

/// Everything that a rebuild works with.
pub struct Site<'s> {
    stream: &'s Stream,
    connection: KafkaConnection,
    client: Client,
    /// The same, for statements that take long.
    patient: Client,
    info: TableInfo,
    writers: Writers<'s>,
    poison: PoisonLimits,
}

impl<'s> Site<'s> {
    async fn connect(name: &str, config: &Config, streams: &'s StreamSet) -> Result<Self, Failure> {
        let stream = declared(name, streams)?;
        let client = clickhouse_client(&config.clickhouse)?;
        let patient = clickhouse_client(&crate::config::ClickHouseConfig {
            request_timeout: STATEMENT,
            ..config.clickhouse.clone()
        })?;
        let info = TableInfo::read(&client, &stream.table).await.map_err(PipelineError::from)?;
        let writers = Writers::of(&stream.table, streams, config)?;
        let poison = config.pipeline_options(NewGroup::Refuse).poison;
        Ok(Self { stream, connection: kafka_connection(config), client, patient, info, writers, poison })
    }

    /// The stream, compiled against its table.
    fn mapping(&self) -> Result<Mapping, Failure> {
        Ok(compile(self.stream, &self.info)?)
    }

    /// A sink of a table of the same columns.
    async fn sink(&self, table: &str) -> Result<TableSink, Failure> {
        let info = TableInfo::read(&self.client, table).await.map_err(PipelineError::from)?;
        let mapping = self.mapping()?;
        Ok(TableSink::new(self.client.clone(), &info, mapping.columns()).map_err(PipelineError::from)?)
    }

    async fn shadow(&self, plan: &Plan, job: Uuid) -> Result<Shadow, Failure> {
        let scope = Scope { topic: plan.topic.clone(), ranges: plan.ranges() };
        let shadow = Shadow::new(self.patient.clone(), &self.stream.table, job, scope).await;
        Ok(shadow.map_err(PipelineError::from)?)
    }
}

/// Runs `nova replay kafka --mode rebuild`.
pub async fn run(args: &KafkaArgs, config: &Config, streams: &StreamSet) -> Outcome {
    if args.into.is_some() {
        let message =
            "--into fills another table; a rebuild puts rows in the place of those that the stream's own has";
        return Err(Failure::new(Exit::Usage, message).with_cure("Leave out --into, or --mode rebuild."));
    }
    let site = Site::connect(&args.stream, config, streams).await?;
    let (jobs, request) = (Jobs::new(site.client.clone()), args.request(&site.stream.table));
    let earlier = unfinished(&jobs, &request, args.anew).await?;
    unhealed(&jobs, &request, earlier.as_ref()).await?;
    let kept: Option<Plan> = earlier.as_ref().map(|row| read("plan", row, &row.plan)).transpose()?.flatten();
    let group = config.group(&site.stream.name);
    let plan = match kept {
        Some(plan) => {
            plan.check(&site.connection, site.stream).await?;
            plan
        }
        None => Plan::make(&site.connection, args, site.stream, (&group, &site.stream.table)).await?,
    };
    let surroundings = Surroundings::look(&site, &plan, earlier.as_ref()).await?;
    let goes_on = earlier.as_ref().map(GoesOn::of);
    let mut report = Report::new(&site.stream.name, plan, surroundings, goes_on);
    report.print_plan(args.output);
    if !args.execute || report.plan.parts.is_empty() {
        return report.print_end(args.output);
    }
    if report.surroundings.live == Seen::Another {
        return Err(deploy_first(site.stream).into());
    }
    let outcome = execute(args, &site, config, (jobs, &request, earlier), &mut report).await;
    report.print_end(args.output)?;
    outcome.and_then(|()| report.verdict())
}

/// Does what is planned, and puts into the report what was done.
async fn execute(
    args: &KafkaArgs,
    site: &Site<'_>,
    config: &Config,
    (jobs, request, earlier): (Jobs, &Request, Option<JobRow>),
    report: &mut Report,
) -> Outcome {
    let plan = report.plan.clone();
    let reached: Option<Checkpoint> =
        earlier.as_ref().map(|row| read("checkpoint", row, &row.checkpoint)).transpose()?.flatten();
    let letters: BTreeSet<(i32, i64)> = super::letters(config, &args.stream, &plan).await?;
    let job = Job::begin(jobs, request, earlier, &plan, plan.offsets(), args.max_rows_per_second).await?;
    let shadow = site.shadow(&plan, job.standing().job_id).await?;
    let rebuilding = Rebuilding {
        job: &job,
        site,
        plan: &plan,
        letters: &letters,
        shadow: &shadow,
        allowed: Allowed { fewer: args.allow_fewer, contradictions: args.allow_contradictions },
        reached: Mutex::new(reached.unwrap_or_default()),
        found: Mutex::new(Found::default()),
    };
    let live =
        Live { connection: site.connection.clone(), group: plan.group.clone(), topic: plan.topic.clone() };
    let outcome = job.run(Some(&live), rebuilding.all()).await;
    let found = std::mem::take(&mut *lock(&rebuilding.found));
    let filled = lock(&rebuilding.reached).filled.clone().unwrap_or_default();
    report.done(&job.standing(), found, &filled);
    outcome
}

/// Refuses while an exchange of another job of the table waits to be healed.
async fn unhealed(jobs: &Jobs, request: &Request, own: Option<&JobRow>) -> Outcome {
    for row in jobs.recent(JOBS).await? {
        let is_other = row.kind == JobKind::Rebuild
            && row.target == request.target
            && row.state != JobState::Done
            && own.is_none_or(|own| own.job_id != row.job_id);
        if !is_other {
            continue;
        }
        let checkpoint: Option<Checkpoint> = read("checkpoint", &row, &row.checkpoint)?;
        if checkpoint.is_some_and(|checkpoint| checkpoint.heal != Frontier::default()) {
            let message = format!(
                "rebuild {} of `{}` was cut off between an exchange and its healing: rows may be missing",
                row.job_id, row.target
            );
            let cure = format!("First: {} --execute", row.request);
            return Err(Failure::new(Exit::Failure, message).with_cure(cure));
        }
    }
    Ok(())
}
