//! What a reconciliation found, as data: the one form that text, JSON, HTML, history, metrics and repair read.
//!
//! Invariant: everything that a person needs to look for themselves is in it, and its JSON form has a version
//! (`schemas/reports/reconcile/v1.json`). Values are in ClickHouse's own text form, so that both sides can be compared
//! and written again without knowing PostgreSQL's types.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The version of the JSON form.
pub const REPORT_VERSION: u32 = 1;

/// One run over one or more streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// Names the run in history, plans and audit entries.
    pub run_id: Uuid,
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended, in milliseconds since 1970.
    pub finished_ms: i64,
    /// The version of `nova` that ran.
    pub nova_version: String,
    /// What was compared.
    pub scope: Scope,
    /// One entry per stream, in the order of their names.
    pub streams: Vec<StreamReport>,
}

/// What a run was asked to compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Rows whose time is at or after this, in milliseconds since 1970; `None`: from the first one.
    pub since_ms: Option<i64>,
    /// Rows whose time is before this, in milliseconds since 1970; `None`: to the last one.
    pub until_ms: Option<i64>,
    /// Only windows touched since the last good run.
    pub incremental: bool,
}

/// What was found about one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamReport {
    /// The stream's name.
    pub stream: String,
    /// The PostgreSQL table, `schema.table`.
    pub source: String,
    /// The ClickHouse table, without its database.
    pub table: String,
    /// The topic whose rows were compared.
    pub topic: String,
    /// The columns that identify a row in PostgreSQL.
    pub key: Vec<String>,
    /// The PostgreSQL column with the row's time; windows are ranges of it.
    pub time: String,
    /// The ClickHouse column that holds that time.
    pub table_time: String,
    /// What it comes to.
    pub verdict: Verdict,
    /// Why the comparison did not come to an end, for [`Verdict::Incomplete`].
    pub reason: Option<String>,
    /// What was left out of the comparison, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The snapshots that windows were compared as of; a long run takes several.
    pub snapshots: Vec<SnapshotTaken>,
    /// All windows in the order of time. Together they cover the scope without a gap.
    pub windows: Vec<Window>,
    /// Differences by kind, also those that are not listed.
    pub tally: Tally,
    /// The differences, up to the run's limit of listed keys, in the order of windows.
    pub differences: Vec<Difference>,
    /// Whether `differences` holds all of them.
    pub listed_all: bool,
    /// Columns of text whose values are told in words and not shown; see [`StreamReport::leave_out_texts`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Both sides are equal.
    Equal,
    /// There are differences, and each of them is explained by a dead letter.
    Explained,
    /// There are differences.
    Different,
    /// Not all windows could be compared.
    Incomplete,
}

/// A PostgreSQL snapshot, as `pg_current_snapshot()` tells it (64-bit transaction ids).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotTaken {
    /// When it was taken, in milliseconds since 1970.
    pub taken_ms: i64,
    /// Position in the write-ahead log that slot and consumer group had to pass.
    pub lsn: u64,
    /// Below this every transaction is visible or rolled back.
    pub xmin: u64,
    /// From this on no transaction is visible.
    pub xmax: u64,
    /// Transactions between the two that were running.
    pub running: Vec<u64>,
    /// How long slot and consumer group took to pass it, in milliseconds.
    pub waited_ms: u64,
}

/// A range of time with both sides' sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First millisecond since 1970.
    pub from_ms: i64,
    /// Millisecond after the last one.
    pub to_ms: i64,
    /// Index into the stream's snapshots.
    pub snapshot: usize,
    /// What PostgreSQL has.
    pub postgres: Side,
    /// What ClickHouse has.
    pub clickhouse: Side,
    /// Differences found inside it, by kind; all zero for equal sides.
    pub tally: Tally,
}

/// One side of a window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Rows; in ClickHouse `sum(sign)`.
    pub rows: i64,
    /// The order-free sum over the rows' hashes, as a decimal number (it takes more than 64 bits); empty when the
    /// window was not compared.
    pub checksum: String,
}

