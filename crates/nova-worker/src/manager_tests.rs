//! Tests of supervision on paused time, with workers that follow a script.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Mutex;

use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::{Backoff, StatusCell, WorkerContext, WorkerError, WorkerHealth, WorkerStatus, async_trait};

/// What one attempt of a scripted worker does. All hear the shutdown unless they say otherwise.
#[derive(Clone, Copy)]
enum Step {
    /// Works for so many seconds, then fails transiently.
    FailAfter(u64),
    Fatal,
    Panic,
    Finish,
    /// Works until shutdown, then needs so many seconds to drain.
    Serve(u64),
    FailInDrain,
}

struct Scripted {
    name: &'static str,
    begun: Instant,
    steps: Mutex<VecDeque<Step>>,
    /// Second and attempt number of each start.
    starts: Mutex<Vec<(u64, u32)>>,
    status: StatusCell,
}

fn scripted(name: &'static str, steps: &[Step]) -> Arc<Scripted> {
    let steps = Mutex::new(steps.iter().copied().collect());
    let starts = Mutex::default();
    Arc::new(Scripted { name, begun: Instant::now(), steps, starts, status: StatusCell::new() })
}

impl Scripted {
    fn starts(&self) -> Vec<(u64, u32)> {
        self.starts.lock().unwrap().clone()
    }
}

#[async_trait]
impl BackgroundWorker for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    async fn run(&self, context: WorkerContext) -> Result<(), WorkerError> {
        self.starts.lock().unwrap().push((self.begun.elapsed().as_secs(), context.attempt()));
        // On purpose without the guard: the board must not believe a worker that has ended.
        self.status.set(WorkerStatus::Running);
        context.progress().record();
        let step = self.steps.lock().unwrap().pop_front().unwrap_or(Step::Serve(0));
        match step {
            Step::FailAfter(seconds) => {
                context.shutdown().run_until_cancelled(sleep(Duration::from_secs(seconds))).await;
                Err(WorkerError::transient("connection lost").with_advice("Wait."))
            }
            Step::Fatal => Err(WorkerError::fatal("column gone").with_advice("Add the column.")),
            Step::Panic => panic!("index {} out of range", 7),
            Step::Finish => Ok(()),
            Step::Serve(drain) => {
                context.shutdown().cancelled().await;
                sleep(Duration::from_secs(drain)).await;
                Ok(())
            }
            Step::FailInDrain => {
                context.shutdown().cancelled().await;
                Err(WorkerError::transient("connection lost"))
            }
        }
    }

    fn health_check(&self) -> WorkerHealth {
        self.status.health().with_detail("script", self.steps.lock().unwrap().len())
    }
}

fn options() -> ManagerOptions {
    let seconds = Duration::from_secs;
    let backoff = Backoff { initial: seconds(1), max: seconds(8), factor: 2.0, jitter: false };
    ManagerOptions {
        drain_deadline: seconds(30),
        restart: RetryPolicy::default().with_backoff(backoff),
        reset_after: seconds(60),
        end_when_idle: true,
    }
}

fn status(board: &HealthBoard, name: &str) -> WorkerStatus {
    board.workers().into_iter().find(|(worker, _)| worker == name).unwrap().1.status
}

/// Runs the manager and cancels `token` after so many seconds.
async fn run_cancelling(manager: WorkerManager, token: CancellationToken, seconds: u64) -> ManagerOutcome {
    let cancel = async {
        sleep(Duration::from_secs(seconds)).await;
        token.cancel();
    };
    timeout(Duration::from_secs(86_400), async { tokio::join!(manager.run(), cancel).0 }).await.unwrap()
}

fn halted(name: &str, reason: &str, advice: Option<&str>) -> HaltedWorker {
    HaltedWorker { name: name.to_owned(), reason: reason.to_owned(), advice: advice.map(str::to_owned) }
}

#[tokio::test(start_paused = true)]
async fn restarts_follow_the_backoff() {
    let worker = scripted("likes", &[[Step::FailAfter(0); 5].as_slice(), &[Step::Finish]].concat());
    let outcome = WorkerManager::new(options()).add(worker.clone()).run().await;
    assert_eq!(outcome, ManagerOutcome::Finished);
    assert_eq!(worker.starts(), [(0, 1), (1, 2), (3, 3), (7, 4), (15, 5), (23, 6)]);
}

