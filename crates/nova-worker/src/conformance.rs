//! A suite that any [`BackgroundWorker`] can be run through (feature `conformance`).
//!
//! Invariant: each rule has a [`BrokenRule`] of its own, so that a failure names the rule, the scenario and what was seen.
//!
//! ```no_run
//! # async fn likes_worker(_: nova_worker::conformance::Scenario) -> std::sync::Arc<dyn nova_worker::BackgroundWorker> { loop {} }
//! # async fn test() {
//! use nova_worker::conformance::{Limits, check};
//! let result = check(likes_worker, Limits::default()).await;
//! assert!(result.is_ok(), "{result:?}");
//! # }
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{BackgroundWorker, ProgressHandle, WorkerContext, WorkerError, WorkerStatus};

/// The circumstances in which the factory's worker shall find itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing to do, everything reachable.
    Idle,
    /// More to do than the worker can finish during the test.
    Load,
    /// The first run meets a transient failure; from the second on it is as `Idle`.
    TransientFailure,
}

/// The moment at which the suite asks the worker to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopAt {
    /// Before the run begins.
    BeforeStart,
    /// A moment after the run began, usually while it connects.
    StartUp,
    /// When the worker is running and has recorded progress.
    Running,
}

/// How long the suite waits. With paused time the waits cost nothing.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the start until the worker is running and has recorded progress, or has failed where it should.
    pub start: Duration,
    /// From the shutdown request until `run` has returned.
    pub stop: Duration,
}

impl Default for Limits {
    /// 10 s each.
    fn default() -> Self {
        Self { start: Duration::from_secs(10), stop: Duration::from_secs(10) }
    }
}

/// The first rule that the worker broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{scenario:?}, stop at {at:?}: {rule}")]
pub struct Broken {
    /// The circumstances.
    pub scenario: Scenario,
    /// When the suite asked for the end.
    pub at: StopAt,
    /// The rule.
    pub rule: BrokenRule,
}

/// The rules of [`BackgroundWorker`], broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokenRule {
    /// The name is empty or has changed.
    #[error("a worker keeps one non-empty name: it was {first:?}, then {then:?}")]
    NameIsStable {
        /// The first name seen.
        first: String,
        /// The name seen later.
        then: String,
    },
    /// The shutdown request was not heeded in time.
    #[error("a worker returns soon after the shutdown request: it was still running after {waited:?}")]
    StopsInTime {
        /// How long the suite waited.
        waited: Duration,
    },
    /// A graceful end was reported as a failure.
    #[error("a graceful shutdown is Ok(()): it returned the error {error:?}")]
    GracefulIsOk {
        /// The error's reason.
        error: String,
    },
    /// The worker panicked.
    #[error("a worker reports failures as WorkerError: it panicked")]
    DoesNotPanic,
    /// Its health did not become `Running`.
    #[error("a worker at work says Running: after {waited:?} it said {status:?}")]
    BecomesRunning {
        /// How long the suite waited.
        waited: Duration,
        /// The status seen last.
        status: WorkerStatus,
    },
    /// It works without recording progress, so that liveness would take it for stuck.
    #[error("a worker records progress, also when idle: after {waited:?} the marks stood at {marks}")]
    RecordsProgress {
        /// How long the suite waited.
        waited: Duration,
        /// Marks recorded.
        marks: u64,
    },
    /// It has ended but its health says otherwise.
    #[error("a worker that has ended is neither Running nor Degraded: it said {status:?}")]
    NotRunningAfterEnd {
        /// The status seen.
        status: WorkerStatus,
    },
    /// A transient failure did not come back as one.
    #[error("a transient failure ends the run with WorkerError::Transient: it {seen}")]
    ReportsTransientFailure {
        /// What came instead.
        seen: String,
    },
    /// An error ended a run in which nothing was wrong.
    #[error("a worker goes on while nothing is wrong: it returned the error {error:?}")]
    GoesOn {
        /// The error's reason.
        error: String,
    },
}

/// Marks that a worker must have recorded: more than one, since a mark at the start alone tells nothing of the loop.
const ENOUGH_MARKS: u64 = 3;
const POLL: Duration = Duration::from_millis(2);

/// Runs workers from `factory` through all scenarios, one fresh worker for each.
///
/// A worker that blocks its thread can be caught on a multi-threaded runtime only.
///
/// # Errors
/// The first rule broken.
pub async fn check<F, Fut>(factory: F, limits: Limits) -> Result<(), Broken>
where
    F: Fn(Scenario) -> Fut,
    Fut: Future<Output = Arc<dyn BackgroundWorker>>,
{
    for (scenario, at) in [
        (Scenario::Idle, StopAt::BeforeStart),
        (Scenario::Idle, StopAt::StartUp),
        (Scenario::Idle, StopAt::Running),
        (Scenario::Load, StopAt::StartUp),
        (Scenario::Load, StopAt::Running),
        (Scenario::TransientFailure, StopAt::Running),
    ] {
        let worker = factory(scenario).await;
        let name = worker.name().to_owned();
        let subject = Subject { worker, name, limits };
        subject.check(scenario, at).await.map_err(|rule| Broken { scenario, at, rule })?;
    }
    Ok(())
}

