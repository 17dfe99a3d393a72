//! A job at work: its beginning and its end on record, and what goes on beside the work.
//!
//! Invariant: nothing beside the work can fail it, and nothing is left running when it ends.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nova_clickhouse::{JobRow, JobState, Jobs};
use nova_pipeline::{PipelineError, PipelineOptions};
use nova_worker::{CancellationToken, StatusCell, WorkerStatus, shutdown_on_signals};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::live::{self, Live};
use super::pace::Pace;
use super::progress::{Shown, View};
use super::{Finish, Request, Sums, json, new_row, process, refuse_others};
use crate::actor;
use crate::exit::{Exit, Failure, Outcome};

/// How often a job says how far it is.
const BEAT: Duration = Duration::from_secs(5);
/// Attempts to put a job's end on record.
const ATTEMPTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);

/// A job at work.
pub struct Job {
    jobs: Jobs,
    row: Mutex<JobRow>,
    pace: Mutex<Pace>,
    lag: Mutex<Option<i64>>,
    status: Arc<StatusCell>,
    stop: CancellationToken,
    force: CancellationToken,
    before: u64,
    begun: Instant,
}

impl Job {
    /// Puts the beginning on record. `earlier` is the job to go on with ([`super::unfinished`]); its plan stays, `plan` is that of a
    /// new one. `rows_per_second` limits the pace.
    ///
    /// # Errors
    /// While another process works on the table; and those of the record.
    pub async fn begin(
        jobs: Jobs,
        request: &Request,
        earlier: Option<JobRow>,
        plan: &impl Serialize,
        total: u64,
        rows_per_second: Option<u32>,
    ) -> Result<Self, Failure> {
        let mut row = match earlier {
            Some(earlier) => JobRow { state: JobState::Running, reason: String::new(), ..earlier },
            None => new_row(request, json(plan)?),
        };
        row.process = process::own();
        row.actor = actor::of_process();
        row.nova_version = env!("CARGO_PKG_VERSION").to_owned();
        row.total = total;
        refuse_others(&jobs.at_work(&row.target).await?, &row)?;
        let now = Instant::now();
        let job = Self {
            jobs,
            pace: Mutex::new(Pace::new(rows_per_second, now)),
            lag: Mutex::default(),
            status: Arc::default(),
            stop: CancellationToken::new(),
            force: CancellationToken::new(),
            before: row.done,
            begun: now,
            row: Mutex::new(row),
        };
        let row = job.record(|_| ()).await?;
        // Whoever began in the same moment has been put on record before this question, or asks it after this record.
        let at_work = job.jobs.at_work(&row.target).await?;
        if let Err(failure) = refuse_others(&at_work, &row) {
            job.end(JobState::Stopped, &failure.message).await;
            return Err(failure);
        }
        if let Some(own) = at_work.into_iter().find(|other| other.process == row.process) {
            lock(&job.row).began_at = own.began_at;
        }
        Ok(job)
    }

    /// Where whoever retries says what it waits for.
    pub fn status(&self) -> Arc<StatusCell> {
        Arc::clone(&self.status)
    }

    /// Cancelled when the job is asked to stop; it ends waits, never an insert under way.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Whether the work should end at the next place where it can go on.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// The job as it stands.
    pub fn standing(&self) -> JobRow {
        lock(&self.row).clone()
    }

    /// Takes note of what is durable by now; it is put on record at the next beat.
    ///
    /// # Errors
    /// A checkpoint that is no JSON.
    pub fn advance(&self, sums: Sums, checkpoint: &impl Serialize) -> Outcome {
        let checkpoint = json(checkpoint)?;
        let mut row = lock(&self.row);
        row.checkpoint = checkpoint;
        Sums {
            done: row.done,
            written: row.written,
            already_there: row.already_there,
            skipped: row.skipped,
            letters: row.letters,
        } = sums;
        Ok(())
    }

    /// Puts on record, now, what was taken note of; returns when that is durable.
    ///
    /// # Errors
    /// Those of the record.
    pub async fn put_on_record(&self) -> Result<(), PipelineError> {
        self.record(|_| ()).await.map(drop)
    }

