//! The history of runs in ClickHouse: `reconcile_runs`, one row per run and stream.
//!
//! Invariant: a run that is recorded twice is one row, whatever died in between. The table replaces rows of the same
//! run and stream, and is read with FINAL; so no token is needed, which a crash could separate from its rows.

use chrono::DateTime;
use nova_clickhouse::{ClickHouseError, Client};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::render::fold::{self, COLUMNS, fold};
use crate::{Report, Scope, SnapshotTaken, StreamReport, Tally, Verdict};

/// The table could not be written or read.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// The server's refusal, or no answer.
    #[error("the history of runs, table reconcile_runs: {0}; if it is missing, run `nova migrate`")]
    ClickHouse(#[from] ClickHouseError),
    /// A row that cannot be written.
    #[error("the history of runs, stream {stream}: {source}")]
    Row {
        /// The stream.
        stream: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// One run over one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The report's.
    pub run_id: Uuid,
    /// The stream.
    pub stream: String,
    /// When the run began, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended, in milliseconds since 1970.
    pub finished_ms: i64,
    /// What it was asked to compare.
    #[serde(flatten)]
    pub scope: Scope,
    /// What it came to.
    pub verdict: Verdict,
    /// Why it did not come to an end; empty otherwise.
    pub reason: String,
    /// Differences by kind.
    #[serde(flatten)]
    pub tally: Tally,
    /// Windows compared.
    pub windows: u64,
    /// Rows in PostgreSQL.
    pub postgres_rows: i64,
    /// Rows in ClickHouse.
    pub clickhouse_rows: i64,
    /// The first snapshot, as of which or later all windows were compared; all zero when none was taken.
    #[serde(flatten)]
    pub snapshot: FirstSnapshot,
    /// The version of `nova` that ran.
    pub nova_version: String,
}

/// What is kept of a run's first snapshot; see [`SnapshotTaken`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstSnapshot {
    /// When it was taken, in milliseconds since 1970.
    pub taken_ms: i64,
    /// Position in the write-ahead log.
    pub lsn: u64,
    /// Below this every transaction is visible or rolled back.
    pub xmin: u64,
    /// From this on no transaction is visible.
    pub xmax: u64,
    /// How long slot and consumer group took to pass all of the run's snapshots, in milliseconds.
    pub waited_ms: u64,
}

/// The heat map of a stream's newest run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeatMap {
    /// The stream.
    pub stream: String,
    /// The run; columns of the same run stand for the same time in all of its streams.
    pub run_id: Uuid,
    /// Its cells in the order of time; none for a run that compared nothing, or that an earlier version recorded.
    pub cells: Vec<HeatCell>,
}

/// Windows side by side that share a place in the map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeatCell {
    /// First millisecond since 1970.
    pub from_ms: i64,
    /// Millisecond after the last one.
    pub to_ms: i64,
    /// The first column of the map that it covers.
    pub first_column: u16,
    /// The column after the last one.
    pub end_column: u16,
    /// Rows in PostgreSQL.
    pub rows: i64,
    /// Keys that differ.
    pub differences: u64,
    /// How bad it is, from 0 (equal) to 6; `clickhouse/0013_reconcile_cells.sql` says what each means.
    pub level: u8,
}

impl HeatCell {
    fn of(cell: &fold::Cell, stream: &StreamReport) -> Self {
        let windows = stream.windows.get(cell.windows.clone()).unwrap_or_default();
        // There are at most `COLUMNS` of them.
        let column = |column: usize| u16::try_from(column).unwrap_or(u16::MAX);
        Self {
            from_ms: windows.first().map_or(0, |window| window.from_ms),
            to_ms: windows.last().map_or(0, |window| window.to_ms),
            first_column: column(cell.columns.start),
            end_column: column(cell.columns.end),
            rows: cell.postgres_rows,
            differences: cell.tally.total(),
            level: cell.level as u8,
        }
    }
}

/// The columns as [`Run`] names them: times as milliseconds.
const SELECT: &str = "SELECT run_id, stream, toUnixTimestamp64Milli(started_at) AS started_ms, \
    toUnixTimestamp64Milli(finished_at) AS finished_ms, \
    if(since IS NULL, NULL, toUnixTimestamp64Milli(assumeNotNull(since))) AS since_ms, \
    if(until IS NULL, NULL, toUnixTimestamp64Milli(assumeNotNull(until))) AS until_ms, \
    incremental, verdict, reason, missing, extra, doubled, different, explained, windows, postgres_rows, \
    clickhouse_rows, toUnixTimestamp64Milli(snapshot_at) AS taken_ms, snapshot_lsn AS lsn, snapshot_xmin AS xmin, \
    snapshot_xmax AS xmax, waited_ms, nova_version FROM reconcile_runs FINAL";

/// What a run must be to be a good one.
const GOOD: &str = "verdict = 'equal' AND since IS NULL AND until IS NULL";

/// Records the run, a row per stream; a second time changes nothing.
///
/// # Errors
/// See [`HistoryError`]; the run can be recorded again.
pub async fn record(client: &Client, report: &Report) -> Result<(), HistoryError> {
    let mut lines = Vec::new();
    for (stream, cells) in report.streams.iter().zip(fold(&report.streams, COLUMNS).rows) {
        let cells = cells.iter().map(|cell| HeatCell::of(cell, stream)).collect();
        let row = Row::of(report, stream, cells);
        let line = serde_json::to_string(&row)
            .map_err(|source| HistoryError::Row { stream: stream.stream.clone(), source })?;
        lines.push(line);
    }
    if lines.is_empty() {
        return Ok(());
    }
    // JSON lines hold no line feed, so no empty line can end the data early.
    let sql = format!("INSERT INTO reconcile_runs FORMAT JSONEachRow\n{}\n", lines.join("\n"));
    Ok(client.execute(&sql).await?)
}

