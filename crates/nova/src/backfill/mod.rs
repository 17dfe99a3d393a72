//! `nova backfill`: rows of PostgreSQL that ClickHouse lacks, from a snapshot, or through Debezium's incremental snapshot.
//!
//! Invariant: without `--execute` nothing is written to any server, except for a logical message in PostgreSQL's log.

mod args;
mod debezium;
mod driver;
mod progress;
mod signal;
mod text;

use std::num::NonZeroU32;
use std::time::Duration;

use nova_clickhouse::{JobKind, JobRow, Jobs};
use nova_reconcile::backfill::{Backfill, FillOptions, Filled, Plan, Range, Window, check_group};
use nova_reconcile::{Reconciler, Scope};
use nova_streams::{Stream, StreamSet};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use args::BackfillArgs;
use args::Through;
use driver::{JobDriver, PlanDriver};
use progress::Done;

use crate::cli::Output;
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};
use crate::job::{self, Finish, Job, Live, Request};
use crate::reconcile::reconciler;
use crate::run::{clickhouse_client, declared, kafka_connection};

/// A window is to take no longer than this at the pace that was asked for: snapshots are given up between windows.
const WINDOW_WITHIN: Duration = Duration::from_secs(5);

/// What a job writes down when it begins.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    range: Range,
    windows: Vec<Window>,
}

/// Runs `nova backfill`.
pub async fn run(args: &BackfillArgs, config: &Config, streams: &StreamSet) -> Outcome {
    let stream = declared(&args.stream, streams)?;
    let range = args.range();
    if let (Some(since), Some(until)) = (range.since_ms, range.until_ms)
        && since >= until
    {
        return Err(Failure::new(Exit::Usage, "--since is not before --until: there is nothing to backfill"));
    }
    match (args.through, args.stop) {
        (Through::Debezium, _) => debezium::run(args, config, stream).await,
        (Through::Snapshot, true) => Err(Failure::new(Exit::Usage, "--stop belongs to --through debezium")
            .with_cure("A backfill from a snapshot is stopped by Ctrl-C.")),
        (Through::Snapshot, false) => Work::of(args, config, stream)?.run(range).await,
    }
}

/// The servers and the stream of one backfill.
struct Work<'a> {
    args: &'a BackfillArgs,
    config: &'a Config,
    stream: &'a Stream,
    reconciler: Reconciler,
    request: Request,
}

impl<'a> Work<'a> {
    fn of(args: &'a BackfillArgs, config: &'a Config, stream: &'a Stream) -> Result<Self, Failure> {
        let mut reconciler = reconciler(config, Scope::default())?;
        reconciler.postgres.parallel = args.connections.into();
        let request = Request {
            kind: JobKind::Backfill,
            stream: stream.name.clone(),
            target: stream.table.clone(),
            command: args.command(),
            unit: "rows",
        };
        Ok(Self { args, config, stream, reconciler, request })
    }

    async fn run(&self, range: Range) -> Outcome {
        let group = self.config.group(&self.stream.name);
        check_group(&self.reconciler.kafka, self.stream, &group).await?;
        let jobs = Jobs::new(clickhouse_client(&self.config.clickhouse)?);
        let earlier = match job::unfinished(&jobs, &self.request, self.args.anew).await? {
            None => None,
            Some(row) => {
                let stored: Option<Stored> = job::read("plan", &row, &row.plan)?;
                stored.map(|stored| (stored, row))
            }
        };
        match (earlier, self.args.execute) {
            (None, false) => self.show_plan(range).await,
            (Some((stored, row)), false) => self.show_earlier(&stored, &row),
            (Some((stored, row)), true) => self.fill(jobs, stored, Some(row)).await,
            (None, true) => {
                let Plan { windows, .. } = self.plan(range.clone()).await?;
                self.fill(jobs, Stored { range, windows }, None).await
            }
        }
    }