    /// Takes note of rows that were handled, and waits as the pace demands, or until the job is to stop.
    pub async fn pass(&self, rows: usize) {
        lock(&self.pace).took(rows, Instant::now());
        loop {
            let wait = lock(&self.pace).wait(Instant::now());
            if wait.is_zero() || self.stop.run_until_cancelled(sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// Does the work, and beside it: beats, looks after the live stream, shows the progress, listens for signals. Puts the
    /// end on record, whatever it is.
    ///
    /// # Errors
    /// What the work failed with; that it was interrupted.
    pub async fn run(
        &self,
        live: Option<&Live>,
        work: impl Future<Output = Result<Finish, Failure>>,
    ) -> Outcome {
        let ending = async {
            tokio::select! {
                ended = work => Some(ended),
                () = self.beat() => None,
                () = self.watch(live) => None,
                () = self.show() => None,
                () = self.force.cancelled() => None,
            }
        };
        let listening = shutdown_on_signals(&self.stop, &self.force, ending).await;
        let (ended, _) = listening
            .map_err(|error| Failure::new(Exit::Failure, format!("cannot listen for signals: {error}")))?;
        match ended {
            Some(Ok(Finish::Done)) => {
                self.end(JobState::Done, "").await;
                Ok(())
            }
            Some(Err(failure)) if !self.is_stopping() => {
                self.end(JobState::Failed, &failure.message).await;
                let cure =
                    format!("{} What was done stays; the same command goes on from there.", failure.cure);
                Err(Failure { cure: cure.trim_start().to_owned(), ..failure })
            }
            Some(_) => Err(self.interrupted().await),
            // The second signal: nothing is waited for. The next one finds this process gone.
            None => Err(Failure::new(Exit::Interrupted, "ended at once").with_cure(self.way_on())),
        }
    }

    async fn interrupted(&self) -> Failure {
        self.end(JobState::Stopped, "interrupted").await;
        let JobRow { done, total, unit, .. } = self.standing();
        let message =
            format!("interrupted after {done} of {total} {unit}; everything until there is durable");
        Failure::new(Exit::Interrupted, message).with_cure(self.way_on())
    }

    fn way_on(&self) -> String {
        format!("It goes on there with: {} --execute", lock(&self.row).request)
    }

    async fn beat(&self) {
        loop {
            sleep(BEAT).await;
            // A ClickHouse that is away holds the work up, too, and that is told.
            if let Err(error) = self.record(|_| ()).await {
                tracing::debug!("a checkpoint is not on record: {error}");
            }
        }
    }

    async fn watch(&self, live: Option<&Live>) {
        let Some(live) = live else { return std::future::pending().await };
        loop {
            match live.lag().await {
                Ok(lag) => {
                    *lock(&self.lag) = Some(lag);
                    lock(&self.pace).observe(lag, Instant::now());
                }
                Err(error) => tracing::debug!("the live stream's lag is not known: {error}"),
            }
            sleep(live::EVERY).await;
        }
    }

    async fn show(&self) {
        let name = {
            let row = lock(&self.row);
            format!("{} {}", row.kind, row.stream)
        };
        let mut shown = Shown::start(name);
        loop {
            sleep(shown.every()).await;
            shown.show(&self.view());
        }
    }

    fn view(&self) -> View {
        let waiting = match self.status.health().status {
            WorkerStatus::Degraded { reason } => Some(reason),
            _ => None,
        };
        let (limit, held_back) = {
            let pace = lock(&self.pace);
            (pace.limit(), pace.is_held_back())
        };
        let (row, lag) = (self.standing(), *lock(&self.lag));
        View { row, before: self.before, elapsed: self.begun.elapsed(), lag, limit, held_back, waiting }
    }

    /// Puts the end on record; if that does not succeed, the job counts as interrupted, which does no harm.
    async fn end(&self, state: JobState, reason: &str) {
        let retry = PipelineOptions::default().retry_policy().with_max_attempts(ATTEMPTS);
        let record = || self.record(|row| (row.state, row.reason) = (state, reason.to_owned()));
        if let Err(failed) = retry.run(record, |_, _, _| (), &CancellationToken::new()).await {
            tracing::warn!("the job's end is not on record: {}", failed.error);
        }
    }

    async fn record(&self, change: impl FnOnce(&mut JobRow)) -> Result<JobRow, PipelineError> {
        let row = {
            let mut row = lock(&self.row);
            change(&mut row);
            row.seq = row.seq.saturating_add(1);
            row.clone()
        };
        self.jobs.record(&row).await.map(|()| row)
    }
}

/// What is in there is replaced as a whole, so a poisoned lock cannot hold half of it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
