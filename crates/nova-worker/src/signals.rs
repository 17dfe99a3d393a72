//! SIGTERM and SIGINT: the first asks for a drain, the second for an immediate end.
//!
//! Invariant: signals are listened to in the caller's own task, and for exactly as long as the work runs.

use std::io;
use std::pin::pin;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signal that asked for the end. By convention a process that SIGINT ended exits with 130.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT, as from Ctrl-C.
    Interrupt,
    /// SIGTERM, as from an init system or Kubernetes.
    Terminate,
}

/// Runs `work` to its end. Meanwhile the first signal cancels `shutdown`, each further one `force`. Returns what `work`
/// gave and the first signal, if there was one. The handlers are in place before `work` is polled; afterwards the
/// process no longer dies of these signals by itself, so `work` should cover all that is left to do.
///
/// # Errors
/// The system refused to register a handler; `work` has not begun then.
pub async fn shutdown_on_signals<F: Future>(
    shutdown: &CancellationToken,
    force: &CancellationToken,
    work: F,
) -> io::Result<(F::Output, Option<StopSignal>)> {
    let mut signals = Signals::install()?;
    let mut work = pin!(work);
    let mut first = None;
    loop {
        tokio::select! {
            biased;
            output = &mut work => return Ok((output, first)),
            received = signals.next() => match first {
                None => {
                    tracing::info!(signal = ?received, "shutting down; a second signal ends at once");
                    first = Some(received);
                    shutdown.cancel();
                }
                Some(_) => {
                    tracing::warn!(signal = ?received, "ending at once");
                    force.cancel();
                }
            },
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }
}
