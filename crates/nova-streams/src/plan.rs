//! What fills each column of a row: resolved once when a mapping is compiled, followed for every row.

use std::sync::atomic::{AtomicUsize, Ordering};

use nova_debezium::{Field, Row as SourceRow};

use crate::{Cell, ColumnType, FieldSource};

/// The columns that Nova fills itself, in every event table: which message made the row, and the row's weight. They
/// are the last cells of every row, in this order.
pub const LINEAGE_COLUMNS: [&str; 9] = [
    "sign",
    "event_id",
    "source_key",
    "source_lsn",
    "source_tx",
    "topic",
    "kafka_partition",
    "kafka_offset",
    "ordinal",
];

/// What fills one column.
#[derive(Debug)]
pub(crate) enum Plan {
    Field(FieldPlan),
    Constant(Cell<'static>),
    /// The envelope's own time, as ticks of 10⁻ᵖ s.
    Time(u8),
    Sign,
    EventId,
    SourceKey,
    SourceLsn,
    SourceTx,
    Topic,
    Partition,
    Offset,
    Ordinal,
}

/// A column filled from a field of the PostgreSQL row.
#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub(crate) source: FieldSource,
    pub(crate) lookup: Lookup,
    pub(crate) column: String,
    pub(crate) column_type: ColumnType,
    pub(crate) default: Option<Cell<'static>>,
}

/// Finds a field by name, first where it was found the last time: Debezium keeps the order of columns.
#[derive(Debug)]
pub(crate) struct Lookup {
    name: String,
    position: AtomicUsize,
}

impl Lookup {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), position: AtomicUsize::new(0) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn find<'r, 'a>(&self, row: &'r SourceRow<'a>) -> Option<&'r Field<'a>> {
        let hint = self.position.load(Ordering::Relaxed);
        let fields = row.fields();
        if let Some(field) = fields.get(hint).filter(|field| field.name() == self.name) {
            return Some(field);
        }
        let found = fields.iter().position(|field| field.name() == self.name)?;
        self.position.store(found, Ordering::Relaxed);
        fields.get(found)
    }
}

impl Plan {
    /// The plan and the type of a lineage column.
    pub(crate) fn lineage(name: &str) -> Option<(Self, ColumnType)> {
        Some(match name {
            "sign" => (Self::Sign, ColumnType::Int(8)),
            "event_id" => (Self::EventId, ColumnType::Uuid),
            "source_key" => (Self::SourceKey, ColumnType::Uuid),
            "source_lsn" => (Self::SourceLsn, ColumnType::UInt(64)),
            "source_tx" => (Self::SourceTx, ColumnType::UInt(64)),
            "topic" => (Self::Topic, ColumnType::String),
            "kafka_partition" => (Self::Partition, ColumnType::UInt(32)),
            "kafka_offset" => (Self::Offset, ColumnType::UInt(64)),
            "ordinal" => (Self::Ordinal, ColumnType::UInt(8)),
            _ => return None,
        })
    }
}
