//! The loop behind [`WorkerManager::run`](crate::WorkerManager::run): start, restart, halt, drain.
//!
//! Invariant: a worker is either in `active` with exactly one task in `tasks` (a pause before a restart is part of that
//! task), or it has ended and its phase says how.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBackoff;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::board::{Entry, Phase};
use crate::{HaltedWorker, ManagerOptions, ManagerOutcome, WorkerContext, WorkerError};

pub(crate) struct Supervisor {
    options: ManagerOptions,
    shutdown: CancellationToken,
    force: CancellationToken,
    tasks: JoinSet<Ended>,
    active: HashMap<Id, Active>,
    halted: Vec<HaltedWorker>,
}

struct Active {
    entry: Arc<Entry>,
    attempt: u32,
    delays: ExponentialBackoff,
}

/// How one attempt went, told by its task. A panic comes as a `JoinError` instead.
struct Ended {
    lasted: Duration,
    result: Result<(), WorkerError>,
}

impl Supervisor {
    pub(crate) fn new(
        options: ManagerOptions,
        shutdown: CancellationToken,
        force: CancellationToken,
    ) -> Self {
        Self { options, shutdown, force, tasks: JoinSet::new(), active: HashMap::new(), halted: Vec::new() }
    }

    pub(crate) async fn run(mut self, entries: &[Arc<Entry>]) -> ManagerOutcome {
        for entry in entries {
            let delays = self.options.restart.delays();
            self.start(Active { entry: Arc::clone(entry), attempt: 1, delays }, Duration::ZERO);
        }
        let mut deadline = None;
        loop {
            if self.active.is_empty() && (deadline.is_some() || self.options.end_when_idle) {
                return self.outcome();
            }
            // Biased: an end that has happened counts before the deadline that falls on the same moment.
            tokio::select! {
                biased;
                () = self.force.cancelled() => {
                    return self.cut_off("forced to end", |workers| ManagerOutcome::Forced { workers });
                }
                () = self.shutdown.cancelled(), if deadline.is_none() => {
                    tracing::info!(workers = self.active.len(), "draining");
                    deadline = Some(later(self.options.drain_deadline));
                }
                Some(joined) = self.tasks.join_next_with_id() => self.settle(joined),
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    return self.cut_off("missed the drain deadline", |workers| ManagerOutcome::DeadlineMissed { workers });
                }
            }
        }
    }

    fn start(&mut self, active: Active, pause: Duration) {
        let entry = Arc::clone(&active.entry);
        let shutdown = self.shutdown.child_token();
        let context = WorkerContext::for_attempt(shutdown.clone(), entry.progress.clone(), active.attempt);
        let span = tracing::info_span!("worker", name = %entry.name, attempt = active.attempt);
        let task = async move {
            if !pause.is_zero() && shutdown.run_until_cancelled(sleep(pause)).await.is_none() {
                // Between two attempts a worker holds nothing that would have to be drained.
                return Ended { lasted: Duration::ZERO, result: Ok(()) };
            }
            let begun = Instant::now();
            entry.progress.touch();
            entry.set(Phase::Active);
            let result = entry.worker.run(context).await;
            Ended { lasted: begun.elapsed(), result }
        };
        let id = self.tasks.spawn(task.instrument(span)).id();
        self.active.insert(id, active);
    }

    fn settle(&mut self, joined: Result<(Id, Ended), JoinError>) {
        let id = match &joined {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(active) = self.active.remove(&id) else { return };
        match joined {
            Ok((_, Ended { result: Ok(()), .. })) => {
                tracing::info!(worker = active.entry.name, "stopped");
                active.entry.set(Phase::Stopped);
            }
            Ok((_, Ended { result: Err(error), lasted })) => self.failed(active, &error, lasted),
            Err(error) => {
                let reason = match error.try_into_panic() {
                    Ok(payload) => format!("panicked: {}", panic_text(&*payload)),
                    Err(cancelled) => cancelled.to_string(),
                };
                self.halt(
                    &active,
                    reason,
                    Some("This is a defect of the worker: report it with the log.".to_owned()),
                );
            }
        }
    }

    fn failed(&mut self, mut active: Active, error: &WorkerError, lasted: Duration) {
        let (reason, advice) = (error.reason(), error.advice().map(str::to_owned));
        if !(self.options.restart.retry_on)(error) {
            return self.halt(&active, reason, advice);
        }
        if self.shutdown.is_cancelled() {
            return self.halt(&active, format!("failed while draining: {reason}"), advice);
        }
        if lasted >= self.options.reset_after {
            active.attempt = 0;
            active.delays = self.options.restart.delays();
        }
        let Some(pause) = active.delays.next() else {
            return self.halt(
                &active,
                format!("gave up after {} attempts in a row: {reason}", active.attempt.max(1)),
                advice,
            );
        };
        active.attempt = active.attempt.saturating_add(1);
        tracing::warn!(
            worker = active.entry.name,
            reason,
            advice,
            attempt = active.attempt,
            ?pause,
            "restarting"
        );
        active.entry.set(Phase::Waiting { reason, attempt: active.attempt, until: later(pause) });
        self.start(active, pause);
    }

    fn halt(&mut self, active: &Active, reason: String, advice: Option<String>) {
        let name = active.entry.name.clone();
        tracing::error!(worker = name, reason, advice, "halted");
        active.entry.set(Phase::Halted { reason: reason.clone(), advice: advice.clone() });
        self.halted.push(HaltedWorker { name, reason, advice });
    }

    fn outcome(self) -> ManagerOutcome {
        if !self.halted.is_empty() {
            ManagerOutcome::Halted { workers: self.halted }
        } else if self.shutdown.is_cancelled() {
            ManagerOutcome::Drained
        } else {
            ManagerOutcome::Finished
        }
    }

    /// Ends without those still at work. This is the one place where tasks are dropped unfinished (`self.tasks` with
    /// `self`): they have had their time to drain, or the operator asked twice. They are not waited for, since one that
    /// blocks its thread would hold up the process for good.
    fn cut_off(self, reason: &str, outcome: fn(Vec<String>) -> ManagerOutcome) -> ManagerOutcome {
        let mut workers: Vec<String> = Vec::with_capacity(self.active.len());
        for active in self.active.values() {
            tracing::error!(worker = active.entry.name, reason, "cut off");
            active.entry.set(Phase::Halted { reason: reason.to_owned(), advice: None });
            workers.push(active.entry.name.clone());
        }
        workers.sort();
        outcome(workers)
    }
}

/// The moment after `pause`; a pause too long for the clock becomes a century.
fn later(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or_else(|| now + Duration::from_hours(24 * 36_525))
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "no text",
    }
}
