//! One window: its rows are read, held against ClickHouse and written, a chunk at a time.
//!
//! Invariant: what is written of a chunk is what the table lacked of it as of the snapshot. A chunk's token is a function
//! of job, window and place, and its rows' lineage of the rows: whatever another attempt has sent, the table ends with each
//! row once.

use std::ops::AddAssign;

use nova_pipeline::{BACKFILL_PARTITION, Block as _, Ranges};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::rows::Rows;
use super::run::{Backfill, Driver};
use super::source::{Fetched, Source};
use super::window::Window;
use crate::ReconcileError;

/// Rows of a chunk: one question and one insert.
pub(super) const CHUNK_ROWS: usize = 50_000;
/// Keys that are named; the others are counted.
const NAMED: usize = 100;

/// What became of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filled {
    /// Rows of PostgreSQL that were read.
    pub read: u64,
    /// Rows that ClickHouse lacked: they were written, or would be.
    pub written: u64,
    /// Rows that ClickHouse had.
    pub there: u64,
    /// Rows that were changed or deleted in PostgreSQL before they came into ClickHouse: written, so that what the stream
    /// has taken back of them sums up to nothing.
    #[serde(default)]
    pub completed: u64,
    /// Keys that ClickHouse has in another state, in several, or more than once; they were left alone.
    pub differing: u64,
    /// Rows that the mapping refuses.
    pub refused: u64,
    /// Some of the last two, by name.
    pub named: Vec<Named>,
}

/// A key that was left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The key: `source_key` of the table, or the key's own values where the mapping refuses the row.
    pub key: String,
    /// Why.
    pub reason: String,
}

impl AddAssign for Filled {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.written += other.written;
        self.there += other.there;
        self.completed += other.completed;
        self.differing += other.differing;
        self.refused += other.refused;
        let free = NAMED.saturating_sub(self.named.len());
        self.named.extend(other.named.into_iter().take(free));
    }
}

impl Filled {
    fn name(&mut self, key: String, reason: String) {
        if self.named.len() < NAMED {
            self.named.push(Named { key, reason });
        }
    }
}

/// What the windows of one snapshot have in common.
pub(super) struct Filling<'a> {
    pub(super) backfill: &'a Backfill<'a>,
    pub(super) source: &'a Source<'a>,
    pub(super) rows: Rows<'a>,
    /// ClickHouse's condition for rows that the snapshot sees.
    pub(super) visible: String,
    /// Names the inserts; `None`: nothing is written.
    pub(super) job: Option<Uuid>,
}

impl Filling<'_> {
    /// Fills a window; `false` if it was ended before its end.
    pub(super) async fn window(
        &self,
        reader: &mut PgConnection,
        (number, window): (usize, &Window),
        driver: &impl Driver,
    ) -> Result<bool, ReconcileError> {
        self.complete((number, window), driver).await?;
        self.source.declare(reader, window).await?;
        let mut chunk = 0_usize;
        loop {
            let fetched = self.source.fetch(reader, CHUNK_ROWS).await?;
            if fetched.is_empty() {
                break;
            }
            let filled = self.chunk(&fetched, &format!("{number}-{chunk}")).await?;
            driver.filled(number, &filled);
            chunk += 1;
            if !driver.go_on(fetched.len()).await {
                self.source.close(reader).await?;
                return Ok(false);
            }
        }
        self.source.close(reader).await?;
        Ok(true)
    }

    /// Writes what was taken back in this range of time before it had come: rows that the application changed or deleted
    /// while ClickHouse lacked them.
    async fn complete(
        &self,
        (number, window): (usize, &Window),
        driver: &impl Driver,
    ) -> Result<(), ReconcileError> {
        let Backfill { stream, sink, writer, time, .. } = self.backfill;
        let Some(job) = self.job else { return Ok(()) };
        let condition = format!("{}{}", self.visible, time.between(window.range()));
        let mut former = Vec::new();
        for page in 0_usize.. {
            let time_ms = time.milliseconds();
            let ask = || sink.taken_back(&stream.topic, &condition, &time_ms, CHUNK_ROWS);
            let found = writer.asked("states", ask).await?;
            let is_last = found.len() < CHUNK_ROWS;
            if found.is_empty() {
                break;
            }
            if found == former {
                let reason = format!("`{}` takes rows and has them not; look at its log", stream.table);
                return Err(ReconcileError::Refused { stream: stream.name.clone(), reason });
            }
            let mut block = writer.block();
            for state in &found {
                self.rows.complete(state, &mut block)?;
            }
            let token = format!("backfill-{job}-{number}-c{page}");
            writer.insert(&block, &ranges(&block, &stream.topic)?, &token).await?;
            driver.filled(number, &Filled { completed: block.rows() as u64, ..Filled::default() });
            if is_last {
                break;
            }
            former = found;
        }
        Ok(())
    }

    /// Fills with some rows; `place` tells the chunk from the others of its job.
    pub(super) async fn chunk(&self, fetched: &[Fetched], place: &str) -> Result<Filled, ReconcileError> {
        let Backfill { stream, sink, writer, time, .. } = self.backfill;
        let mut filled = Filled { read: fetched.len() as u64, ..Filled::default() };
        let mut block = writer.block();
        for (key, image, time_ms) in fetched {
            if let Err(reason) = self.rows.push(image, *time_ms, &mut block) {
                filled.refused += 1;
                let key: Vec<&str> = key.iter().map(|text| text.as_deref().unwrap_or("NULL")).collect();
                filled.name(key.join(", "), format!("the mapping refuses it: {reason}"));
            }
        }
        let times: Option<Vec<i64>> = fetched.iter().map(|(_, _, time_ms)| *time_ms).collect();
        let near = match times.as_deref() {
            Some([first, .., last]) => time.near(*first, *last),
            Some([only]) => time.near(*only, *only),
            _ => "1".to_owned(),
        };
        let ask = || sink.known(&stream.topic, &block, &self.visible, &near);
        let known = writer.asked("states", ask).await?;
        filled.there = known.there;
        filled.differing = known.differing.len() as u64;
        for key in &known.differing {
            filled
                .name(key.to_string(), "ClickHouse has another state of it, or this one not once".to_owned());
        }
        filled.written = known.lacking.rows() as u64;
        if let Some(job) = self.job
            && known.lacking.rows() > 0
        {
            let token = format!("backfill-{job}-{place}");
            writer.insert(&known.lacking, &ranges(&known.lacking, &stream.topic)?, &token).await?;
        }
        Ok(filled)
    }
}

/// The offsets of a block's rows.
fn ranges(block: &nova_clickhouse::RowBinaryBlock, topic: &str) -> Result<Ranges, ReconcileError> {
    let rows = block.plain(topic)?;
    let offsets = || rows.iter().map(|row| row.id.offset);
    let range = offsets().min().zip(offsets().max()).map(|(first, last)| first..last.saturating_add(1));
    Ok(range.map(|range| (BACKFILL_PARTITION, range)).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_names_are_bounded() {
        let mut sum = Filled::default();
        for chunk in 0..3_u64 {
            let mut filled =
                Filled { read: 10, written: 4, there: 3, differing: 2, refused: 1, ..Filled::default() };
            (0..60).for_each(|key| filled.name(format!("{chunk}-{key}"), String::new()));
            sum += filled;
        }
        assert_eq!((sum.read, sum.written, sum.there, sum.differing, sum.refused), (30, 12, 9, 6, 3));
        assert_eq!((sum.named.len(), sum.named[99].key.as_str()), (NAMED, "1-39"));
    }
}
