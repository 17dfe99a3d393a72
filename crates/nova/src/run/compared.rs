//! What the last comparisons found, as metrics, whoever made them: a person, a CronJob, `nova run reconcile`.
//!
//! Invariant: only the history is read, and a history that cannot be read is nobody's outage.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nova_clickhouse::Client;
use nova_reconcile::history::{HistoryError, last_good_of_all, latest};
use nova_reconcile::metrics;
use tokio::time::Instant;
use tracing::debug;

/// How often the history is read.
const EVERY: Duration = Duration::from_secs(15);

/// Looks at the history of comparisons.
pub struct Compared {
    client: Client,
    streams: Vec<String>,
    last: Mutex<Option<Instant>>,
}

impl Compared {
    /// Of these streams.
    pub fn new(client: Client, streams: Vec<String>) -> Self {
        Self { client, streams, last: Mutex::default() }
    }

    /// Publishes what is in the history, if it is time to look again.
    pub async fn look(&self) {
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| last.elapsed() < EVERY) {
                return;
            }
            *last = Some(Instant::now());
        }
        if let Err(error) = self.publish().await {
            debug!("what the last comparisons found is not known: {error}");
        }
    }

    async fn publish(&self) -> Result<(), HistoryError> {
        let own = |stream: &String| self.streams.contains(stream);
        for run in latest(&self.client, 1).await?.iter().filter(|run| own(&run.stream)) {
            metrics::publish_run(run);
        }
        for good in last_good_of_all(&self.client).await?.iter().filter(|run| own(&run.stream)) {
            metrics::publish_last_good(&good.stream, good.snapshot.taken_ms);
        }
        Ok(())
    }
}
