//! A backfill: planned from one snapshot, filled from as many as it takes.
//!
//! Invariant: rows are written as of a snapshot that slot and group have passed. A snapshot that has grown old is given
//! up between two windows, since it keeps PostgreSQL from cleaning up.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use nova_clickhouse::{Client, TableInfo, TableSink};
use nova_pipeline::Once;
use nova_streams::{ColumnType, LINEAGE_COLUMNS, Mapping, Stream};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::check::{declaration, refused};
use super::fill::{Filled, Filling};
use super::range::Range;
use super::rows::Rows;
use super::source::Source;
use super::window::Window;
use crate::ReconcileError;
use crate::clickhouse_side::{TimeColumn, rows_between};
use crate::snapshot::Snapshot;
use crate::visibility::Position;

/// Rows of a sample.
const SAMPLED: usize = 5_000;

/// Whoever runs a backfill: provides snapshots, says how fast it may go, and hears how it goes.
pub trait Driver: Sync {
    /// A snapshot that slot and group have passed.
    fn snapshot(&self) -> impl Future<Output = Result<Snapshot, ReconcileError>> + Send;

    /// What became of some rows of a window, by its place in the plan; they are durable.
    fn filled(&self, window: usize, filled: &Filled);

    /// Asked after so many rows; waits as long as the pace demands. `false` ends the backfill here.
    fn go_on(&self, rows: usize) -> impl Future<Output = bool> + Send;

    /// All rows of a window are in ClickHouse.
    fn done(&self, window: usize);
}

/// How a backfill goes about it.
#[derive(Debug, Clone, Copy)]
pub struct FillOptions {
    /// Rows that a window should have at most.
    pub window_rows: u64,
    /// An older snapshot is given up for a new one between two windows.
    pub max_snapshot_age: Duration,
}

/// What there is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The windows, in the order of time.
    pub windows: Vec<Window>,
    /// Rows of PostgreSQL in them.
    pub rows: u64,
    /// Their mapped columns, in bytes, by PostgreSQL's statistics: an estimate.
    pub bytes: u64,
    /// The sum of the rows that ClickHouse has of that time; `None` with a condition, which is PostgreSQL's to understand.
    pub there: Option<i64>,
    /// Whether PostgreSQL finds a window by an index or a partition; otherwise each window is a pass over the table.
    pub by_time: bool,
    /// Rows that were read, mapped and looked for; `None` without rows.
    pub sample: Option<Sample>,
}

/// Some rows of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// What would become of them.
    pub filled: Filled,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// One stream's way from PostgreSQL's table into ClickHouse's.
pub struct Backfill<'a> {
    client: &'a Client,
    pub(super) stream: &'a Stream,
    range: Range,
    options: FillOptions,
    mapping: Mapping,
    pub(super) sink: TableSink,
    pub(super) writer: Once<TableSink>,
    pub(super) time: TimeColumn,
}

impl<'a> Backfill<'a> {
    /// Looks at the stream and its table in ClickHouse.
    ///
    /// # Errors
    /// [`ReconcileError::Refused`] with what is possible instead; a server that cannot be asked.
    pub async fn open(
        client: &'a Client,
        stream: &'a Stream,
        range: Range,
        options: FillOptions,
    ) -> Result<Self, ReconcileError> {
        declaration(stream)?;
        let table = TableInfo::read(client, &stream.table).await?;
        let mapping =
            Mapping::compile(stream, &table.schema).map_err(|error| refused(stream, error.to_string()))?;
        let declared = mapping.columns().len().saturating_sub(LINEAGE_COLUMNS.len());
        let columns: Vec<(String, ColumnType)> = mapping.columns().iter().take(declared).cloned().collect();
        let time = TimeColumn::of(stream, &columns)?;
        let sink = TableSink::new(client.clone(), &table, mapping.columns())?;
        let writer = Once::new(&stream.name, &stream.topic, sink.clone());
        Ok(Self { client, stream, range, options, mapping, sink, writer, time })
    }

    /// The same with another way of writing: with other retries.
    #[must_use]
    pub fn with_writer(mut self, writer: impl FnOnce(Once<TableSink>) -> Once<TableSink>) -> Self {
        self.writer = writer(self.writer);
        self
    }

    /// Counts what there is to be done, and tries some of it; nothing is written.
    ///
    /// # Errors
    /// [`ReconcileError::Refused`] with what is possible instead; a server that cannot be asked, or did not pass the snapshot.
    pub async fn plan(&self, driver: &impl Driver) -> Result<Plan, ReconcileError> {
        let mut snapshot = driver.snapshot().await?;
        let planned = self.planned(&mut snapshot).await;
        snapshot.close().await;
        planned
    }

