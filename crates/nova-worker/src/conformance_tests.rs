//! The suite proves itself: it passes a sound worker and catches one worker for each rule that can be broken.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::{RunGuard, StatusCell, WorkerHealth, async_trait};

/// What is wrong with the worker under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    IgnoresShutdown,
    IgnoresShutdownUnderLoad,
    IgnoresShutdownBeforeStart,
    IgnoresShutdownWhileConnecting,
    Panics,
    PanicsWhileDraining,
    ClaimsRunningWhenStopped,
    ClaimsRunningAfterFailure,
    ShutdownIsAnError,
    ChangesItsName,
    HasNoName,
    NeverRunning,
    NoProgress,
    OneMarkOnly,
    FailureIsFatal,
    SwallowsFailure,
    CannotRunAgain,
    FailsOutOfTheBlue,
}

struct Sample {
    scenario: Scenario,
    fault: Fault,
    runs: AtomicU32,
    status: StatusCell,
}

impl Sample {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    async fn connect(&self, shutdown: &CancellationToken) -> Option<()> {
        let deaf = match self.fault {
            Fault::IgnoresShutdownBeforeStart => true,
            Fault::IgnoresShutdownWhileConnecting => !shutdown.is_cancelled(),
            _ => false,
        };
        if deaf {
            // Connects to a server that never answers.
            sleep(Duration::from_secs(3600)).await;
        }
        let connecting = sleep(Duration::from_millis(50));
        shutdown.run_until_cancelled(connecting).await
    }

    async fn work(&self, context: &WorkerContext) {
        let deaf = self.is(Fault::IgnoresShutdown)
            || self.is(Fault::IgnoresShutdownUnderLoad) && self.scenario == Scenario::Load;
        while deaf || !context.shutdown().is_cancelled() {
            let enough = match self.fault {
                Fault::NoProgress => 0,
                Fault::OneMarkOnly => 1,
                _ => u64::MAX,
            };
            if context.progress().count() < enough {
                context.progress().record();
            }
            let pause = if self.scenario == Scenario::Load { 1 } else { 100 };
            if deaf {
                sleep(Duration::from_millis(pause)).await;
            } else {
                context.shutdown().run_until_cancelled(sleep(Duration::from_millis(pause))).await;
            }
        }
    }

    /// Leaves the status as it is, where that is the fault.
    fn end(&self, guard: RunGuard<'_>, fault: Fault) {
        if self.is(fault) {
            self.status.set(WorkerStatus::Running);
            std::mem::forget(guard);
        }
    }
}

#[async_trait]
impl BackgroundWorker for Sample {
    fn name(&self) -> &str {
        match self.fault {
            Fault::HasNoName => "",
            Fault::ChangesItsName if self.runs.load(Ordering::Relaxed) > 0 => "renamed",
            _ => "sample",
        }
    }

    async fn run(&self, context: WorkerContext) -> Result<(), WorkerError> {
        let guard = self.status.start();
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        if self.connect(context.shutdown()).await.is_none() {
            return Ok(());
        }
        if self.is(Fault::FailsOutOfTheBlue) || run == 1 && self.is(Fault::CannotRunAgain) {
            return Err(WorkerError::fatal("no connection"));
        }
        if self.scenario == Scenario::TransientFailure && run == 0 && !self.is(Fault::SwallowsFailure) {
            self.end(guard, Fault::ClaimsRunningAfterFailure);
            let fatal = self.is(Fault::FailureIsFatal);
            return Err(if fatal { WorkerError::fatal("lost") } else { WorkerError::transient("lost") });
        }
        assert!(!self.is(Fault::Panics), "on purpose");
        if !self.is(Fault::NeverRunning) {
            self.status.set(WorkerStatus::Running);
        }
        self.work(&context).await;
        assert!(!self.is(Fault::PanicsWhileDraining), "on purpose");
        self.end(guard, Fault::ClaimsRunningWhenStopped);
        if self.is(Fault::ShutdownIsAnError) { Err(WorkerError::transient("interrupted")) } else { Ok(()) }
    }

    fn health_check(&self) -> WorkerHealth {
        self.status.health()
    }
}

const LIMITS: Limits = Limits { start: Duration::from_secs(5), stop: Duration::from_secs(2) };

async fn check_sample(fault: Fault) -> Result<(), Broken> {
    let factory = |scenario| async move {
        let sample = Sample { scenario, fault, runs: AtomicU32::new(0), status: StatusCell::new() };
        Arc::new(sample) as Arc<dyn BackgroundWorker>
    };
    check(factory, LIMITS).await
}

#[tokio::test(start_paused = true)]
async fn a_sound_worker_passes() {
    assert_eq!(check_sample(Fault::None).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn each_broken_rule_is_caught_and_named() {
    use BrokenRule as Rule;
    use Scenario::{Idle, Load, TransientFailure};
    use StopAt::{BeforeStart, Running, StartUp};

    let (waited, status) = (LIMITS.start, WorkerStatus::Running);
    let late = || Rule::StopsInTime { waited: LIMITS.stop };
    let named =
        |first: &str, then: &str| Rule::NameIsStable { first: first.to_owned(), then: then.to_owned() };
    let transient = |seen: &str| Rule::ReportsTransientFailure { seen: seen.to_owned() };
    let error = |text: &str| text.to_owned();
    for (fault, scenario, at, rule) in [
        (Fault::IgnoresShutdown, Idle, Running, late()),
        (Fault::IgnoresShutdownUnderLoad, Load, Running, late()),
        (Fault::IgnoresShutdownBeforeStart, Idle, BeforeStart, late()),
        (Fault::IgnoresShutdownWhileConnecting, Idle, StartUp, late()),
        (Fault::Panics, Idle, Running, Rule::DoesNotPanic),
        (Fault::PanicsWhileDraining, Idle, Running, Rule::DoesNotPanic),
        (Fault::ClaimsRunningWhenStopped, Idle, Running, Rule::NotRunningAfterEnd { status: status.clone() }),
        (Fault::ClaimsRunningAfterFailure, TransientFailure, Running, Rule::NotRunningAfterEnd { status }),
        (Fault::ShutdownIsAnError, Idle, Running, Rule::GracefulIsOk { error: error("interrupted") }),
        (Fault::ChangesItsName, Idle, BeforeStart, named("sample", "renamed")),
        (Fault::HasNoName, Idle, BeforeStart, named("", "")),
        (Fault::NeverRunning, Idle, Running, Rule::BecomesRunning { waited, status: WorkerStatus::Starting }),
        (Fault::NoProgress, Idle, Running, Rule::RecordsProgress { waited, marks: 0 }),
        (Fault::OneMarkOnly, Idle, Running, Rule::RecordsProgress { waited, marks: 1 }),
        (Fault::FailureIsFatal, TransientFailure, Running, transient("returned the fatal error \"lost\"")),
        (Fault::SwallowsFailure, TransientFailure, Running, transient("was still running after 5s")),
        (Fault::CannotRunAgain, TransientFailure, Running, Rule::GoesOn { error: error("no connection") }),
        (Fault::FailsOutOfTheBlue, Idle, Running, Rule::GoesOn { error: error("no connection") }),
    ] {
        let caught = check_sample(fault).await;
        assert_eq!(caught, Err(Broken { scenario, at, rule }), "{fault:?}");
    }
    let broken = Broken { scenario: Idle, at: StartUp, rule: late() };
    assert_eq!(
        broken.to_string(),
        "Idle, stop at StartUp: a worker returns soon after the shutdown request: it was still running after 2s"
    );
}