    async fn open(&self, range: Range) -> Result<Backfill<'_>, Failure> {
        let paced = self.args.max_rows_per_second.map(|rows| u64::from(rows.get()) * WINDOW_WITHIN.as_secs());
        let options = FillOptions {
            window_rows: paced.unwrap_or(u64::MAX),
            max_snapshot_age: self.args.snapshot_max_age,
        };
        Ok(Backfill::open(&self.reconciler.clickhouse, self.stream, range, options).await?)
    }

    async fn plan(&self, range: Range) -> Result<Plan, Failure> {
        let backfill = self.open(range).await?;
        let driver = PlanDriver::new(&self.reconciler, self.stream, self.config.group(&self.stream.name));
        driver.interruptible(backfill.plan(&driver)).await
    }

    async fn show_plan(&self, range: Range) -> Outcome {
        let plan = self.plan(range).await?;
        match self.args.output {
            Output::Table => print!("{}", text::plan(self.stream, &plan, self.args)),
            Output::Json => {
                let seconds = text::seconds(&plan, self.args);
                println!(
                    "{:#}",
                    json!({ "executed": false, "stream": self.stream.name, "plan": plan, "seconds": seconds })
                );
            }
        }
        Ok(())
    }

    /// What the same command has not done yet.
    fn show_earlier(&self, stored: &Stored, row: &JobRow) -> Outcome {
        let done: Done = job::read("checkpoint", row, &row.checkpoint)?.unwrap_or_default();
        let left = (0..stored.windows.len()).filter(|window| !done.has(*window)).count();
        match self.args.output {
            Output::Table => print!("{}", text::earlier(row, stored.windows.len(), left)),
            Output::Json => {
                let rest = json!({ "job_id": row.job_id, "windows": stored.windows.len(), "left": left });
                println!("{:#}", json!({ "executed": false, "stream": self.stream.name, "goes_on": rest }));
            }
        }
        Ok(())
    }

    async fn fill(&self, jobs: Jobs, stored: Stored, earlier: Option<JobRow>) -> Outcome {
        let done: Done = match &earlier {
            Some(row) => job::read("checkpoint", row, &row.checkpoint)?.unwrap_or_default(),
            None => Done::default(),
        };
        let backfill = self.open(stored.range.clone()).await?;
        let total = stored.windows.iter().map(|window| window.rows).sum();
        let pace = self.args.max_rows_per_second.map(NonZeroU32::get);
        let job = Job::begin(jobs, &self.request, earlier, &stored, total, pace).await?;
        let backfill = backfill.with_writer(|writer| writer.patient(job.status(), job.stop_token()));
        let group = self.config.group(&self.stream.name);
        let live = Live {
            connection: kafka_connection(self.config),
            group: group.clone(),
            topic: self.stream.topic.clone(),
        };
        let driver = JobDriver::new(&self.reconciler, self.stream, group, &job, done.clone());
        let work = async {
            let is_done = |window: usize| done.has(window);
            let ended = backfill.fill(&stored.windows, is_done, job.standing().job_id, &driver).await?;
            Ok::<_, Failure>(if ended { Finish::Done } else { Finish::Stopped })
        };
        job.run(Some(&live), work).await?;
        let filled = driver.into_filled();
        match self.args.output {
            Output::Table => print!("{}", text::filled(self.stream, &filled)),
            Output::Json => {
                let job_id = job.standing().job_id;
                println!(
                    "{:#}",
                    json!({ "executed": true, "stream": self.stream.name, "job_id": job_id, "filled": filled })
                );
            }
        }
        self.conclude(&filled)
    }

    fn conclude(&self, filled: &Filled) -> Outcome {
        if filled.differing > 0 {
            let message = format!(
                "{} keys differ, and a backfill only adds what is missing; they were left alone",
                filled.differing
            );
            let cure = format!(
                "`nova reconcile --stream {0} -o json > report.json; nova repair plan --report report.json` makes a plan for \
                 them (docs/repair.md).",
                self.stream.name
            );
            return Err(Failure::new(Exit::Differences, message).with_cure(cure));
        }
        if filled.refused > 0 {
            let message =
                format!("{} rows do not fit the stream's columns and were not written", filled.refused);
            return Err(Failure::new(Exit::Partial, message).with_cure(
                "Correct the stream's declaration, or the rows; the messages above say what is wrong.",
            ));
        }
        Ok(())
    }
}
