//! How long a commit takes to become visible, measured from outside: the application's own clock from the moment
//! COMMIT returned until a query of ClickHouse finds the row.
//!
//! Invariant: a sample ends only when the row was seen, so the figures include the pause between two looks (which
//! makes them too large by up to that much, never too small).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::installation::{DATABASE, clickhouse_rows};
use crate::stack::ClickHouseServer;
use crate::traffic::{CommittedChange, Op, Table};

/// Pause between two looks.
const INTERVAL: Duration = Duration::from_millis(40);
/// At most one sample per table in this time: the looks must not become the load.
const SPACING: Duration = Duration::from_millis(25);

/// Samples of committed inserts, waiting and seen.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    tables: Mutex<BTreeMap<&'static str, Samples>>,
}

#[derive(Debug, Default)]
struct Samples {
    pending: BTreeMap<String, Instant>,
    seen: Vec<Duration>,
    last_taken: Option<Instant>,
}

impl Freshness {
    /// Takes a committed change as a sample, if one is due.
    pub(super) fn offer(&self, change: &CommittedChange) {
        if change.op != Op::Insert {
            return;
        }
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = tables.entry(change.table).or_default();
        if samples.last_taken.is_none_or(|taken| change.committed_at.duration_since(taken) >= SPACING) {
            samples.last_taken = Some(change.committed_at);
            samples.pending.insert(change.key.clone(), change.committed_at);
        }
    }

    /// Looks for pending samples until told to stop.
    ///
    /// # Errors
    /// When ClickHouse refuses a look.
    pub(super) async fn watch(&self, clickhouse: &ClickHouseServer, stop: &CancellationToken) -> Result<()> {
        while stop.run_until_cancelled(sleep(INTERVAL)).await.is_some() {
            for table in Table::ALL {
                self.look(clickhouse, table).await?;
            }
        }
        Ok(())
    }

    async fn look(&self, clickhouse: &ClickHouseServer, table: Table) -> Result<()> {
        let pending = self.pending(table);
        if pending.is_empty() {
            return Ok(());
        }
        let (target, key) = match table {
            Table::Posts => ("post_events", "toString(post_id)"),
            Table::Follows => {
                ("user_follow_events", "concat(toString(follower_id), ':', toString(followee_id))")
            }
            Table::Comments | Table::Likes | Table::Outbox => {
                ("post_engagement_events", "toString(source_key)")
            }
        };
        let list = pending.iter().map(|key| format!("'{key}'")).collect::<Vec<_>>().join(",");
        let sql = format!(
            "SELECT DISTINCT {key} AS key FROM {DATABASE}.{target} WHERE sign = 1 AND key IN ({list})"
        );
        let found = clickhouse_rows(clickhouse, &sql).await?;
        let now = Instant::now();
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let samples = tables.entry(table.name()).or_default();
        for key in found.into_iter().flatten() {
            if let Some(committed) = samples.pending.remove(&key) {
                samples.seen.push(now - committed);
            }
        }
        Ok(())
    }

    fn pending(&self, table: Table) -> Vec<String> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.get(table.name()).map(|samples| samples.pending.keys().cloned().collect()).unwrap_or_default()
    }

    /// Age of the oldest sample that has not been seen yet: how far ClickHouse is behind now.
    pub(super) fn behind(&self) -> Duration {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables
            .values()
            .flat_map(|samples| samples.pending.values())
            .map(Instant::elapsed)
            .max()
            .unwrap_or_default()
    }

    /// Samples not seen yet.
    pub(super) fn waiting(&self) -> usize {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.values().map(|samples| samples.pending.len()).sum()
    }

    /// The given quantiles (0 to 1) of a table's latencies, or of all tables together; `None` without samples.
    pub(super) fn quantiles<const N: usize>(
        &self,
        table: Option<Table>,
        quantiles: [f64; N],
    ) -> Option<[Duration; N]> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |name: &str| table.is_none_or(|table| table.name() == name);
        let mut seen: Vec<Duration> = tables
            .iter()
            .filter(|(name, _)| wanted(name))
            .flat_map(|(_, samples)| samples.seen.iter().copied())
            .collect();
        seen.sort_unstable();
        let last = seen.len().checked_sub(1)?;
        Some(quantiles.map(|quantile| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "an index of a list of samples"
            )]
            let index = (last as f64 * quantile).ceil() as usize;
            seen.get(index.min(last)).copied().unwrap_or_default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_and_none_without_any() {
        let freshness = Freshness::default();
        assert!(freshness.quantiles(None, [0.5]).is_none());
        let millis = |n| Duration::from_millis(n);
        freshness.tables.lock().unwrap().entry("likes").or_default().seen =
            (1..=100).rev().map(millis).collect();
        assert_eq!(
            freshness.quantiles(Some(Table::Likes), [0.0, 0.5, 0.99, 1.0]),
            Some([1, 51, 100, 100].map(millis))
        );
        assert!(freshness.quantiles(Some(Table::Posts), [0.5]).is_none());
    }
}
