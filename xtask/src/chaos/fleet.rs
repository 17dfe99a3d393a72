//! The `nova run` processes of a run: all in the same consumer groups, each started again when it has ended.
//!
//! Invariant: a member that ends when nobody asked it to is noted, then started again, as an orchestrator would.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

use super::clock::Skew;
use super::timeline::Timeline;
use crate::installation::{Installation, RunningWorker};
use crate::stack::ServerProcess;
use crate::traffic::Table;

const POLL: Duration = Duration::from_millis(20);

/// The members.
pub(super) struct Fleet {
    members: Vec<Mutex<RunningWorker>>,
    /// The clock of the last member, when it goes wrong.
    skew: Option<Skew>,
}

/// The arguments of `nova run`: each member runs the streams of all workers.
pub(super) fn streams() -> Vec<&'static str> {
    Table::ALL.iter().flat_map(|table| ["--stream", table.stream()]).collect()
}

type Envs = Vec<(String, String)>;

impl Fleet {
    /// Starts so many members and waits until each is ready.
    ///
    /// # Errors
    /// When one does not become ready.
    pub(super) async fn start(
        installation: &Installation,
        members: usize,
        skew: Option<Skew>,
    ) -> Result<Self> {
        let mut started = Vec::new();
        for member in 0..members {
            // The first start of the groups; those who come later find committed offsets.
            let args: Vec<&str> = streams().into_iter().chain(["--from-beginning"]).collect();
            let clock = if member + 1 == members { skew.as_ref() } else { None };
            let envs = clock.map(Skew::envs).unwrap_or_default();
            let worker = installation.spawn_worker_with(&log_name(member), &args, envs)?;
            worker.wait_ready().await?;
            started.push(Mutex::new(worker));
        }
        Ok(Self { members: started, skew })
    }

    /// Starts a member of the existing groups, with these variables in its environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn spawn(
        &self,
        installation: &Installation,
        member: usize,
        mut envs: Envs,
    ) -> Result<RunningWorker> {
        let skew = self.skew.as_ref().filter(|_| member + 1 == self.members.len());
        envs.extend(skew.map(Skew::envs).unwrap_or_default());
        installation.spawn_worker_with(&log_name(member), &streams(), envs)
    }

    /// A member for a number drawn at random, and its index.
    ///
    /// # Errors
    /// When there are none.
    pub(super) async fn member(&self, drawn: usize) -> Result<(usize, MutexGuard<'_, RunningWorker>)> {
        let index = drawn.checked_rem(self.members.len()).context("no members")?;
        let member = self.members.get(index).context("no such member")?;
        Ok((index, member.lock().await))
    }

    /// Starts again whoever has ended by itself.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) async fn keep(&self, installation: &Installation, timeline: &Timeline) -> Result<()> {
        for (index, member) in self.members.iter().enumerate() {
            let Ok(mut member) = member.try_lock() else { continue };
            if let Some(status) = member.process.exit_status() {
                timeline.remark("ended-by-itself", format!("member {index}: {status}"));
                *member = self.spawn(installation, index, Vec::new())?;
            }
        }
        Ok(())
    }

    /// Asks all to end, and says of each that did not end in order what it did instead.
    ///
    /// # Errors
    /// When a signal is refused.
    pub(super) async fn stop(&self, within: Duration) -> Result<Vec<String>> {
        let mut complaints = Vec::new();
        for member in &self.members {
            member.lock().await.process.kill(Signal::SIGTERM)?;
        }
        for (index, member) in self.members.iter().enumerate() {
            let member = member.lock().await;
            if !ended(&member.process, within).await {
                complaints.push(format!("member {index} still runs {} s after SIGTERM", within.as_secs()));
                member.process.kill(Signal::SIGKILL)?;
            } else if let Some(status) = member.process.exit_status().filter(|status| !status.success()) {
                complaints.push(format!("member {index} ended after SIGTERM with {status}"));
            }
        }
        Ok(complaints)
    }
}

fn log_name(member: usize) -> String {
    format!("member-{member}")
}

/// Waits until a process has ended; false when it still runs after `within`.
pub(super) async fn ended(process: &ServerProcess, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while process.exit_status().is_none() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(POLL).await;
    }
    true
}
