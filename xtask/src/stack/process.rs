//! One child process that must not outlive its owner.
//!
//! Invariants: a child ends when its `ServerProcess` is dropped, and (unless detached) also when this program is
//! killed with SIGKILL; no signal is ever sent to a pid that has already been reaped, so a reused pid is safe.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::launch::{Launch, Lifetime, StopManner, command_of};

#[derive(Debug, Default)]
struct Shared {
    status: Mutex<Option<ExitStatus>>,
    ended: Condvar,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running (or ended) child process.
#[derive(Debug)]
pub struct ServerProcess {
    launch: Launch,
    pid: Pid,
    shared: Arc<Shared>,
    released: bool,
}

impl ServerProcess {
    /// Starts the program.
    ///
    /// # Errors
    /// When the log file cannot be opened or the program cannot be executed.
    pub fn spawn(launch: Launch) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let (started, answer) = mpsc::channel();
        let mut command = command_of(&launch)?;
        let publish = Arc::clone(&shared);
        // The kernel ties "parent death" to the thread that forked, so this thread stays until its child has ended.
        std::thread::Builder::new()
            .name(format!("{} supervisor", launch.name))
            .spawn(move || match command.spawn() {
                Ok(child) => {
                    let _ = started.send(Ok(child.id()));
                    drop(command);
                    reap(child, &publish);
                }
                Err(error) => drop(started.send(Err(error))),
            })
            .context("no thread could be started")?;
        let pid = answer
            .recv()
            .map_err(|_| anyhow!("{}: the supervising thread ended early", launch.name))?
            .with_context(|| format!("{} could not be started: {}", launch.name, launch.program.display()))?;
        let pid = Pid::from_raw(i32::try_from(pid).context("a pid beyond i32")?);
        Ok(Self { launch, pid, shared, released: false })
    }

    /// Name for messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.launch.name
    }

    /// The process id; of the last process when it has ended.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// The log file that collects stdout and stderr.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.launch.log
    }

    /// How it is stopped.
    #[must_use]
    pub fn stop_manner(&self) -> StopManner {
        self.launch.stop
    }

    /// The exit status once the process has ended.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.shared.lock()
    }

    /// Sends a signal to the process itself (not its group); does nothing when it has ended.
    ///
    /// # Errors
    /// When the kernel refuses the signal.
    pub fn kill(&self, signal: Signal) -> Result<()> {
        let status = self.shared.lock();
        if status.is_none() {
            kill(self.pid, signal).with_context(|| format!("{signal} to {} ({})", self.name(), self.pid))?;
        }
        Ok(())
    }

    /// Waits until the process has ended; false when it still runs after `deadline`. Blocks the thread.
    #[must_use]
    pub fn wait_ended(&self, deadline: Duration) -> bool {
        let waited =
            self.shared.ended.wait_timeout_while(self.shared.lock(), deadline, |status| status.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_some()
    }

    /// Ends the process: asks, waits `grace`, then aborts, then kills its group. Blocks the thread; idempotent.
    pub fn stop(&self, grace: Duration) {
        let _ = self.kill(self.launch.stop.ask());
        if self.wait_ended(grace) {
            return;
        }
        let _ = self.kill(self.launch.stop.abort());
        if !self.wait_ended(Duration::from_secs(3)) {
            let status = self.shared.lock();
            if status.is_none() {
                let _ = killpg(self.pid, Signal::SIGKILL);
            }
            drop(status);
            let _ = self.wait_ended(Duration::from_secs(3));
        }
    }

    /// Starts the same program again with the same log, stopping the present process if it still runs.
    ///
    /// # Errors
    /// As for [`ServerProcess::spawn`].
    pub fn respawn(&mut self, grace: Duration) -> Result<()> {
        self.stop(grace);
        *self = Self::spawn(self.launch.clone())?;
        Ok(())
    }

    /// Whether the process stays when this handle is dropped.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.released
    }

    /// Leaves a detached process running when this handle is dropped.
    pub fn release(&mut self) {
        self.released = self.launch.lifetime == Lifetime::Detached;
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if !self.released {
            self.stop(Duration::from_secs(5));
        }
    }
}

/// Waits without reaping first, so that the pid stays ours until the status is published under the lock.
fn reap(mut child: Child, shared: &Shared) {
    if let Ok(pid) = i32::try_from(child.id()) {
        while waitid(Id::Pid(Pid::from_raw(pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
            == Err(nix::errno::Errno::EINTR)
        {}
    }
    let mut status = shared.lock();
    *status = Some(child.wait().unwrap_or_else(|_| ExitStatus::from_raw(0)));
    shared.ended.notify_all();
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
