//! Applies a plan to one stream's table, in chunks.
//!
//! Invariant: a row is written once. Of each chunk the table is asked first what it has (by lineage); an entry of which it
//! lacks rows is compared again as of a fresh snapshot and these are written only if they are the difference. So a plan that was cut off goes on, and one that has become stale does no harm.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::ops::Range;

use nova_pipeline::{Block as _, Once, PipelineError, Sink};
use nova_streams::{ColumnType, Stream};
use serde::Serialize;
use thiserror::Error;
use uuid::Uuid;

use super::net::{net, rows_for};
use super::plan::{Entry, Plan, PlannedRow, StreamPlan};
use super::rows::{Columns, Places, RowError};
use crate::visibility::Position;
use crate::{Difference, SnapshotTaken};

/// Rows of a chunk: one insert, and one look at PostgreSQL before it.
const CHUNK_ROWS: usize = 5_000;

/// The differences of a stream as they are now.
pub trait Look: Sync {
    /// Why it could not be looked at.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Compares these ranges of time (milliseconds since 1970, half-open) as of a fresh snapshot, and lists every
    /// difference in them.
    fn look(
        &self,
        ranges_ms: &[(i64, i64)],
    ) -> impl Future<Output = Result<(SnapshotTaken, Vec<Difference>), Self::Error>> + Send;
}

/// What an application did to one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Rows of +1 that were written.
    pub added: u64,
    /// Rows of -1 that were written.
    pub removed: u64,
    /// Rows of the plan that the table had already.
    pub there: u64,
    /// Keys that were left alone, since what the plan says of them is no longer so.
    pub left_out: Vec<LeftOut>,
}

/// A key that was left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The row's identity.
    pub source_key: Uuid,
    /// Why.
    pub reason: String,
}

/// Why an application ended early. What was written stays, and the same plan can be applied again.
#[derive(Debug, Error)]
pub enum ApplyError<E: std::error::Error + 'static> {
    /// A row of the plan cannot be written.
    #[error(transparent)]
    Row(#[from] RowError),
    /// ClickHouse.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The comparison before writing.
    #[error("comparing again before writing: {0}")]
    Look(E),
}

/// One stream's part of a plan, its table, and how to look at the differences.
pub struct Application<'p, K, L> {
    plan: &'p Plan,
    stream: &'p StreamPlan,
    places: Places,
    columns: Columns<'p>,
    writer: Once<K>,
    look: &'p L,
}

/// Entries whose rows are inserted together: their indexes in the plan, and the places of their rows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chunk {
    entries: Range<usize>,
    places: Range<usize>,
}

impl<'p, K: Sink, L: Look> Application<'p, K, L> {
    /// `declared` is the stream as it is today, `columns` those of its mapping, lineage included.
    ///
    /// # Errors
    /// [`RowError::TooMany`].
    pub fn new(
        plan: &'p Plan,
        stream: &'p StreamPlan,
        (declared, columns): (&'p Stream, &'p [(String, ColumnType)]),
        sink: K,
        look: &'p L,
    ) -> Result<Self, RowError> {
        let places = Places::of(plan, stream)?;
        let writer = Once::new(&stream.stream, &stream.topic, sink);
        Ok(Self { plan, stream, places, columns: Columns::of(declared, columns), writer, look })
    }

