//! Ending on Ctrl-C, SIGTERM or a closed terminal, with everything cleaned up.
//!
//! Invariant: an interrupted future is dropped, not abandoned, so the guards inside it stop their servers.

use std::future::Future;
use std::pin::pin;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// The work was interrupted. Exit code 130.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Does `work` until it ends or a signal asks us to.
///
/// # Errors
/// Those of `work`, or [`Interrupted`].
pub async fn unless_interrupted<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let watch = |kind| signal(kind).context("signals cannot be watched");
    let mut interrupt = watch(SignalKind::interrupt())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut hangup = watch(SignalKind::hangup())?;
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return done,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    crate::say("interrupted; stopping the servers");
    Err(Interrupted.into())
}
