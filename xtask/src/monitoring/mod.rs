//! `cargo xtask monitoring`: the alerts and the dashboard in `deploy/monitoring`, held against the metrics that `nova` has.
//!
//! Invariant: what a query names is in `docs/metrics.md`, which a test of `nova` holds equal to what the program registers, and an
//! end-to-end test to what it serves.

mod dashboard;
mod documented;
mod promql;
mod rules;

use std::path::Path;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

pub use documented::{Documented, documented};

use crate::artifacts::{Cache, versions};
use crate::prerequisites::{self, Need};
use crate::{command, say, workspace};

/// Runs all checks of the folder; says every problem.
///
/// # Errors
/// promtool cannot be had, or something is wrong.
pub async fn run() -> Result<()> {
    prerequisites::ensure(&[Need::Go]).await?;
    let promtool = Cache::open()?.go_tool(&versions::PROMTOOL).await?;
    let folder = workspace::root().join("deploy/monitoring");
    promtool_in(&promtool, &folder, &["check", "rules", "rules.yaml"]).await?;
    promtool_in(&promtool, &folder, &["test", "rules", "rules.test.yaml"]).await?;

    let metrics = documented()?;
    let rules = rules::read(&folder)?;
    let dashboard = dashboard::read(&folder.join("grafana.json"))?;
    // JSON is YAML: the panels' queries as recording rules, for promtool's parser.
    let scratch = tempfile::tempdir().context("a folder for the dashboard's queries")?;
    std::fs::write(scratch.path().join("queries.yaml"), dashboard.as_rules())
        .context("writing queries.yaml")?;
    promtool_in(&promtool, scratch.path(), &["check", "rules", "queries.yaml"]).await?;

    let mut problems = rules.problems(&metrics, workspace::root());
    problems.extend(dashboard.problems(&metrics));
    for problem in &problems {
        say(&format!("monitoring: {problem}"));
    }
    if !problems.is_empty() {
        bail!("deploy/monitoring has {} problems; they are listed above", problems.len());
    }
    say(&format!(
        "monitoring: {} alerts, {} recorded series and {} queries of the dashboard fit {} metrics",
        rules.alerts().count(),
        rules.records().count(),
        dashboard.queries.len(),
        metrics.len()
    ));
    Ok(())
}

async fn promtool_in(program: &Path, folder: &Path, args: &[&str]) -> Result<()> {
    command::run("promtool", Command::new(program).args(args).current_dir(folder)).await.map(drop)
}
