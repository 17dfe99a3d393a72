//! What `nova reconcile` came to, lately.

use nova_clickhouse::Client;
use nova_reconcile::Verdict;
use nova_reconcile::history::{self, HeatMap, HistoryError, Run};
use serde::Serialize;

use crate::exit::{Exit, Failure};

/// Runs of each stream that are told.
const EACH: u32 = 10;

/// One run over one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The stream.
    pub stream: String,
    /// When the run ended, in milliseconds since 1970.
    pub finished_ms: i64,
    /// What it came to.
    pub verdict: Verdict,
    /// Why it did not come to an end; empty otherwise.
    pub reason: String,
    /// Keys that are missing, extra, doubled or different.
    pub differences: u64,
    /// Keys that differ because their message is a dead letter.
    pub explained: u64,
    /// Whether it looked at windows that had changed alone.
    pub incremental: bool,
    /// Whether it looked at a part of the time alone.
    pub partial: bool,
}

impl Comparison {
    /// How long before `now_ms` it ended, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    pub fn seconds_ago(&self, now_ms: i64) -> f64 {
        now_ms.saturating_sub(self.finished_ms) as f64 / 1000.0
    }
}

impl From<Run> for Comparison {
    fn from(run: Run) -> Self {
        Self {
            partial: run.scope.since_ms.is_some() || run.scope.until_ms.is_some(),
            incremental: run.scope.incremental,
            differences: run.tally.total(),
            explained: run.tally.explained,
            stream: run.stream,
            finished_ms: run.finished_ms,
            verdict: run.verdict,
            reason: run.reason,
        }
    }
}

/// The newest runs of every stream, newest first.
pub(super) async fn look(client: &Client) -> Result<Vec<Comparison>, Failure> {
    let runs = history::latest(client, EACH).await.map_err(failed)?;
    Ok(runs.into_iter().map(Comparison::from).collect())
}

/// Where in time the newest run of every stream found what.
pub(super) async fn heat_maps(client: &Client) -> Result<Vec<HeatMap>, Failure> {
    history::heat_maps(client).await.map_err(failed)
}

fn failed(error: HistoryError) -> Failure {
    match error {
        HistoryError::ClickHouse(error) => error.into(),
        HistoryError::Row { .. } => Failure::new(Exit::Failure, error.to_string()),
    }
}
