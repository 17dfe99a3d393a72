//! The steps of a rebuild: fill the shadow, check it, exchange month by month, refresh views, clear away.
//!
//! Invariant: each step can be done again, and what the next one needs to know is in the tables themselves; the checkpoint holds
//! only how far the filling is and from where an exchange is to be healed, and that is on record before the exchange.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;
use nova_clickhouse::rebuild::{
    AsDelivered, Exchanged, Frontier, Shadow, Step, exchange_all, heal_first, views_over,
};
use nova_clickhouse::{TableInfo, TableSink};
use nova_kafka::KafkaDeadLetters;
use nova_pipeline::{ErrorKind, PipelineError, PipelineOptions, PoisonLimits, Ranges, Replay, ReplayParts};
use nova_streams::{Mapping, Stream};
use nova_worker::WorkerStatus;
use serde::{Deserialize, Serialize};

use super::Site;
use super::check::{Allowed, Check, written};
use super::live::{Beside, Hand};
use crate::exit::Failure;
use crate::job::{Finish, Job};
use crate::replay::bounds::Part;
use crate::replay::plan::Plan;
use crate::replay::work::{Reached, Work};
use crate::run::compile;

/// Rows of a chunk of what is healed.
const CHUNK_ROWS: u32 = 100_000;

/// How far a rebuild is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Checkpoint {
    /// By which mapping the shadow is filled.
    pub mapping: u64,
    /// How far it is filled.
    pub filled: Option<Reached>,
    /// From where an exchange is to be healed; empty while none has happened that was not.
    pub heal: Frontier,
}

/// What was found and done.
#[derive(Debug, Default)]
pub struct Found {
    /// What the exchange would do, or did.
    pub check: Option<Check>,
    /// Partitions that this process exchanged.
    pub exchanged: Vec<Exchanged>,
    /// Views that were made anew.
    pub refreshed: Vec<String>,
    /// Views that could not be, and why; they try again by themselves.
    pub stale: Vec<String>,
}

/// A rebuild at work.
pub struct Rebuilding<'r> {
    /// The job.
    pub job: &'r Job,
    /// Everything it works with.
    pub site: &'r Site<'r>,
    /// The range.
    pub plan: &'r Plan,
    /// Messages that are left to their dead letters.
    pub letters: &'r BTreeSet<(i32, i64)>,
    /// The tables beside the table.
    pub shadow: &'r Shadow,
    /// What may be lost.
    pub allowed: Allowed,
    /// How far it is.
    pub reached: Mutex<Checkpoint>,
    /// What was found and done.
    pub found: Mutex<Found>,
}

