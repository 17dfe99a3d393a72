//! The parts of a decoded message.
//!
//! Everything borrows from the record's bytes; a name with an escape in it is the only thing copied.

use std::borrow::Cow;

use crate::{Field, Row};

/// What happened to a row or a table (`op`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `c`: a row was inserted.
    Create,
    /// `u`: a row was updated; a changed primary key is a delete and a create instead.
    Update,
    /// `d`: a row was deleted.
    Delete,
    /// `r`: a row was read by an initial or incremental snapshot.
    Read,
    /// `t`: the table was truncated; no row images.
    Truncate,
    /// `m`: `pg_logical_emit_message`; see [`Change::logical`].
    Message,
}

impl Op {
    pub(crate) fn parse(code: &str) -> Option<Self> {
        Some(match code {
            "c" => Self::Create,
            "u" => Self::Update,
            "d" => Self::Delete,
            "r" => Self::Read,
            "t" => Self::Truncate,
            "m" => Self::Message,
            _ => return None,
        })
    }

    /// Debezium's letter for the operation.
    #[must_use]
    pub fn code(self) -> char {
        match self {
            Self::Create => 'c',
            Self::Update => 'u',
            Self::Delete => 'd',
            Self::Read => 'r',
            Self::Truncate => 't',
            Self::Message => 'm',
        }
    }
}

/// One committed change.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// What happened.
    pub op: Op,
    /// The row before the change. Whole with REPLICA IDENTITY FULL; with DEFAULT absent in updates, and in
    /// deletes only the key is filled.
    pub before: Option<Row<'a>>,
    /// The row after the change; always there for create, update and read.
    pub after: Option<Row<'a>>,
    /// Where in PostgreSQL the change comes from.
    pub source: Source<'a>,
    /// Position within the transaction; only with `provide.transaction.metadata=true`, never for snapshots.
    pub transaction: Option<TransactionPosition<'a>>,
    /// The logical message; always there for [`Op::Message`].
    pub logical: Option<LogicalMessage<'a>>,
}

/// The `source` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source<'a> {
    /// `topic.prefix` of the connector (`name`).
    pub server: Cow<'a, str>,
    /// Database.
    pub db: Cow<'a, str>,
    /// Schema of the table; empty for logical messages.
    pub schema: Cow<'a, str>,
    /// Table; empty for logical messages.
    pub table: Cow<'a, str>,
    /// Commit time in microseconds since 1970 (`ts_us`, else `ts_ms`); for snapshot reads the time of reading.
    pub ts_us: i64,
    /// Whether the row comes from a snapshot.
    pub snapshot: Snapshot,
    /// Transaction id as PostgreSQL sends it: 32 bits, it wraps around. Absent for incremental snapshots and
    /// non-transactional logical messages.
    pub tx_id: Option<u64>,
    /// Position of the change in the write-ahead log. Rows of one COPY share it. Absent for incremental snapshots.
    pub lsn: Option<u64>,
    /// `sequence`: orders changes across interleaved transactions.
    pub sequence: Sequence,
}

/// The `source.sequence` pair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence {
    /// Position of the last commit before the change; absent until the connector has seen one since its start, so
    /// the same change may carry another value after a restart.
    pub last_commit_lsn: Option<u64>,
    /// Position of the change; for incremental snapshots, of the window it was read in.
    pub lsn: Option<u64>,
}

/// The `source.snapshot` marker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Snapshot {
    /// Not from a snapshot.
    #[default]
    False,
    /// A row of the initial snapshot.
    True,
    /// The first row of the initial snapshot.
    First,
    /// The first row of a table in the initial snapshot.
    FirstInDataCollection,
    /// The last row of a table in the initial snapshot.
    LastInDataCollection,
    /// The last row of the initial snapshot.
    Last,
    /// A row of an incremental snapshot.
    Incremental,
}

impl Snapshot {
    pub(crate) fn parse(marker: &str) -> Option<Self> {
        Some(match marker {
            "false" => Self::False,
            "true" => Self::True,
            "first" => Self::First,
            "first_in_data_collection" => Self::FirstInDataCollection,
            "last_in_data_collection" => Self::LastInDataCollection,
            "last" => Self::Last,
            "incremental" => Self::Incremental,
            _ => return None,
        })
    }
}

/// The `transaction` block of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionPosition<'a> {
    /// `txId:LSN`, where the LSN is the change's own: changes of one transaction have different ids.
    pub id: Cow<'a, str>,
    /// Place among all changes of the transaction that the connector captures, from 1.
    pub total_order: u64,
    /// Place among the transaction's changes of the same table, from 1.
    pub data_collection_order: u64,
}

/// A message of `pg_logical_emit_message`.
#[derive(Debug, Clone)]
pub struct LogicalMessage<'a> {
    /// Its prefix.
    pub prefix: Cow<'a, str>,
    /// Its content, encoded as `binary.handling.mode` says; read it by [`Field::bytes`].
    pub content: Option<Field<'a>>,
}

/// A heartbeat of the connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// When the connector wrote it, in milliseconds since 1970.
    pub ts_ms: i64,
}

/// The begin or the end of a transaction, from the transaction topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionMarker<'a> {
    /// Begin or end.
    pub status: TransactionStatus,
    /// `txId:LSN`; begin and end of one transaction have different LSNs.
    pub id: Cow<'a, str>,
    /// Commit time in milliseconds since 1970.
    pub ts_ms: i64,
    /// How many changes the connector wrote for the transaction; only at its end.
    pub event_count: Option<u64>,
    /// The same per table (`schema.table`); empty at its begin.
    pub data_collections: Vec<(Cow<'a, str>, u64)>,
}

/// Whether a transaction begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// `BEGIN`
    Begin,
    /// `END`
    End,
}
