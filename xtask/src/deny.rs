//! `cargo xtask deny`: what a dependency may be, by cargo-deny and `deny.toml`.
//!
//! Invariant: licences, bans and sources are always checked. Advisories are, where their database can be reached; where it
//! cannot, that is said, and never counted as a pass.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::time::timeout;

use crate::artifacts::Cache;
use crate::{say, workspace};

/// Where cargo-deny takes advisories from.
const ADVISORIES: &str = "https://github.com/RustSec/advisory-db";
/// How long the database may take to answer a question for its newest commit.
const REACH_WITHIN: Duration = Duration::from_secs(10);

/// Runs the checks.
///
/// # Errors
/// The tool cannot be had, or a check failed; its messages are on the terminal.
pub async fn run() -> Result<()> {
    let program = Cache::open()?.cargo_deny().await?;
    let mut checks = vec!["licenses", "bans", "sources"];
    match unreachable().await {
        None => checks.push("advisories"),
        Some(reason) => {
            say(&format!("deny: advisories are NOT checked: {ADVISORIES} cannot be reached ({reason})"))
        }
    }
    let line = format!("cargo deny check {}", checks.join(" "));
    say(&line);
    let mut command = Command::new(&program);
    // Several versions of a crate are worth a warning when somebody asks, not in every run.
    command.args(["--all-features", "--log-level", "error", "check", "--hide-inclusion-graph"]).args(&checks);
    command.env("CARGO", workspace::cargo()).current_dir(workspace::root());
    let status = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .with_context(|| format!("{} cannot be run", program.display()))?;
    if !status.success() {
        bail!("`{line}` failed ({status}); exceptions belong into deny.toml, each with its reason");
    }
    Ok(())
}

/// Why the advisory database cannot be had; `None` if it can.
async fn unreachable() -> Option<String> {
    let mut command = Command::new("git");
    command.args(["ls-remote", "--exit-code", ADVISORIES, "HEAD"]).env("GIT_TERMINAL_PROMPT", "0");
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(REACH_WITHIN, command.output()).await {
        Err(_) => Some(format!("no answer within {} s", REACH_WITHIN.as_secs())),
        Ok(Err(error)) => Some(format!("git cannot be run: {error}")),
        Ok(Ok(output)) if output.status.success() => None,
        Ok(Ok(output)) => {
            let text = String::from_utf8_lossy(&output.stderr);
            Some(text.lines().next_back().unwrap_or("git failed").to_owned())
        }
    }
}