/// Differences by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Keys that PostgreSQL has and ClickHouse lacks.
    pub missing: u64,
    /// Keys that ClickHouse has and PostgreSQL lacks.
    pub extra: u64,
    /// Keys whose state ClickHouse has more than once.
    pub doubled: u64,
    /// Keys that both have, with other values.
    pub different: u64,
    /// Those of the above that a dead letter explains.
    pub explained: u64,
}

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// PostgreSQL has it, ClickHouse lacks it.
    Missing,
    /// ClickHouse has it, PostgreSQL lacks it.
    Extra,
    /// ClickHouse has the state more than once.
    Doubled,
    /// Both have it, with other values.
    Different,
}

/// One key on which the two sides differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What is wrong.
    pub kind: DifferenceKind,
    /// Index into the stream's windows: where PostgreSQL has the key, or ClickHouse, if PostgreSQL lacks it.
    pub window: usize,
    /// The row's identity, the `source_key` of ClickHouse.
    pub source_key: Uuid,
    /// The key's columns as PostgreSQL has them, as text; empty when only ClickHouse has the key.
    pub key: Vec<Column>,
    /// The row as PostgreSQL has it and the stream's mapping makes of it: every column that the stream declares.
    pub postgres: Option<Vec<Column>>,
    /// What ClickHouse has of the key: every state whose sum is not zero.
    pub clickhouse: Vec<TableRow>,
    /// The dead letter that explains it.
    pub explained: Option<Explanation>,
}

/// A state of a key in ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRow {
    /// `sum(sign)` over its rows: 1 where all is well; 2 for a doubled row, -1 for a delete without its insert.
    pub sum: i64,
    /// Every column that the stream declares.
    pub columns: Vec<Column>,
    /// Messages that its rows came from, as `topic/partition/offset`; at most ten.
    pub messages: Vec<String>,
}

/// A column and its value, in ClickHouse's text form; `None` is NULL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// Its value.
    pub value: Option<String>,
}

/// The dead letter that explains a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The message that became a dead letter, as `topic/partition/offset`.
    pub message: String,
    /// Its reason.
    pub reason: String,
}

impl Report {
    /// The worst verdict of its streams; [`Verdict::Equal`] for none.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let severity = |verdict: Verdict| match verdict {
            Verdict::Equal => 0,
            Verdict::Explained => 1,
            Verdict::Incomplete => 2,
            Verdict::Different => 3,
        };
        self.streams
            .iter()
            .map(|stream| stream.verdict)
            .max_by_key(|v| severity(*v))
            .unwrap_or(Verdict::Equal)
    }
}

impl Window {
    /// Whether both sides were read.
    #[must_use]
    pub fn compared(&self) -> bool {
        !(self.postgres.checksum.is_empty() || self.clickhouse.checksum.is_empty())
    }
}

impl Verdict {
    /// Its name in JSON, in history and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Explained => "explained",
            Self::Different => "different",
            Self::Incomplete => "incomplete",
        }
    }
}

impl DifferenceKind {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 4] = [Self::Missing, Self::Extra, Self::Doubled, Self::Different];

    /// Its name in JSON and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Doubled => "doubled",
            Self::Different => "different",
        }
    }
}

impl Tally {
    /// Differences of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.missing + self.extra + self.doubled + self.different
    }

    /// Differences of one kind.
    #[must_use]
    pub fn of(&self, kind: DifferenceKind) -> u64 {
        match kind {
            DifferenceKind::Missing => self.missing,
            DifferenceKind::Extra => self.extra,
            DifferenceKind::Doubled => self.doubled,
            DifferenceKind::Different => self.different,
        }
    }

    /// Counts differences of a kind.
    pub fn add(&mut self, kind: DifferenceKind, count: u64) {
        let of_kind = match kind {
            DifferenceKind::Missing => &mut self.missing,
            DifferenceKind::Extra => &mut self.extra,
            DifferenceKind::Doubled => &mut self.doubled,
            DifferenceKind::Different => &mut self.different,
        };
        *of_kind += count;
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.missing += other.missing;
        self.extra += other.extra;
        self.doubled += other.doubled;
        self.different += other.different;
        self.explained += other.explained;
    }
}
