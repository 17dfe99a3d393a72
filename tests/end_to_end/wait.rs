//! Waiting for a condition, with a deadline, and with the last reason when it does not come.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

const INTERVAL: Duration = Duration::from_millis(100);

/// Asks until `probe` succeeds.
///
/// # Errors
/// What `probe` failed with last, when `within` has passed.
pub(crate) async fn until<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        match probe().await {
            Ok(found) => return Ok(found),
            Err(last) if Instant::now() >= deadline => {
                return Err(last).with_context(|| format!("not within {} s: {what}", within.as_secs()));
            }
            Err(_) => sleep(INTERVAL).await,
        }
    }
}

/// Seconds.
pub(crate) const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
