//! Kafka Connect without exactly-once sources: what a killed connector had not noted as read, it emits again.
//!
//! Invariant: set before the first change; Nova itself is configured as ever.

use anyhow::{Context, Result, ensure};

use super::connector::Connector;
use crate::stack::{ConnectServer, RunDir};

const ENABLED: &str = "exactly.once.source.support=enabled";
/// What is noted every few seconds is emitted again for as many; by default it would be a minute.
const DISABLED: &str = "exactly.once.source.support=disabled\noffset.flush.interval.ms=4000";

/// Whether runs of this seed are so: every fourth.
pub(super) fn of_seed(seed: u64) -> bool {
    seed % 4 == 3
}

/// Takes exactly-once from connector and worker, and restarts the worker.
///
/// # Errors
/// When Connect does not come back.
pub(super) async fn set(connector: &Connector, connect: &mut ConnectServer, run_dir: &RunDir) -> Result<()> {
    // `nova connector apply` registers `required`, which a worker without support refuses to run.
    connector.set("exactly.once.support", "requested").await?;
    let path = run_dir.path().join("connect/connect.properties");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    ensure!(text.contains(ENABLED), "{} has no line {ENABLED}", path.display());
    std::fs::write(&path, text.replace(ENABLED, DISABLED)).with_context(|| path.display().to_string())?;
    connect.restart().await
}
