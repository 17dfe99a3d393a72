//! Real signals to this very process. Its own test binary, and one test only: signal handlers belong to the process.

use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use nova_worker::{CancellationToken, StopSignal, shutdown_on_signals};

#[tokio::test]
async fn the_first_signal_drains_and_the_second_forces() {
    for (first, second, expected) in [
        (Signal::SIGTERM, Signal::SIGINT, StopSignal::Terminate),
        (Signal::SIGINT, Signal::SIGINT, StopSignal::Interrupt),
    ] {
        let (shutdown, force) = (CancellationToken::new(), CancellationToken::new());
        // GIVEN work that sends a signal as soon as it is polled, and another once it is asked to drain
        let work = async {
            raise(first).unwrap();
            shutdown.cancelled().await;
            let forced_early = force.is_cancelled();
            raise(second).unwrap();
            force.cancelled().await;
            forced_early
        };
        // WHEN it runs under the helper
        let run = shutdown_on_signals(&shutdown, &force, work);
        let (forced_early, signal) =
            tokio::time::timeout(Duration::from_secs(10), run).await.unwrap().unwrap();
        // THEN both requests arrive, in order, and the first signal is the one reported
        assert!(!forced_early);
        assert_eq!(signal, Some(expected));
    }

    let (shutdown, force) = (CancellationToken::new(), CancellationToken::new());
    let (output, signal) = shutdown_on_signals(&shutdown, &force, async { 7 }).await.unwrap();
    assert_eq!((output, signal, shutdown.is_cancelled(), force.is_cancelled()), (7, None, false, false));
}
