//! `cargo xtask test`: all checks, in the order in which they fail fastest.
//!
//! Invariant: nothing is skipped in silence. What a test needs (servers' programs, downloads, our own binaries) is
//! there before the tests begin, so a test that cannot find it fails.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cargo_metadata::{MetadataCommand, Target};
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

/// What the tests need of cargo. The program as shipped is built now, so that no test finds it amid being replaced.
const BUILDS: [Check; 3] = [
    Check {
        what: "documentation",
        args: &["doc", "--workspace", "--no-deps", "--all-features", "--locked"],
        envs: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    Check {
        what: "building the tests",
        args: &["test", "--workspace", "--all-features", "--locked", "--no-run", "--quiet"],
        envs: &[],
    },
    Check {
        what: "building nova",
        args: &["build", "--package", "nova", "--bin", "nova", "--locked", "--quiet"],
        envs: &[],
    },
];

/// The scenarios on one stack of servers: most of the time of all tests, and little of it spent on computing.
const SCENARIOS: &str = "end_to_end";

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
    for check in &BUILDS {
        check.run().await?;
    }
    tests().await?;
    instructions::run(false).await?;
    chaos_smoke().await?;
    say(&format!("all checks passed after {}", minutes(begun)));
    Ok(())
}

/// All tests. The scenarios wait for servers most of the time, so the others are run beside them; what these say follows
/// when they end.
async fn tests() -> Result<()> {
    let scenarios = ["--test", SCENARIOS].map(str::to_owned).to_vec();
    let (scenarios, beside) = tokio::join!(test("scenarios on the real servers", scenarios, None), beside());
    scenarios.and(beside)
}

async fn beside() -> Result<()> {
    let log = workspace::target_dir().join("tests.log");
    let others = other_tests()?;
    let documentation = vec!["--doc".to_owned()];
    let mut done = Ok(());
    for (what, targets) in
        [("unit and integration tests", others), ("examples of the documentation", documentation)]
    {
        let outcome = test(what, targets, Some(&log)).await;
        let said = std::fs::read_to_string(&log).with_context(|| log.display().to_string())?;
        say(&said);
        done = done.and(outcome);
    }
    done
}

/// All targets with tests but the scenarios, as cargo wants them named.
fn other_tests() -> Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .cargo_path(workspace::cargo())
        .current_dir(workspace::root())
        .no_deps()
        .exec()?;
    let targets = metadata.packages.into_iter().flat_map(|package| package.targets);
    let names: BTreeSet<String> = targets.filter(Target::is_test).map(|target| target.name).collect();
    let named = names.into_iter().filter(|name| name != SCENARIOS);
    let named = named.flat_map(|name| ["--test".to_owned(), name]);
    Ok(["--lib", "--bins"].map(str::to_owned).into_iter().chain(named).collect())
}

/// Runs these targets' tests; what they say goes to the terminal, or into `log`.
async fn test(what: &str, targets: Vec<String>, log: Option<&Path>) -> Result<()> {
    let mut args =
        ["test", "--workspace", "--all-features", "--locked", "--no-fail-fast"].map(str::to_owned).to_vec();
    args.extend(targets);
    cargo(what, &args, &[], log).await
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
        cargo(self.what, self.args, self.envs, None).await
    }
}

async fn cargo(
    what: &str,
    args: &[impl AsRef<str>],
    envs: &[(&str, &str)],
    log: Option<&Path>,
) -> Result<()> {
    let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
    say(&format!("{what}: cargo {}", args.join(" ")));
    let begun = Instant::now();
    let mut command = Command::new(workspace::cargo());
    command.args(&args).envs(envs.iter().copied()).current_dir(workspace::root());
    if let Some(log) = log {
        let log = File::create(log).with_context(|| log.display().to_string())?;
        command.stdout(log.try_clone()?).stderr(log);
    }
    let status = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("{what}: cargo could not be run"))?;
    if !status.success() {
        bail!("{what}: `cargo {}` failed ({status})", args.join(" "));
    }
    say(&format!("{what}: passed after {}", minutes(begun)));
    Ok(())
}

fn minutes(since: Instant) -> String {
    let seconds = since.elapsed().as_secs();
    format!("{}:{:02} min", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_beside_the_scenarios_is_all_the_rest() {
        let others = other_tests().unwrap();
        let has = |name: &str| others.iter().any(|other| other == name);
        assert!(["it", "architecture", "secure", "stack"].into_iter().all(has), "{others:?}");
        assert!(!has(SCENARIOS), "{others:?}");
    }
}