/// The newest `limit` rows, newest first; of one stream, or of all.
///
/// # Errors
/// See [`HistoryError`].
pub async fn runs(client: &Client, stream: Option<&str>, limit: u32) -> Result<Vec<Run>, HistoryError> {
    let of_stream = if stream.is_some() { "WHERE stream = {stream:String}" } else { "" };
    let sql = format!("{SELECT} {of_stream} ORDER BY started_at DESC, run_id, stream LIMIT {limit}");
    let parameters: Vec<(&str, &str)> = stream.map(|stream| ("stream", stream)).into_iter().collect();
    Ok(client.query_rows(&sql, &parameters).await?)
}

/// The newest `each` runs of every stream, newest first.
///
/// # Errors
/// See [`HistoryError`].
pub async fn latest(client: &Client, each: u32) -> Result<Vec<Run>, HistoryError> {
    let sql = format!("{SELECT} ORDER BY started_at DESC, run_id, stream LIMIT {each} BY stream");
    Ok(client.query_rows(&sql, &[]).await?)
}

/// The newest run of every stream that found the whole of it equal, as [`last_good`] says for one.
///
/// # Errors
/// See [`HistoryError`].
pub async fn last_good_of_all(client: &Client) -> Result<Vec<Run>, HistoryError> {
    let sql = format!("{SELECT} WHERE {GOOD} ORDER BY snapshot_at DESC LIMIT 1 BY stream");
    Ok(client.query_rows(&sql, &[]).await?)
}

/// The heat map of every stream's newest run.
///
/// # Errors
/// See [`HistoryError`].
pub async fn heat_maps(client: &Client) -> Result<Vec<HeatMap>, HistoryError> {
    // The cells of older runs are not read.
    let sql = "SELECT stream, run_id, cells FROM reconcile_runs FINAL WHERE (stream, started_at, run_id) IN \
               (SELECT stream, max(started_at), argMax(run_id, started_at) FROM reconcile_runs GROUP BY stream) \
               ORDER BY stream";
    Ok(client.query_rows(sql, &[]).await?)
}

/// The newest run over the whole stream that found it equal; an incremental one counts, since it stands on one that was.
/// A run whose differences are explained does not: an incremental run after it would not look at them again.
///
/// # Errors
/// See [`HistoryError`].
pub async fn last_good(client: &Client, stream: &str) -> Result<Option<Run>, HistoryError> {
    let sql =
        format!("{SELECT} WHERE stream = {{stream:String}} AND {GOOD} ORDER BY snapshot_at DESC LIMIT 1");
    Ok(client.query_rows(&sql, &[("stream", stream)]).await?.into_iter().next())
}

/// A row as the table has it: times as text.
#[derive(Debug, Serialize)]
struct Row<'r> {
    run_id: Uuid,
    stream: &'r str,
    started_at: String,
    finished_at: String,
    since: Option<String>,
    until: Option<String>,
    incremental: bool,
    verdict: Verdict,
    reason: &'r str,
    #[serde(flatten)]
    tally: Tally,
    windows: u64,
    postgres_rows: i64,
    clickhouse_rows: i64,
    snapshot_at: String,
    snapshot_lsn: u64,
    snapshot_xmin: u64,
    snapshot_xmax: u64,
    waited_ms: u64,
    nova_version: &'r str,
    cells: Vec<HeatCell>,
}

impl<'r> Row<'r> {
    fn of(report: &'r Report, stream: &'r StreamReport, cells: Vec<HeatCell>) -> Self {
        let sum = |rows: fn(&crate::Window) -> i64| stream.windows.iter().map(rows).sum();
        let first = stream.snapshots.first();
        let number = |field: fn(&SnapshotTaken) -> u64| first.map_or(0, field);
        Self {
            run_id: report.run_id,
            stream: &stream.stream,
            started_at: stamp(report.started_ms),
            finished_at: stamp(report.finished_ms),
            since: report.scope.since_ms.map(stamp),
            until: report.scope.until_ms.map(stamp),
            incremental: report.scope.incremental,
            verdict: stream.verdict,
            reason: stream.reason.as_deref().unwrap_or_default(),
            tally: stream.tally,
            windows: stream.windows.iter().filter(|window| window.compared()).count() as u64,
            postgres_rows: sum(|window| window.postgres.rows),
            clickhouse_rows: sum(|window| window.clickhouse.rows),
            snapshot_at: stamp(first.map_or(0, |snapshot| snapshot.taken_ms)),
            snapshot_lsn: number(|snapshot| snapshot.lsn),
            snapshot_xmin: number(|snapshot| snapshot.xmin),
            snapshot_xmax: number(|snapshot| snapshot.xmax),
            waited_ms: stream.snapshots.iter().map(|snapshot| snapshot.waited_ms).sum(),
            nova_version: &report.nova_version,
            cells,
        }
    }
}

/// A time as `DateTime64(3, 'UTC')` reads it.
fn stamp(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}
