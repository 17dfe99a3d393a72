//! Planned rows as a block: the values from the plan, the lineage from the plan's name.
//!
//! Invariant: a row's lineage depends on the plan and on its place in it, and on nothing else. So the table can be
//! asked which rows of a plan it has, and a row is never written twice.

use std::collections::BTreeSet;
use std::ops::Range;

use nova_pipeline::{Block, MessageRows, PipelineError, REPAIR_PARTITION, Ranges, Standing};
use nova_streams::{Cell, ColumnType, LINEAGE_COLUMNS, Row, Stream};
use thiserror::Error;
use uuid::Uuid;

use super::cell::{CellTextError, bytes_from_text, cell_from_text};
use super::plan::{Entry, Plan, PlannedRow, StreamPlan};
use crate::cell_text::holds_bytes;
use crate::visibility::Position;

/// Bits of a row's place in its plan; the bits above them name the plan.
const PLACE_BITS: u32 = 20;

/// Why a planned row cannot be written.
#[derive(Debug, Error)]
pub enum RowError {
    /// The stream no longer declares what it declared.
    #[error(
        "stream `{stream}` declares the columns {declared}, and the plan has {planned}: the declaration was changed \
         after the plan was made. Reconcile again and make a new plan"
    )]
    Columns {
        /// The stream.
        stream: String,
        /// Its columns today.
        declared: String,
        /// Those of the plan.
        planned: String,
    },
    /// A value that the column does not hold.
    #[error("column `{column}`: {error}; this key must be repaired by hand")]
    Value {
        /// The column.
        column: String,
        /// What is wrong.
        error: CellTextError,
    },
    /// More rows than lineage has places for.
    #[error(
        "stream `{0}`: the plan has more rows than a plan can hold (1,048,575); make plans of fewer differences"
    )]
    TooMany(String),
    /// A value that the table does not hold.
    #[error("{0}; this key must be repaired by hand")]
    Pipeline(#[from] PipelineError),
}

/// The lineage of one stream's rows of a plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    plan_id: Uuid,
    base: i64,
}

/// The columns of a table as the stream writes them, lineage at their end.
#[derive(Debug)]
pub(super) struct Columns<'p> {
    all: &'p [(String, ColumnType)],
    /// Those that hold bytes.
    bytes: BTreeSet<&'p str>,
}

impl<'p> Columns<'p> {
    pub(super) fn of(declared: &'p Stream, all: &'p [(String, ColumnType)]) -> Self {
        let names = all.iter().map(|(name, _)| name.as_str());
        Self { all, bytes: names.filter(|name| holds_bytes(declared, name)).collect() }
    }
}

impl Places {
    pub(super) fn of(plan: &Plan, stream: &StreamPlan) -> Result<Self, RowError> {
        let rows: usize = stream.entries.iter().map(|entry| entry.rows.len()).sum();
        if rows >= 1 << PLACE_BITS {
            return Err(RowError::TooMany(stream.stream.clone()));
        }
        // The plan's bits fill what a positive offset leaves free.
        let bits = plan.plan_id.as_u64_pair().0 >> (PLACE_BITS + 1);
        let base = i64::try_from(bits << PLACE_BITS).unwrap_or_default();
        Ok(Self { plan_id: plan.plan_id, base })
    }

    /// Offsets of the rows at these places.
    pub(super) fn ranges(self, places: Range<usize>) -> Ranges {
        [(REPAIR_PARTITION, self.offset(places.start)..self.offset(places.end))].into_iter().collect()
    }

    pub(super) fn offset(self, place: usize) -> i64 {
        self.base.saturating_add(i64::try_from(place).unwrap_or(i64::MAX))
    }

    fn event_id(self, stream: &str, place: usize) -> Uuid {
        Uuid::new_v5(&self.plan_id, format!("{stream}/{place}").as_bytes())
    }

    /// Appends an entry's rows, the first of which stands at `place`.
    pub(super) fn push(
        self,
        stream: &StreamPlan,
        (place, entry): (usize, &Entry),
        columns: &Columns<'_>,
        position: Position,
        block: &mut impl Block,
    ) -> Result<(), RowError> {
        for (index, planned) in entry.rows.iter().enumerate() {
            let place = place.saturating_add(index);
            let (event_id, offset) = (self.event_id(&stream.stream, place), self.offset(place));
            let mut row = declared(stream, planned, columns)?;
            for name in LINEAGE_COLUMNS {
                row.push(match name {
                    "sign" => Cell::Int(planned.sign.into()),
                    "event_id" => Cell::Uuid(event_id),
                    "source_key" => Cell::Uuid(entry.source_key),
                    "source_lsn" => Cell::UInt(position.lsn),
                    "source_tx" => Cell::UInt(position.tx),
                    "topic" => Cell::Text(stream.topic.as_str().into()),
                    "kafka_partition" => Cell::UInt(REPAIR_PARTITION.unsigned_abs().into()),
                    "kafka_offset" => Cell::UInt(offset.unsigned_abs()),
                    _ => Cell::UInt(0),
                });
            }
            block.push(&MessageRows {
                partition: REPAIR_PARTITION,
                offset,
                event_id,
                lsn: position.lsn,
                standing: Standing::New,
                rows: &[row],
            })?;
        }
        Ok(())
    }
}

/// The declared columns' cells, in the order of the stream's mapping.
fn declared<'p>(
    stream: &StreamPlan,
    planned: &'p PlannedRow,
    Columns { all, bytes }: &Columns<'_>,
) -> Result<Row<'p>, RowError> {
    let count = all.len().saturating_sub(LINEAGE_COLUMNS.len());
    let (columns, _) = all.split_at_checked(count).unwrap_or((all, &[]));
    let mut names: Vec<&str> = planned.columns.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    let mut wanted: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    wanted.sort_unstable();
    if names != wanted {
        return Err(RowError::Columns {
            stream: stream.stream.clone(),
            declared: wanted.join(", "),
            planned: names.join(", "),
        });
    }
    let mut row = Vec::with_capacity(columns.len() + LINEAGE_COLUMNS.len());
    for (name, column_type) in columns {
        let value = planned.columns.iter().find(|column| column.name == *name);
        let read = if bytes.contains(name.as_str()) { bytes_from_text } else { cell_from_text };
        let cell = read(value.and_then(|column| column.value.as_deref()), column_type);
        row.push(cell.map_err(|error| RowError::Value { column: name.clone(), error })?);
    }
    Ok(row)
}