#[tokio::test(start_paused = true)]
async fn a_healthy_period_resets_backoff_and_attempts() {
    let steps =
        [Step::FailAfter(0), Step::FailAfter(0), Step::FailAfter(60), Step::FailAfter(59), Step::Finish];
    let worker = scripted("likes", &steps);
    WorkerManager::new(options()).add(worker.clone()).run().await;
    // Third run: 3 s to 63 s, healthy, so the pause is 1 s again. Fourth: 64 s to 123 s, one second short of healthy.
    assert_eq!(worker.starts(), [(0, 1), (1, 2), (3, 3), (64, 1), (125, 2)]);
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_in_a_row_halt_the_worker() {
    let mut options = options();
    options.restart = options.restart.with_max_attempts(NonZeroU32::new(3).unwrap());
    let worker = scripted("likes", &[Step::FailAfter(0); 9]);
    let outcome = WorkerManager::new(options).add(worker.clone()).run().await;
    let reason = "gave up after 3 attempts in a row: connection lost";
    assert_eq!(outcome, ManagerOutcome::Halted { workers: vec![halted("likes", reason, Some("Wait."))] });
    assert_eq!(worker.starts().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_failure_halts_only_its_own_worker() {
    let (broken, sound) = (scripted("broken", &[Step::Fatal]), scripted("sound", &[Step::Serve(1)]));
    let manager = WorkerManager::new(options()).add(broken.clone()).add(sound.clone());
    let (board, shutdown) = (manager.health(), manager.shutdown_token());
    let watch = async {
        sleep(Duration::from_secs(100)).await;
        let workers = board.workers();
        shutdown.cancel();
        workers
    };
    let (outcome, seen) = tokio::join!(manager.run(), watch);

    let expected =
        WorkerStatus::Halted { reason: "column gone".to_owned(), advice: Some("Add the column.".to_owned()) };
    assert_eq!((seen[0].0.as_str(), &seen[0].1.status), ("broken", &expected));
    assert_eq!((seen[1].0.as_str(), &seen[1].1.status), ("sound", &WorkerStatus::Running));
    assert_eq!(seen[1].1.last_progress, Some(Duration::from_secs(100)));
    assert_eq!(seen[1].1.detail, [("script".into(), "0".to_owned())]);
    assert_eq!(
        outcome,
        ManagerOutcome::Halted { workers: vec![halted("broken", "column gone", Some("Add the column."))] }
    );
    assert_eq!((broken.starts().len(), status(&board, "sound")), (1, WorkerStatus::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_caught_and_halts_with_its_text() {
    let (broken, sound) = (scripted("broken", &[Step::Panic]), scripted("sound", &[Step::Serve(0)]));
    let manager = WorkerManager::new(options()).add(broken.clone()).add(sound);
    let token = manager.shutdown_token();
    let ManagerOutcome::Halted { workers } = run_cancelling(manager, token, 5).await else {
        panic!("not halted")
    };
    assert_eq!(workers.len(), 1);
    assert_eq!(
        (workers[0].name.as_str(), workers[0].reason.as_str()),
        ("broken", "panicked: index 7 out of range")
    );
    assert_eq!(broken.starts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_drain_at_the_same_time_under_one_deadline() {
    // GIVEN three workers that need 29 s each, and 30 s for all
    let begun = Instant::now();
    let manager = ["a", "b", "c"]
        .into_iter()
        .fold(WorkerManager::new(options()), |m, name| m.add(scripted(name, &[Step::Serve(29)])));
    let token = manager.shutdown_token();
    // WHEN they are told to stop at 10 s THEN all have drained at 39 s
    assert_eq!(run_cancelling(manager, token, 10).await, ManagerOutcome::Drained);
    assert_eq!(begun.elapsed(), Duration::from_secs(39));
}

#[tokio::test(start_paused = true)]
async fn workers_that_miss_the_deadline_are_named() {
    let begun = Instant::now();
    let manager = WorkerManager::new(options())
        .add(scripted("slow", &[Step::Serve(31)]))
        .add(scripted("just in time", &[Step::Serve(29)]))
        .add(scripted("also slow", &[Step::Serve(9999)]));
    let (board, token) = (manager.health(), manager.shutdown_token());
    let outcome = run_cancelling(manager, token, 10).await;
    assert_eq!(
        outcome,
        ManagerOutcome::DeadlineMissed { workers: vec!["also slow".to_owned(), "slow".to_owned()] }
    );
    assert_eq!(begun.elapsed(), Duration::from_secs(40));
    assert_eq!(status(&board, "just in time"), WorkerStatus::Stopped);
    assert!(matches!(status(&board, "slow"), WorkerStatus::Halted { .. }));
}

#[tokio::test(start_paused = true)]
async fn force_ends_a_drain_and_a_run_at_once() {
    for asked_to_drain in [true, false] {
        let begun = Instant::now();
        let manager = WorkerManager::new(options()).add(scripted("slow", &[Step::Serve(20)]));
        let (shutdown, force) = (manager.shutdown_token(), manager.force_token());
        if asked_to_drain {
            shutdown.cancel();
        }
        let outcome = run_cancelling(manager, force, 3).await;
        assert_eq!(outcome, ManagerOutcome::Forced { workers: vec!["slow".to_owned()] });
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_the_pause_does_not_start_the_worker_again() {
    let begun = Instant::now();
    let worker = scripted("likes", &[Step::FailAfter(0), Step::FailAfter(0), Step::FailAfter(0)]);
    let manager = WorkerManager::new(options()).add(worker.clone());
    let (board, token) = (manager.health(), manager.shutdown_token());
    let watch = async {
        sleep(Duration::from_secs(5)).await;
        let seen = status(&board, "likes");
        token.cancel();
        seen
    };
    let (outcome, seen) = tokio::join!(manager.run(), watch);
    // The third failure was at 3 s, so that the fourth start is due at 7 s.
    let reason = "connection lost".to_owned();
    assert_eq!(seen, WorkerStatus::Restarting { reason, attempt: 4, next_in: Duration::from_secs(2) });
    assert_eq!(outcome, ManagerOutcome::Drained);
    assert_eq!((begun.elapsed().as_secs(), worker.starts().len()), (5, 3));
}

#[tokio::test(start_paused = true)]
async fn a_failed_drain_is_reported_and_not_restarted() {
    let worker = scripted("likes", &[Step::FailInDrain]);
    let manager = WorkerManager::new(options()).add(worker.clone());
    let token = manager.shutdown_token();
    let outcome = run_cancelling(manager, token, 1).await;
    assert_eq!(
        outcome,
        ManagerOutcome::Halted {
            workers: vec![halted("likes", "failed while draining: connection lost", None)]
        }
    );
    assert_eq!(worker.starts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_end_when_idle_the_manager_waits_for_the_shutdown() {
    let begun = Instant::now();
    let manager = WorkerManager::new(ManagerOptions { end_when_idle: false, ..options() })
        .add(scripted("job", &[Step::Finish]));
    let token = manager.shutdown_token();
    assert_eq!(run_cancelling(manager, token, 50).await, ManagerOutcome::Drained);
    assert_eq!(begun.elapsed(), Duration::from_secs(50));

    let manager = WorkerManager::new(ManagerOptions { end_when_idle: false, ..options() })
        .add(scripted("job", &[Step::Fatal]));
    let token = manager.shutdown_token();
    assert!(matches!(run_cancelling(manager, token, 50).await, ManagerOutcome::Halted { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_manager_without_workers_finishes_and_a_new_one_shows_them_as_starting() {
    assert_eq!(WorkerManager::new(options()).run().await, ManagerOutcome::Finished);
    let manager = WorkerManager::new(ManagerOptions { drain_deadline: Duration::MAX, ..options() });
    let board = manager.health();
    let manager = manager.add(scripted("likes", &[]));
    assert_eq!(status(&board, "likes"), WorkerStatus::Starting);
    let token = manager.shutdown_token();
    assert_eq!(run_cancelling(manager, token, 1).await, ManagerOutcome::Drained, "an endless deadline");
}