struct Subject {
    worker: Arc<dyn BackgroundWorker>,
    name: String,
    limits: Limits,
}

/// One run of the worker in a task of its own, which is dropped with this value if it has not ended by then.
struct Run {
    task: JoinSet<Result<(), WorkerError>>,
    shutdown: CancellationToken,
    progress: ProgressHandle,
}

impl Run {
    /// The result of the run, or `None` if it has not ended within `limit`.
    async fn end(&mut self, limit: Duration) -> Option<Result<Result<(), WorkerError>, BrokenRule>> {
        let joined = timeout(limit, self.task.join_next()).await.ok()??;
        Some(joined.map_err(|_| BrokenRule::DoesNotPanic))
    }
}

impl Subject {
    async fn check(&self, scenario: Scenario, at: StopAt) -> Result<(), BrokenRule> {
        self.name_is_stable()?;
        if scenario == Scenario::TransientFailure {
            self.fails_transiently().await?;
        }
        let attempt = if scenario == Scenario::TransientFailure { 2 } else { 1 };
        let mut run = self.start(attempt, at == StopAt::BeforeStart);
        match at {
            StopAt::BeforeStart => {}
            StopAt::StartUp => sleep(POLL).await,
            StopAt::Running => self.works(&mut run).await?,
        }
        run.shutdown.cancel();
        self.stops(run).await
    }

    fn start(&self, attempt: u32, cancelled: bool) -> Run {
        let (shutdown, progress) = (CancellationToken::new(), ProgressHandle::new());
        if cancelled {
            shutdown.cancel();
        }
        let context = WorkerContext::for_attempt(shutdown.clone(), progress.clone(), attempt);
        let worker = Arc::clone(&self.worker);
        let mut task = JoinSet::new();
        task.spawn(async move { worker.run(context).await });
        Run { task, shutdown, progress }
    }

    async fn fails_transiently(&self) -> Result<(), BrokenRule> {
        let seen = match self.start(1, false).end(self.limits.start).await.transpose()? {
            Some(Err(WorkerError::Transient(_))) => return self.has_ended(),
            Some(Err(WorkerError::Fatal(failure))) => {
                format!("returned the fatal error {:?}", failure.reason())
            }
            Some(Ok(())) => "returned Ok(())".to_owned(),
            None => format!("was still running after {:?}", self.limits.start),
        };
        Err(BrokenRule::ReportsTransientFailure { seen })
    }

    /// Waits until the worker says Running and has recorded progress.
    async fn works(&self, run: &mut Run) -> Result<(), BrokenRule> {
        let waited = self.limits.start;
        let at_work = async {
            while self.worker.health_check().status != WorkerStatus::Running
                || run.progress.count() < ENOUGH_MARKS
            {
                if let Some(joined) = run.task.try_join_next() {
                    return joined
                        .map_err(|_| BrokenRule::DoesNotPanic)?
                        .map_err(|e| BrokenRule::GoesOn { error: e.reason() });
                }
                sleep(POLL).await;
            }
            Ok(())
        };
        if let Ok(result) = timeout(waited, at_work).await {
            result?;
            return self.name_is_stable();
        }
        match self.worker.health_check().status {
            WorkerStatus::Running => Err(BrokenRule::RecordsProgress { waited, marks: run.progress.count() }),
            status => Err(BrokenRule::BecomesRunning { waited, status }),
        }
    }

    async fn stops(&self, mut run: Run) -> Result<(), BrokenRule> {
        let waited = self.limits.stop;
        if !run.task.is_empty() {
            match run.end(waited).await.transpose()? {
                None => return Err(BrokenRule::StopsInTime { waited }),
                Some(Err(error)) => return Err(BrokenRule::GracefulIsOk { error: error.reason() }),
                Some(Ok(())) => {}
            }
        }
        self.has_ended()
    }

    fn has_ended(&self) -> Result<(), BrokenRule> {
        self.name_is_stable()?;
        match self.worker.health_check().status {
            status @ (WorkerStatus::Running | WorkerStatus::Degraded { .. }) => {
                Err(BrokenRule::NotRunningAfterEnd { status })
            }
            _ => Ok(()),
        }
    }

    fn name_is_stable(&self) -> Result<(), BrokenRule> {
        let then = self.worker.name();
        if then.is_empty() || then != self.name {
            return Err(BrokenRule::NameIsStable { first: self.name.clone(), then: then.to_owned() });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "conformance_tests.rs"]
mod tests;
