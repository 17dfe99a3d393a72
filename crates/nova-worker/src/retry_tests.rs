//! Tests of the retry policy on paused time.

use std::cell::{Cell, RefCell};

use tokio::time::Instant;

use super::*;

const STEADY: Backoff =
    Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(10), factor: 2.0, jitter: false };

fn seconds(backoff: Backoff, take: usize) -> Vec<u64> {
    backoff.delays(None).take(take).map(|delay| delay.as_secs()).collect()
}

fn policy() -> RetryPolicy<&'static str> {
    RetryPolicy::new(|error| *error == "busy").with_backoff(STEADY)
}

#[test]
fn pauses_grow_up_to_the_maximum() {
    assert_eq!(seconds(STEADY, 6), [1, 2, 4, 8, 10, 10]);
    assert_eq!(
        seconds(Backoff { initial: Duration::from_secs(60), ..STEADY }, 2),
        [10, 10],
        "initial above max"
    );
    for factor in [0.0, -3.0, f32::NAN] {
        assert_eq!(seconds(Backoff { factor, ..STEADY }, 3), [1, 1, 1], "factor {factor} counts as 1");
    }
}

#[test]
fn jitter_draws_from_the_upper_half_and_never_exceeds_the_maximum() {
    let nominal: Vec<Duration> = STEADY.delays(None).take(200).collect();
    let drawn: Vec<Duration> = Backoff { jitter: true, ..STEADY }.delays(None).take(200).collect();
    for (drawn, nominal) in drawn.iter().zip(&nominal) {
        assert!(*drawn >= *nominal / 2 && *drawn <= *nominal, "{drawn:?} of {nominal:?}");
    }
    assert!(drawn.iter().skip(4).any(|delay| *delay != drawn[4]), "all pauses at the maximum are the same");
}

#[test]
fn an_endless_maximum_does_not_overflow() {
    let backoff = Backoff { max: Duration::MAX, factor: f32::MAX, jitter: true, ..STEADY };
    assert_eq!(backoff.delays(None).take(50).count(), 50);
}

#[tokio::test(start_paused = true)]
async fn retries_until_success_and_tells_each_pause() {
    let begun = Instant::now();
    let calls = Cell::new(0);
    let told = RefCell::new(Vec::new());
    let op = || async {
        calls.set(calls.get() + 1);
        if calls.get() < 4 { Err("busy") } else { Ok(calls.get()) }
    };
    let notify = |error: &&'static str, attempt, pause: Duration| {
        told.borrow_mut().push((*error, attempt, pause.as_secs()))
    };
    let answer = policy().run(op, notify, &CancellationToken::new()).await;
    assert_eq!(answer.unwrap(), 4);
    assert_eq!(told.into_inner(), [("busy", 1, 1), ("busy", 2, 2), ("busy", 3, 4)]);
    assert_eq!(begun.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn max_attempts_counts_the_first_one() {
    for limit in [1_u32, 3] {
        let calls = Cell::new(0);
        let op = || async {
            calls.set(calls.get() + 1);
            Err::<(), _>("busy")
        };
        let policy = policy().with_max_attempts(NonZeroU32::new(limit).unwrap());
        let failed = policy.run(op, |_, _, _| {}, &CancellationToken::new()).await.unwrap_err();
        assert_eq!((failed.attempts, failed.end, failed.error), (limit, RetryEnd::Exhausted, "busy"));
        assert_eq!(calls.get(), limit);
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_retry_on_refuses_ends_at_once() {
    let begun = Instant::now();
    let failed =
        policy().run(|| async { Err::<(), _>("denied") }, |_, _, _| {}, &CancellationToken::new()).await;
    let failed = failed.unwrap_err();
    assert_eq!((failed.attempts, failed.end, failed.error), (1, RetryEnd::NotRetryable, "denied"));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn shutdown_cuts_the_pause_short() {
    // GIVEN pauses of 1, 2, 4 s and a shutdown after 1.5 s
    let (begun, shutdown, policy) = (Instant::now(), CancellationToken::new(), policy());
    let retried = policy.run(|| async { Err::<(), _>("busy") }, |_, _, _| {}, &shutdown);
    let stopper = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        shutdown.cancel();
    };
    // WHEN both run
    let (failed, ()) = tokio::join!(retried, stopper);
    // THEN the second pause ends at 1.5 s, without a third attempt
    let failed = failed.unwrap_err();
    assert_eq!((failed.attempts, failed.end), (2, RetryEnd::Interrupted));
    assert_eq!(begun.elapsed(), Duration::from_millis(1500));
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_the_attempt_in_flight_finish_and_a_drain_make_one() {
    let shutdown = CancellationToken::new();
    let op = || async {
        shutdown.cancel();
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, &'static str>("written")
    };
    assert_eq!(policy().run(op, |_, _, _| {}, &shutdown).await.unwrap(), "written");
    assert_eq!(policy().run(op, |_, _, _| {}, &shutdown).await.unwrap(), "written", "already cancelled");
    let failed = policy().run(|| async { Err::<(), _>("busy") }, |_, _, _| {}, &shutdown).await.unwrap_err();
    assert_eq!((failed.attempts, failed.end), (1, RetryEnd::Interrupted));
}

#[test]
fn the_default_policy_retries_transient_failures_only() {
    let policy = RetryPolicy::default();
    assert!((policy.retry_on)(&WorkerError::transient("lost")));
    assert!(!(policy.retry_on)(&WorkerError::fatal("denied")));
    let failed = RetryError {
        attempts: 2,
        end: RetryEnd::Exhausted,
        error: WorkerError::transient("connection refused"),
    };
    let reason = crate::Failure::new(failed).reason();
    assert_eq!(reason, "gave up at the limit of attempts (attempts made: 2): connection refused");
}
