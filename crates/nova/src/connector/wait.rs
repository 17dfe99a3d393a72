//! Waits until a connector is where a command has sent it.
//!
//! Invariant: every wait ends, by a verdict that has stood or by a deadline that names the last state seen.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::answer::Status;
use super::progress::Progress;
use super::rest::Connect;
use super::status;
use super::verdict::{Settling, Verdict};
use crate::config::Config;
use crate::exit::{Exit, Failure, Outcome};

const WITHIN: Duration = Duration::from_secs(90);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Waits until the connector and its tasks run.
///
/// # Errors
/// The cause when it has failed, and `Unavailable` when it does not run in time.
pub(super) async fn until_running(connect: &Connect, config: &Config) -> Outcome {
    let name = &config.connect.connector;
    let _progress = Progress::start(format!("waiting until connector {name} runs"));
    let deadline = Instant::now() + WITHIN;
    let mut settling = Settling::default();
    loop {
        let seen = connect.status(name).await?;
        match (settling.observe(Verdict::of(seen.as_ref()), Instant::now()), &seen) {
            (Some(Verdict::Running), _) => return Ok(()),
            (Some(Verdict::Failed), Some(seen)) => return Err(status::failed(name, seen, config)),
            (Some(Verdict::Halted), Some(seen)) => return Err(status::halted(name, seen)),
            _ if Instant::now() > deadline => return Err(too_late(name, "run", seen.as_ref())),
            _ => sleep(ASK_AGAIN_AFTER).await,
        }
    }
}

/// Waits until the connector is stopped and none of its tasks is left.
///
/// # Errors
/// `Unavailable` when it is not in time.
pub(super) async fn until_stopped(connect: &Connect, config: &Config) -> Outcome {
    let name = &config.connect.connector;
    let _progress = Progress::start(format!("waiting until connector {name} has stopped"));
    let deadline = Instant::now() + WITHIN;
    loop {
        let seen = connect.status(name).await?;
        match &seen {
            Some(seen) if seen.connector.state == "STOPPED" && seen.tasks.is_empty() => return Ok(()),
            _ if Instant::now() > deadline => return Err(too_late(name, "stop", seen.as_ref())),
            _ => sleep(ASK_AGAIN_AFTER).await,
        }
    }
}

fn too_late(name: &str, verb: &str, seen: Option<&Status>) -> Failure {
    let state = seen.map_or("not known to Connect", |seen| seen.connector.state.as_str());
    let message = format!("connector {name} does not {verb} after {} s: it is {state}", WITHIN.as_secs());
    Failure::new(Exit::Unavailable, message).with_cure("See that a Connect worker runs and has room for it.")
}
