//! What to run, as whom, and how it is tied to us.
//!
//! Invariant: unless detached, the kernel ends the child when the thread that started it ends, however that happens.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::account::Account;

/// How a server wants to be stopped.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopManner {
    /// SIGTERM asks, SIGKILL ends: JVMs and ClickHouse.
    Terminate,
    /// PostgreSQL: SIGINT is its fast shutdown (SIGTERM waits for clients), SIGQUIT its immediate one, which also
    /// ends the backends and frees the shared memory that SIGKILL would leave.
    PostgresFast,
}

impl StopManner {
    /// The signal that asks for an orderly end.
    #[must_use]
    pub fn ask(self) -> Signal {
        match self {
            Self::Terminate => Signal::SIGTERM,
            Self::PostgresFast => Signal::SIGINT,
        }
    }

    /// The signal that ends the process at once, leaving nothing behind.
    #[must_use]
    pub fn abort(self) -> Signal {
        match self {
            Self::Terminate => Signal::SIGKILL,
            Self::PostgresFast => Signal::SIGQUIT,
        }
    }
}

/// Whether a server ends with the program that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// It ends with its owner, however that ends.
    #[default]
    WithOwner,
    /// It has a session of its own and may be left running by [`ServerProcess::release`](super::ServerProcess::release).
    Detached,
}

/// What to run; kept, so that the same server can be started again on its data.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Name for messages, e.g. `Kafka`.
    pub name: &'static str,
    /// Absolute path or a name on PATH.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<String>,
    /// Added environment.
    pub envs: Vec<(String, String)>,
    /// Run under this account; `None`: our own.
    pub account: Option<Account>,
    /// Working folder.
    pub dir: PathBuf,
    /// stdout and stderr are appended here.
    pub log: PathBuf,
    /// How it is stopped.
    pub stop: StopManner,
    /// Whether it ends with us.
    pub lifetime: Lifetime,
}

/// The command for a launch, tied to us as its lifetime says.
///
/// # Errors
/// When the log file cannot be opened.
pub(super) fn command_of(launch: &Launch) -> Result<Command> {
    let log = OpenOptions::new().create(true).append(true).open(&launch.log);
    let log = log.with_context(|| format!("the log file {} cannot be opened", launch.log.display()))?;
    let mut command = Command::new(&launch.program);
    command.args(&launch.args).envs(launch.envs.iter().map(|(name, value)| (name, value)));
    command.current_dir(&launch.dir).stdin(Stdio::null());
    command.stdout(log.try_clone().context("the log file's handle cannot be doubled")?).stderr(log);
    if let Some(account) = &launch.account {
        command.uid(account.uid).gid(account.gid);
    }
    match launch.lifetime {
        Lifetime::WithOwner => command.process_group(0),
        Lifetime::Detached => &mut command,
    };
    tie_to_owner(&mut command, launch.lifetime, launch.stop.abort());
    Ok(command)
}

#[expect(
    unsafe_code,
    reason = "code between fork and exec; it makes system calls only and allocates nothing"
)]
fn tie_to_owner(command: &mut Command, lifetime: Lifetime, signal: Signal) {
    let owner = nix::unistd::getpid();
    // std applies uid and gid before this hook; a change of credentials afterwards would clear the death signal.
    let hook = move || match lifetime {
        Lifetime::Detached => nix::unistd::setsid().map(drop).map_err(std::io::Error::from),
        Lifetime::WithOwner => {
            nix::sys::prctl::set_pdeathsig(signal)?;
            // The owner may have died between fork and prctl: then the signal would never come.
            if nix::unistd::getppid() == owner { Ok(()) } else { Err(nix::errno::Errno::ESRCH.into()) }
        }
    };
    // SAFETY: setsid, prctl and getppid are async-signal-safe, and the hook touches no lock and no heap.
    unsafe {
        command.pre_exec(hook);
    }
}