    /// What [`Application::write`] would do now; nothing is written.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn preview(&self) -> Result<Applied, ApplyError<L::Error>> {
        self.run(false, &mut |_| {}).await
    }

    /// Writes what is still to be written. `progress` is told the number of rows that are dealt with.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn write(
        &self,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Applied, ApplyError<L::Error>> {
        self.run(true, progress).await
    }

    async fn run(
        &self,
        execute: bool,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Applied, ApplyError<L::Error>> {
        let mut applied = Applied::default();
        for chunk in chunks(&self.stream.entries) {
            self.chunk(&chunk, execute, &mut applied).await?;
            progress(chunk.places.end);
        }
        Ok(applied)
    }

    async fn chunk(
        &self,
        chunk: &Chunk,
        execute: bool,
        applied: &mut Applied,
    ) -> Result<(), ApplyError<L::Error>> {
        let entries = self.stream.entries.get(chunk.entries.clone()).unwrap_or_default();
        let ranges = self.places.ranges(chunk.places.clone());
        let there: BTreeSet<i64> = self.writer.present(&ranges).await?.iter().map(|row| row.offset).collect();
        if there.len() == chunk.places.len() {
            applied.there += u64::try_from(there.len()).unwrap_or(u64::MAX);
            return Ok(());
        }
        let ranges_ms = touched(entries);
        let (snapshot, differences) = self.look.look(&ranges_ms).await.map_err(ApplyError::Look)?;
        let differences: HashMap<Uuid, &Difference> =
            differences.iter().map(|difference| (difference.source_key, difference)).collect();
        let position = Position::from(&snapshot);

        let mut block = self.writer.block();
        let mut place = chunk.places.start;
        for entry in entries {
            let places = place..place + entry.rows.len();
            let lacks = |place: &usize| !there.contains(&self.places.offset(*place));
            let rows = entry.rows.iter().zip(places.clone());
            let lacking: Vec<&PlannedRow> =
                rows.filter(|(_, place)| lacks(place)).map(|(row, _)| row).collect();
            applied.there += u64::try_from(entry.rows.len() - lacking.len()).unwrap_or(u64::MAX);
            if lacking.is_empty() {
                // Done by an earlier application.
            } else if let Some(reason) = stale(&lacking, differences.get(&entry.source_key).copied()) {
                applied.left_out.push(LeftOut { source_key: entry.source_key, reason });
            } else if let Some(reason) = self.unwritable((place, entry), position)? {
                applied.left_out.push(LeftOut { source_key: entry.source_key, reason });
            } else {
                self.places.push(self.stream, (place, entry), &self.columns, position, &mut block)?;
                for row in lacking {
                    *(if row.sign > 0 { &mut applied.added } else { &mut applied.removed }) += 1;
                }
            }
            place = places.end;
        }
        if execute && block.rows() > 0 {
            let token = format!("repair-{}-{}", self.plan.plan_id, ranges.token(&self.stream.topic, ""));
            self.writer.insert(&block, &ranges, &token).await?;
        }
        Ok(())
    }

    /// Why an entry does not fit the table, if it does not: tried apart, so that no half of it is in the chunk's block.
    fn unwritable(
        &self,
        entry: (usize, &Entry),
        position: Position,
    ) -> Result<Option<String>, ApplyError<L::Error>> {
        let mut block = self.writer.block();
        match self.places.push(self.stream, entry, &self.columns, position, &mut block) {
            Ok(()) => Ok(None),
            Err(error @ (RowError::Value { .. } | RowError::Pipeline(_))) => Ok(Some(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

/// Why the rows that the table lacks of an entry must not be written, if they must not. Of one that was begun, the
/// comparison sees what is there already, so what is lacking must be the difference in this case, too.
fn stale(lacking: &[&PlannedRow], difference: Option<&Difference>) -> Option<String> {
    match difference {
        None => Some("both sides agree by now".to_owned()),
        Some(difference) if net(lacking.iter().copied()) == net(&rows_for(difference)) => None,
        Some(_) => Some("the difference is another one by now: reconcile and plan again".to_owned()),
    }
}

/// Consecutive entries with at most [`CHUNK_ROWS`] rows together; one with more is a chunk of its own.
fn chunks(entries: &[Entry]) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut place = 0;
    for (index, entry) in entries.iter().enumerate() {
        let end = place + entry.rows.len();
        match chunks.last_mut() {
            Some(chunk) if end - chunk.places.start <= CHUNK_ROWS => {
                chunk.entries.end = index + 1;
                chunk.places.end = end;
            }
            _ => chunks.push(Chunk { entries: index..index + 1, places: place..end }),
        }
        place = end;
    }
    chunks
}

/// The entries' windows, in order, overlapping and adjacent ones joined.
fn touched(entries: &[Entry]) -> Vec<(i64, i64)> {
    let mut ranges: Vec<(i64, i64)> = entries.iter().flat_map(|entry| entry.windows_ms.clone()).collect();
    ranges.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (from, to) in ranges {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}
