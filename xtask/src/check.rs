//! `cargo xtask test`: all checks, in the order in which they fail fastest.
//!
//! Invariant: nothing is skipped in silence. What a test needs (servers' programs, downloads, our own binaries) is
//! there before the tests begin, so a test that cannot find it fails.

use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::artifacts::Cache;
use crate::chaos;
use crate::cli::{ChaosArgs, TestArgs};
use crate::prerequisites::{self, Need};
use crate::{deny, instructions, manifests, monitoring, say, workspace};

/// One check: what it is, cargo's arguments, added environment.
struct Check {
    what: &'static str,
    args: &'static [&'static str],
    envs: &'static [(&'static str, &'static str)],
}

const STATIC_CHECKS: [Check; 2] = [
    Check { what: "format", args: &["fmt", "--all", "--check"], envs: &[] },
    Check {
        what: "clippy",
        args: &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
        envs: &[],
    },
];

/// The tests proper. Those that run our binaries build them by themselves, as a user would.
const TESTS: [Check; 2] = [
    Check {
        what: "documentation",
        args: &["doc", "--workspace", "--no-deps", "--all-features", "--locked"],
        envs: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    Check {
        what: "unit, documentation and end-to-end tests",
        args: &["test", "--workspace", "--all-features", "--locked", "--no-fail-fast"],
        envs: &[],
    },
];

const SMOKE_SEED: u64 = 3;
const SMOKE_SECONDS: u64 = 60;

/// Runs all checks; the first that fails ends the run.
///
/// # Errors
/// Something that is needed cannot be had, or a check failed; its own messages are on the terminal.
pub async fn run(_args: TestArgs) -> Result<()> {
    let begun = Instant::now();
    prerequisites::ensure(&Need::ALL).await?;
    for check in &STATIC_CHECKS {
        check.run().await?;
    }
    deny::run().await?;
    monitoring::run().await?;
    manifests::run(false).await?;
    let cache = Cache::open()?;
    cache.jars().await?;
    cache.engine().await?;
    for check in &TESTS {
        check.run().await?;
    }
    instructions::run(false).await?;
    chaos_smoke().await?;
    say(&format!("all checks passed after {}", minutes(begun)));
    Ok(())
}

/// A minute of every fault on the real servers.
async fn chaos_smoke() -> Result<()> {
    let begun = Instant::now();
    say(&format!("chaos smoke: cargo xtask chaos --seed {SMOKE_SEED} --seconds {SMOKE_SECONDS}"));
    let args = ChaosArgs { seed: SMOKE_SEED, seconds: SMOKE_SECONDS, ..ChaosArgs::default() };
    // The next seed with the same conditions.
    let next = ChaosArgs { seed: SMOKE_SEED + 4, ..args.clone() };
    let mut done = chaos::run(args).await;
    if done.as_ref().is_err_and(anyhow::Error::is::<chaos::Void>) {
        say("chaos smoke: that run cannot be judged; another one");
        done = chaos::run(next).await;
    }
    done.context("chaos smoke")?;
    say(&format!("chaos smoke: passed after {}", minutes(begun)));
    Ok(())
}

impl Check {
    async fn run(&self) -> Result<()> {
        say(&format!("{}: cargo {}", self.what, self.args.join(" ")));
        let begun = Instant::now();
        let mut command = Command::new(workspace::cargo());
        command.args(self.args).envs(self.envs.iter().copied()).current_dir(workspace::root());
        let status = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .status()
            .await
            .with_context(|| format!("{}: cargo could not be run", self.what))?;
        if !status.success() {
            bail!("{}: `cargo {}` failed ({status})", self.what, self.args.join(" "));
        }
        say(&format!("{}: passed after {}", self.what, minutes(begun)));
        Ok(())
    }
}

fn minutes(since: Instant) -> String {
    let seconds = since.elapsed().as_secs();
    format!("{}:{:02} min", seconds / 60, seconds % 60)
}
