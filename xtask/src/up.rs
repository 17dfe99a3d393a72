//! `cargo xtask up` and `down`: the stack alone, left running between commands.
//!
//! Invariant: at most one such stack per target folder; `down` ends exactly the processes that `up` recorded.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use crate::prerequisites::{self, Need};
use crate::stack::state::{RecordedProcess, StackState};
use crate::stack::{Lifetime, Ports, ServerProcess, Stack, StackOptions};
use crate::{say, workspace};

const GRACE: Duration = Duration::from_secs(10);

/// Arguments of `up`.
#[derive(Debug, Clone, clap::Args)]
pub struct UpArgs {
    /// Use this port and the four after it (PostgreSQL, Kafka, its controller, Connect, ClickHouse); else free ones
    #[arg(long)]
    base_port: Option<u16>,
    /// Stay in the foreground and stop everything at Ctrl-C
    #[arg(long)]
    foreground: bool,
    /// With --foreground: leave data and logs behind
    #[arg(long, requires = "foreground")]
    keep: bool,
    /// Let PostgreSQL sync to disk (slower; only matters when the machine itself crashes)
    #[arg(long)]
    fsync: bool,
}

/// Starts the stack and leaves it running, or says that one is already up.
///
/// # Errors
/// When something is missing or a server does not start; then nothing is left running.
pub async fn up(args: UpArgs) -> Result<()> {
    let options = StackOptions {
        ports: args.base_port.map_or(Ports::Free, Ports::From),
        keep: args.keep,
        lifetime: if args.foreground { Lifetime::WithOwner } else { Lifetime::Detached },
        fsync: args.fsync,
        announce: true,
        ..StackOptions::default()
    };
    let path = state_path()?;
    let _lock = if args.foreground { None } else { Some(lock_beside(&path)?) };
    if !args.foreground && already_up(&path)? {
        return Ok(());
    }
    prerequisites::ensure(&Need::STACK).await?;
    let stack = Stack::start(options).await?;
    let state = StackState::of(&stack)?;
    if args.foreground {
        show(&state);
        say("up; Ctrl-C stops it");
        return std::future::pending().await;
    }
    state.write(&path)?;
    stack.release();
    show(&state);
    say("up; `cargo xtask down` stops it and removes its data");
    Ok(())
}

/// Leaves a detached stack running, with `workers` that are stopped before it, and records it for `down`.
///
/// # Errors
/// When one of the processes has just ended or the record cannot be written.
pub fn leave_running(stack: Stack, mut workers: Vec<ServerProcess>) -> Result<()> {
    let path = state_path()?;
    let _lock = lock_beside(&path)?;
    let mut state = StackState::of(&stack)?;
    for worker in workers.iter().rev() {
        state.processes.insert(0, RecordedProcess::of(worker)?);
    }
    state.write(&path)?;
    workers.iter_mut().for_each(ServerProcess::release);
    stack.release();
    Ok(())
}

/// Refuses when a stack is up already: there is one record.
///
/// # Errors
/// When one is, or the record cannot be read.
pub fn refuse_if_up() -> Result<()> {
    if StackState::read(&state_path()?)?.is_some() {
        bail!("a stack is up already; `cargo xtask down` ends it");
    }
    Ok(())
}

/// Stops the stack that `up` left running and removes its folder.
///
/// # Errors
/// When the record cannot be read or a process does not end even by SIGKILL.
pub async fn down() -> Result<()> {
    let path = state_path()?;
    let _lock = lock_beside(&path)?;
    let Some(state) = StackState::read(&path)? else {
        say("no stack is up");
        return Ok(());
    };
    for process in &state.processes {
        let begun = Instant::now();
        stop(process).await?;
        say(&format!("{} has ended after {:.1} s", process.name, begun.elapsed().as_secs_f64()));
    }
    match fs::remove_dir_all(&state.run_dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", state.run_dir.display()));
        }
        _ => {}
    }
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    say("down; nothing is left of the stack");
    Ok(())
}

/// Asks, then ends by force; a process that is not the recorded one is left alone.
async fn stop(process: &RecordedProcess) -> Result<()> {
    for signal in [process.stop.ask(), process.stop.abort(), Signal::SIGKILL] {
        if !process.is_alive() {
            return Ok(());
        }
        let _ = kill(Pid::from_raw(process.pid), signal); // it may end between look and signal
        let end = Instant::now() + GRACE;
        while process.is_alive() && Instant::now() < end {
            sleep(Duration::from_millis(20)).await;
        }
    }
    if process.is_alive() {
        bail!(
            "{} (pid {}) does not end, not even by SIGKILL; see `ps -o stat,wchan -p {0}`",
            process.name,
            process.pid
        );
    }
    Ok(())
}

fn already_up(path: &Path) -> Result<bool> {
    let Some(state) = StackState::read(path)? else { return Ok(false) };
    let ended: Vec<&str> = state
        .processes
        .iter()
        .filter(|process| !process.is_alive())
        .map(|process| process.name.as_str())
        .collect();
    if !ended.is_empty() {
        bail!(
            "a stack was started before, but of it {} no longer runs (logs: {}); run `cargo xtask down`, then `up` again",
            ended.join(", "),
            state.run_dir.join("logs").display()
        );
    }
    show(&state);
    say("already up");
    Ok(true)
}

fn state_path() -> Result<PathBuf> {
    let target = workspace::target_dir();
    fs::create_dir_all(&target).with_context(|| format!("cannot create {}", target.display()))?;
    Ok(target.join("nova-stack.json"))
}

/// Two `up` or `down` at the same time would overwrite each other's record.
fn lock_beside(path: &Path) -> Result<File> {
    let path = path.with_extension("lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    if file.try_lock().is_err() {
        bail!("another `cargo xtask up` or `down` is at work here; wait for it to end");
    }
    Ok(file)
}

/// A table for people on stderr; lines for a shell on stdout: `eval "$(cargo xtask up)"`.
#[expect(clippy::print_stdout, reason = "the addresses are the data this command is asked for")]
fn show(state: &StackState) {
    for process in &state.processes {
        say(&format!("  {:<14} pid {}", process.name, process.pid));
    }
    say(&format!("  {:<14} {}", "logs", state.run_dir.join("logs").display()));
    for (name, value) in &state.addresses {
        println!("export {name}='{}'", value.replace('\'', "'\\''"));
    }
}