impl Rebuilding<'_> {
    /// Does all of it, or as much as there is time for.
    pub async fn all(&self) -> Result<Finish, Failure> {
        let mapping = self.site.mapping()?;
        self.heal(mapping.fingerprint()).await?;
        self.begin(mapping.fingerprint()).await?;
        if self.fill().await? == Finish::Stopped {
            return Ok(Finish::Stopped);
        }
        let check = self.patiently("check", || Check::make(self.shadow, &mapping, &self.site.info)).await?;
        eprint!("{}", check.text());
        let refusal = check.refusal(self.allowed);
        lock(&self.found).check = Some(check);
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        self.exchange(&written(&mapping), mapping.fingerprint()).await?;
        self.refresh().await?;
        self.patiently("clearing away", || async {
            self.shadow.drop_all().await.map_err(PipelineError::from)
        })
        .await?;
        Ok(Finish::Done)
    }

    /// Makes the shadow. One that is new, or was filled by another mapping, is filled from the beginning.
    async fn begin(&self, fingerprint: u64) -> Result<(), Failure> {
        if lock(&self.reached).mapping != fingerprint {
            self.patiently("shadow", || async { self.shadow.drop_all().await.map_err(PipelineError::from) })
                .await?;
        }
        let create = || async { self.shadow.create().await.map_err(PipelineError::from) };
        if self.patiently("shadow", create).await? {
            lock(&self.reached).filled = None;
        }
        lock(&self.reached).mapping = fingerprint;
        Ok(())
    }

    async fn fill(&self) -> Result<Finish, Failure> {
        let reached = lock(&self.reached).filled.clone().unwrap_or_else(|| Reached::start(self.plan));
        let sink = self.site.sink(self.shadow.filled()).await?;
        let replay = self.replay(
            &self.plan.topic,
            self.site.mapping()?,
            sink.asking(&self.shadow.asked()),
            self.site.poison,
        );
        let keep = |reached: &Reached| {
            lock(&self.reached).filled = Some(reached.clone());
            self.job.advance(reached.sums, &*lock(&self.reached))
        };
        let connection = &self.site.connection;
        let mut work = Work {
            job: self.job,
            replay: &replay,
            connection,
            plan: self.plan,
            letters: self.letters,
            reached,
            keep: &keep,
        };
        work.all().await
    }

    /// Messages reach the table of this sink as they reached it first.
    fn replay(
        &self,
        topic: &str,
        mapping: Mapping,
        sink: TableSink,
        poison: PoisonLimits,
    ) -> Replay<AsDelivered, KafkaDeadLetters> {
        Replay::new(ReplayParts {
            topic: topic.to_owned(),
            mapping,
            sink: AsDelivered(sink),
            dead_letters: None,
            poison,
            job: self.job.standing().job_id,
            status: self.job.status(),
            shutdown: self.job.stop_token(),
        })
    }

    fn beside(&self, mapping: u64) -> Beside<'_, &Self> {
        Beside { writers: &self.site.writers, stream: self.site.stream, mapping, hand: self }
    }

    /// Heals what a process before this one has exchanged.
    async fn heal(&self, mapping: u64) -> Result<(), Failure> {
        let beside = self.beside(mapping);
        let attempt = || async {
            let heal = lock(&self.reached).heal.clone();
            heal_first(self.shadow, &beside, &heal, &mut |step| self.tell(step)).await
        };
        self.patiently("healing", attempt).await
    }

    /// A server that is away is waited for; what was begun is healed first.
    async fn exchange(&self, columns: &[String], mapping: u64) -> Result<(), Failure> {
        let beside = self.beside(mapping);
        let attempt = || async {
            let heal = lock(&self.reached).heal.clone();
            exchange_all(self.shadow, columns, &beside, &heal, &mut |step| self.tell(step)).await
        };
        self.patiently("exchange", attempt).await
    }

    fn tell(&self, step: &Step) -> Result<(), PipelineError> {
        tracing::debug!(?step, "rebuild");
        match step {
            Step::Assemble(_) if self.job.is_stopping() => {
                return Err(PipelineError::new(ErrorKind::Unknown, "asked to stop"));
            }
            Step::Exchanged(month) => {
                let Exchanged { partition, before, after } = month;
                eprintln!("{partition}: exchanged; {before} rows of the range before, {after} now");
                lock(&self.found).exchanged.push(month.clone());
            }
            _ => {}
        }
        Ok(())
    }

    async fn refresh(&self) -> Result<(), Failure> {
        let (client, table) = (&self.site.client, &self.site.stream.table);
        let views = || async { views_over(client, table).await.map_err(PipelineError::from) };
        for view in self.patiently("views", views).await?.into_iter().filter(|view| view.refreshable) {
            match view.refresh(client).await {
                Ok(()) => lock(&self.found).refreshed.push(view.name),
                Err(error) => lock(&self.found).stale.push(format!("{}: {error}", view.name)),
            }
        }
        Ok(())
    }

    async fn patiently<T, F>(&self, what: &str, op: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, PipelineError>>,
    {
        let status = self.job.status();
        let waits = |error: &PipelineError, _: u32, _: std::time::Duration| {
            status.set(WorkerStatus::Degraded { reason: format!("{what}: {error}") });
        };
        let done = PipelineOptions::default().retry_policy().run(op, waits, &self.job.stop_token()).await;
        status.set(WorkerStatus::Running);
        done.map_err(|failed| failed.error.into())
    }
}

impl Hand for &Rebuilding<'_> {
    async fn remember(&self, heal: &Frontier) -> Result<(), PipelineError> {
        let (checkpoint, sums) = {
            let mut reached = lock(&self.reached);
            heal.clone_into(&mut reached.heal);
            (reached.clone(), reached.filled.as_ref().map(|filled| filled.sums).unwrap_or_default())
        };
        let unwritable = |failure: Failure| PipelineError::new(ErrorKind::Unknown, failure.message);
        self.job.advance(sums, &checkpoint).map_err(unwritable)?;
        self.job.put_on_record().await
    }

    async fn replay(&self, stream: &Stream, ranges: &Ranges) -> Result<(), PipelineError> {
        let site = self.site;
        let info = TableInfo::read(&site.client, &stream.table).await?;
        let mapping = compile(stream, &info)?;
        let sink = TableSink::new(site.client.clone(), &info, mapping.columns())?;
        // A letter among a few messages says nothing about the others.
        let poison = PoisonLimits { count: u64::MAX, share: 1.0, ..PoisonLimits::default() };
        let replay = Rebuilding::replay(self, &stream.topic, mapping, sink, poison);
        let (letters, connection) = (BTreeSet::new(), &site.connection);
        let of_partition = |(partition, range): (i32, &Range<i64>)| {
            let plan = Plan {
                topic: stream.topic.clone(),
                group: String::new(),
                table: stream.table.clone(),
                elsewhere: false,
                parts: vec![Part { partition, from: range.start, to: range.end }],
                chunk_rows: CHUNK_ROWS,
                notes: Vec::new(),
            };
            let (replay, letters) = (&replay, &letters);
            async move {
                let (reached, keep) = (Reached::start(&plan), |_: &Reached| Ok(()));
                Work { job: self.job, replay, connection, plan: &plan, letters, reached, keep: &keep }
                    .all()
                    .await
            }
        };
        let failed = |failure: Failure| PipelineError::new(ErrorKind::Unknown, failure.message);
        let finished = try_join_all(ranges.iter().map(of_partition)).await.map_err(failed)?;
        if finished.contains(&Finish::Stopped) {
            return Err(PipelineError::new(ErrorKind::Unknown, "asked to stop before all was healed"));
        }
        Ok(())
    }
}

/// What is in there is replaced as a whole, so a poisoned lock cannot hold half of it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
