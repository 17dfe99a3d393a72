//! What faults are made of: processes killed, stopped for a while, replaced.
//!
//! Invariant: only processes that this run started are signalled; what is stopped goes on, also when the fault is
//! dropped half way.

use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::fleet::{ended, streams};
use super::site::Site;
use crate::stack::ServerProcess;

/// A killed process is gone at once; this is for a slow machine.
pub(super) const KILLED_WITHIN: Duration = Duration::from_secs(10);
/// Above `pipeline.shutdown_deadline`, 25 s.
pub(super) const DRAINED_WITHIN: Duration = Duration::from_secs(40);
/// PostgreSQL's fast shutdown waits until the connector has confirmed everything; an impatient operator does not.
const FAST_SHUTDOWN_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn replace_member(
    site: &Site,
    target: usize,
    signal: Signal,
    within: Duration,
    lasts: Duration,
) -> Result<String> {
    let (index, mut member) = site.fleet.member(target).await?;
    member.process.kill(signal)?;
    let in_time = ended(&member.process, within).await;
    if !in_time {
        member.process.kill(Signal::SIGKILL)?;
        ensure!(ended(&member.process, KILLED_WITHIN).await, "member {index} cannot be killed");
    }
    let status = member.process.exit_status();
    sleep(lasts).await;
    *member = site.fleet.spawn(&site.installation, index, Vec::new())?;
    let how = match status {
        _ if !in_time => format!("still ran after {} s, killed", within.as_secs()),
        Some(status) => status.to_string(),
        None => "running".to_owned(),
    };
    Ok(format!("member {index}: {how}"))
}

pub(super) async fn join_and_leave(site: &Site, lasts: Duration) -> Result<String> {
    let guest = site.installation.spawn_worker("guest", &streams())?;
    sleep(lasts).await;
    guest.process.kill(Signal::SIGTERM)?;
    if !ended(&guest.process, DRAINED_WITHIN).await {
        guest.process.kill(Signal::SIGKILL)?;
    }
    let status = guest.process.exit_status().map(|status| status.to_string());
    Ok(format!(
        "a third member for {:.1} s: {}",
        lasts.as_secs_f64(),
        status.unwrap_or_else(|| "killed".to_owned())
    ))
}

pub(super) async fn restart_postgres(site: &Site, lasts: Duration) -> Result<String> {
    let server = site.postgres.read().await;
    server.process.kill(server.process.stop_manner().ask())?;
    let how = if ended(&server.process, FAST_SHUTDOWN_WITHIN).await {
        "fast shutdown"
    } else {
        server.process.kill(server.process.stop_manner().abort())?;
        ensure!(ended(&server.process, KILLED_WITHIN).await, "PostgreSQL cannot be stopped");
        "immediate shutdown"
    };
    drop(server);
    sleep(lasts).await;
    site.postgres.write().await.restart().await?;
    Ok(how.to_owned())
}

pub(super) async fn kill(process: &ServerProcess, lasts: Duration) -> Result<()> {
    process.kill(Signal::SIGKILL)?;
    ensure!(ended(process, KILLED_WITHIN).await, "{} cannot be killed", process.name());
    sleep(lasts).await;
    Ok(())
}

/// Kills a member while a server is silent, lets the server go on, then starts the member again.
pub(super) async fn kill_member(site: &Site, target: usize, silent: Silent<'_>) -> Result<usize> {
    let (index, mut member) = site.fleet.member(target).await?;
    member.process.kill(Signal::SIGKILL)?;
    ensure!(ended(&member.process, KILLED_WITHIN).await, "member {index} cannot be killed");
    drop(silent);
    *member = site.fleet.spawn(&site.installation, index, Vec::new())?;
    Ok(index)
}

/// Stops a process for a while.
pub(super) async fn pause(process: &ServerProcess, lasts: Duration) -> Result<()> {
    let _silent = Silent::since(process)?;
    sleep(lasts).await;
    Ok(())
}

/// A stopped process; it goes on when this is dropped.
pub(super) struct Silent<'a>(&'a ServerProcess);

impl<'a> Silent<'a> {
    pub(super) fn since(process: &'a ServerProcess) -> Result<Self> {
        process.kill(Signal::SIGSTOP)?;
        Ok(Self(process))
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let _ = self.0.kill(Signal::SIGCONT);
    }
}
