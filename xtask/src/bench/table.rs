//! The table that everybody fills: made, waited for, and judged.
//!
//! Invariant: a fast answer that is wrong does not count.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use super::site::{Content, Site};
use crate::installation::clickhouse_rows;
use crate::stack::ServerProcess;
use crate::workspace;

/// Its name; the stream `likes` of `config/streams.toml` writes it.
pub(super) const TABLE: &str = "post_engagement_events";

const DRAINED_WITHIN: Duration = Duration::from_secs(900);
/// How often the table is asked for its number of rows; a look costs ClickHouse about half a millisecond.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The production table, empty, in a database of its own.
pub(super) async fn create(site: &Site, database: &str) -> Result<()> {
    let clickhouse = site.clickhouse()?;
    clickhouse.query(&format!("CREATE DATABASE {database} ENGINE = Atomic")).await?;
    let mut files: Vec<PathBuf> = fs::read_dir(workspace::root().join("clickhouse"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut found = 0;
    for file in files {
        // Comments end at their line; none of the statements holds a `;` elsewhere.
        let text = fs::read_to_string(&file).unwrap_or_default().replace("${database}", database);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
        for statement in lines.join("\n").split(';') {
            let create = format!("CREATE TABLE IF NOT EXISTS {database}.{TABLE}");
            let alter = format!("ALTER TABLE {database}.{TABLE}");
            if [create, alter].iter().any(|begin| statement.trim_start().starts_with(begin)) {
                found += 1;
                clickhouse.query(statement).await.with_context(|| file.display().to_string())?;
            }
        }
    }
    ensure!(found > 0, "clickhouse/ does not create {TABLE}");
    Ok(())
}

/// Leaves the table's parts as the inserts make them.
pub(super) async fn stop_merges(site: &Site, database: &str) -> Result<()> {
    site.clickhouse()?.query(&format!("SYSTEM STOP MERGES {database}.{TABLE}")).await.map(drop)
}

/// Waits until the table has as many rows as it must; fails early when one of the processes that fill it ends.
pub(super) async fn all_rows(
    site: &Site,
    database: &str,
    content: &Content,
    processes: &[ServerProcess],
) -> Result<()> {
    let deadline = Instant::now() + DRAINED_WITHIN;
    loop {
        let rows = numbers(site, &format!("SELECT count() FROM {database}.{TABLE}")).await?;
        if rows.first().is_some_and(|rows| *rows >= content.rows) {
            return Ok(());
        }
        for process in processes {
            if let Some(status) = process.exit_status() {
                let log = fs::read_to_string(process.log()).unwrap_or_default();
                anyhow::bail!("nova ended ({status}) with {rows:?} of {} rows:\n{log}", content.rows);
            }
        }
        ensure!(Instant::now() < deadline, "{database}: {rows:?} of {} rows in 15 min", content.rows);
        sleep(LOOK_EVERY).await;
    }
}

/// Refuses a table that is not exactly what the topic must become; drops it, and answers its bytes per row on disk.
pub(super) async fn judge(site: &Site, database: &str, content: &Content) -> Result<f64> {
    let sql = format!(
        "SELECT count(), sum(sign), uniqExact(kafka_partition, kafka_offset, ordinal) FROM {database}.{TABLE}"
    );
    let found = numbers(site, &sql).await?;
    let expected = vec![content.rows, content.state, content.rows];
    ensure!(
        found == expected,
        "{database}: rows, sum of signs, distinct rows are {found:?}, not {expected:?}"
    );
    let sql = format!(
        "SELECT toUInt64(sum(bytes_on_disk)), sum(rows) FROM system.parts WHERE database = '{database}' AND active"
    );
    let size = numbers(site, &sql).await?;
    let [bytes, rows] = size.as_slice() else { anyhow::bail!("{sql} answered {size:?}") };
    site.clickhouse()?.query(&format!("DROP DATABASE {database} SYNC")).await?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
    Ok(*bytes as f64 / *rows as f64)
}

/// The numbers of a query's answer, row by row.
pub(super) async fn numbers(site: &Site, sql: &str) -> Result<Vec<i64>> {
    let rows = clickhouse_rows(site.clickhouse()?, sql).await?;
    rows.concat().iter().map(|number| number.parse().context("a number from ClickHouse")).collect()
}
