//! Samples during the run: what is committed, and what of it is in ClickHouse at that moment.
//!
//! Invariant: the table is asked after the commit was read. Whatever was durable when it was committed is then found;
//! rows never go, so a later answer can only be larger and an alarm is never false.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::offsets::Committed;
use super::site::Site;
use crate::compare::query;
use crate::installation::{DATABASE, clickhouse_rows};
use crate::traffic::Table;

const INTERVAL: Duration = Duration::from_millis(250);
/// A stopped server answers nothing; the sample is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// One partition at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at: Duration,
    pub(super) position: Committed,
    /// Rows in ClickHouse of messages before the committed offset.
    pub(super) rows: u64,
}

/// Takes samples until told to stop. Servers come and go meanwhile: what cannot be asked is no sample.
pub(super) async fn watch(site: &Site, stop: &CancellationToken) -> Vec<Sample> {
    let mut samples = Vec::new();
    while stop.run_until_cancelled(sleep(INTERVAL)).await.is_some() {
        if let Ok(Ok(sample)) = tokio::time::timeout(PATIENCE, sample(site)).await {
            samples.extend(sample);
        }
    }
    samples
}

async fn sample(site: &Site) -> Result<Vec<Sample>> {
    let at = site.timeline.now();
    let committed = site.committed().await?;
    let clickhouse = site.clickhouse.read().await;
    let rows: BTreeMap<(String, i32), u64> = clickhouse_rows(&clickhouse, &question(&committed))
        .await?
        .into_iter()
        .map(|row| {
            let [topic, partition, rows] = <[String; 3]>::try_from(row).ok().context("three columns")?;
            Ok(((topic, partition.parse()?), rows.parse()?))
        })
        .collect::<Result<_>>()?;
    let rows_of = |position: &Committed| rows.get(&(position.topic.clone(), position.partition)).copied();
    Ok(committed
        .into_iter()
        .map(|position| Sample { at, rows: rows_of(&position).unwrap_or_default(), position })
        .collect())
}

/// The distinct rows of messages before each committed offset.
fn question(committed: &[Committed]) -> String {
    let mut parts = Vec::new();
    for table in Table::ALL {
        let topic = table.topic();
        let mut before = String::from("0");
        for at in committed.iter().filter(|at| at.topic == topic) {
            let _ =
                write!(before, " OR (kafka_partition = {} AND kafka_offset < {})", at.partition, at.offset);
        }
        parts.push(format!(
            "SELECT '{topic}', kafka_partition, uniqExact(kafka_offset, ordinal) FROM {DATABASE}.{} \
             WHERE topic = '{topic}' AND ({before}) GROUP BY kafka_partition",
            query(table).table
        ));
    }
    parts.join(" UNION ALL ")
}
