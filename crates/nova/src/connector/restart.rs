//! `nova connector restart`: starts once more what has failed. Connect does not do that by itself: a task that meets
//! a restart of PostgreSQL while it starts stays FAILED.
//!
//! Invariant: what runs is not disturbed, and what a person has paused or stopped stays so.

use super::rest::Connect;
use super::verdict::Verdict;
use super::{status, wait};
use crate::config::Config;
use crate::exit::Outcome;

/// Restarts the connector or its task if one of them has failed, and waits until both run.
pub(super) async fn run(config: &Config) -> Outcome {
    let name = &config.connect.connector;
    let connect = Connect::new(&config.connect.url)?;
    let Some(seen) = connect.status(name).await? else { return Err(status::missing(name)) };
    status::lost(config).await?;
    let did = match Verdict::of(Some(&seen)) {
        Verdict::Halted => return Err(status::halted(name, &seen)),
        Verdict::Failed => {
            connect.restart_failed(name).await?;
            "restarted, running"
        }
        Verdict::Running | Verdict::Pending => "running, nothing to restart",
    };
    wait::until_running(&connect, config).await?;
    println!("connector {name}: {did}");
    Ok(())
}