    async fn planned(&self, snapshot: &mut Snapshot) -> Result<Plan, ReconcileError> {
        let source = self.source(snapshot).await?;
        let most = source.window_rows().min(self.options.window_rows).max(1);
        let windows = source.windows(&mut snapshot.readers, most).await?;
        let rows = windows.iter().map(|window| window.rows).sum();
        let filling = self.filling(&source, snapshot, None);
        let there = match &self.range.condition {
            Some(_) => None,
            None => Some(self.there(&filling.visible).await?),
        };
        let (mut bytes, mut sample) = (0, None);
        if let Some(leader) = snapshot.readers.first_mut() {
            bytes = source.width(leader).await?.saturating_mul(rows);
            if let Some(window) = windows.get(windows.len() / 2) {
                source.declare(leader, window).await?;
                // Reading alone is no measure: most of the time goes into what follows.
                let begun = Instant::now();
                let fetched = source.fetch(leader, SAMPLED).await?;
                if !fetched.is_empty() {
                    let filled = filling.chunk(&fetched, "").await?;
                    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                    sample = Some(Sample { filled, took_ms });
                }
                source.close(leader).await?;
            }
        }
        Ok(Plan { windows, rows, bytes, there, by_time: source.table.by_time, sample })
    }

    /// Fills those of the windows that are not done; `job` names the inserts. `false` if `driver` has ended it before.
    ///
    /// # Errors
    /// A server that cannot be asked, or did not pass a snapshot in time. What was written stays, and the same can be run
    /// again.
    pub async fn fill(
        &self,
        windows: &[Window],
        is_done: impl Fn(usize) -> bool,
        job: Uuid,
        driver: &impl Driver,
    ) -> Result<bool, ReconcileError> {
        let left = windows.iter().enumerate().filter(|(number, _)| !is_done(*number));
        let left = Mutex::new(left.collect::<VecDeque<_>>());
        let is_empty = || left.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        while !is_empty() {
            let mut snapshot = driver.snapshot().await?;
            let filled = self.as_of(&mut snapshot, &left, job, driver).await;
            snapshot.close().await;
            if !filled? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Fills windows until none is left, or the snapshot is old.
    async fn as_of(
        &self,
        snapshot: &mut Snapshot,
        left: &Mutex<VecDeque<(usize, &Window)>>,
        job: Uuid,
        driver: &impl Driver,
    ) -> Result<bool, ReconcileError> {
        let source = self.source(snapshot).await?;
        let filling = self.filling(&source, snapshot, Some(job));
        let deadline = Instant::now() + self.options.max_snapshot_age.saturating_sub(snapshot.age());
        let ended = AtomicBool::new(false);
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let work = snapshot.readers.iter_mut().map(|reader| async {
            // Each does at least one: a snapshot that took long to be passed is of some use.
            while let Some(window) = next() {
                if !filling.window(reader, window, driver).await? {
                    ended.store(true, Ordering::Relaxed);
                    break;
                }
                driver.done(window.0);
                if ended.load(Ordering::Relaxed) || Instant::now() >= deadline {
                    break;
                }
            }
            Ok::<_, ReconcileError>(())
        });
        try_join_all(work).await?;
        Ok(!ended.load(Ordering::Relaxed))
    }

    async fn source(&self, snapshot: &mut Snapshot) -> Result<Source<'_>, ReconcileError> {
        let Some(leader) = snapshot.readers.first_mut() else {
            return Err(refused(self.stream, "no connection reads the snapshot"));
        };
        Source::open(leader, self.stream, &self.range).await
    }

    fn filling<'f>(&'f self, source: &'f Source<'f>, snapshot: &Snapshot, job: Option<Uuid>) -> Filling<'f> {
        let position = Position::from(&snapshot.taken);
        Filling {
            backfill: self,
            source,
            rows: Rows { stream: self.stream, mapping: &self.mapping, position },
            visible: snapshot.visibility.condition(),
            job,
        }
    }

    /// The sum of the rows that ClickHouse has of the range.
    async fn there(&self, visible: &str) -> Result<i64, ReconcileError> {
        let range = (self.range.since_ms, self.range.until_ms);
        let rows = rows_between(self.stream, visible, &self.time, range);
        let sql = format!("SELECT sum(sign) FROM {rows} SETTINGS select_sequential_consistency = 1");
        let text = self.client.query_text(&sql, &[]).await?;
        text.trim().parse().map_err(|_| ReconcileError::Answer {
            server: "ClickHouse",
            found: text.chars().take(80).collect(),
        })
    }
}
