//! What an audit found, as data: the one form that text and JSON are made of.
//!
//! Invariant: in each partition `offsets = rows + skipped + dead_letters + gaps + wrong`. Its JSON form has a version
//! (`schemas/reports/audit/v1.json`).

use std::collections::BTreeMap;

use nova_streams::SkipReason;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Texts;

/// The version of the JSON form.
pub const AUDIT_VERSION: u32 = 1;

/// One run over one or more streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReport {
    /// [`AUDIT_VERSION`].
    pub version: u32,
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended, in milliseconds since 1970.
    pub finished_ms: i64,
    /// The version of `nova` that ran.
    pub nova_version: String,
    /// One entry per stream.
    pub streams: Vec<StreamAudit>,
}

/// What was found about one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamAudit {
    /// The stream's name.
    pub stream: String,
    /// Its consumer group.
    pub group: String,
    /// Its topic.
    pub topic: String,
    /// The ClickHouse table, without its database.
    pub table: String,
    /// What it comes to.
    pub verdict: AuditVerdict,
    /// By partition, ascending.
    pub partitions: Vec<PartitionAudit>,
    /// Rows of the topic that `nova repair` wrote, over all time; they are no message's, and no finding.
    pub repair_rows: u64,
    /// The same of `nova backfill`.
    #[serde(default)]
    pub backfill_rows: u64,
    /// Findings by kind, also those that are not listed.
    pub tally: BTreeMap<FindingKind, u64>,
    /// The findings, up to the run's limit, in the order of partitions and offsets.
    pub findings: Vec<Finding>,
    /// Whether `findings` holds all of them.
    pub listed_all: bool,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

/// What an audit comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditVerdict {
    /// Every offset is accounted for.
    Agrees,
    /// Not all of what was asked for could be read.
    Incomplete,
    /// There are findings.
    Findings,
}

/// What was found about one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionAudit {
    /// The partition.
    pub partition: i32,
    /// The first offset that was audited.
    pub from: i64,
    /// The offset behind the last one that was audited.
    pub to: i64,
    /// Offsets that were asked for and that the topic no longer holds, from and to.
    pub lost: Option<[i64; 2]>,
    /// The group's committed offset at the start; `None`: it never committed here.
    pub committed: Option<i64>,
    /// What became of the offsets.
    pub counts: Counts,
    /// Why the audit ended before it was to.
    pub incomplete: Option<String>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

/// Offsets by what became of them, and rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Offsets in the range.
    pub offsets: u64,
    /// Messages whose rows are all there, once, and equal.
    pub rows: u64,
    /// Rows of the table in the range.
    pub table_rows: u64,
    /// Messages that rightly have no rows, by [`SkipReason::name`].
    pub skipped: BTreeMap<String, u64>,
    /// Messages that lie in the dead-letter topic and have no rows.
    pub dead_letters: u64,
    /// Offsets of no message: markers of transactions, and messages of aborted ones.
    pub gaps: u64,
    /// Offsets with findings.
    pub wrong: u64,
}

/// What is wrong at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A row that the message makes is not there.
    Missing,
    /// The row is there more than once, or other messages of the same change have rows, too.
    Doubled,
    /// A row that the message does not make.
    Unexpected,
    /// The row is there, with other values.
    Altered,
    /// Rows at an offset where the topic has no message.
    NoMessage,
    /// The message cannot become rows, and is not in the dead-letter topic.
    LetterMissing,
    /// A message at which the stream, as it is declared today, would halt.
    Halts,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Which of the message's rows; `None` where the whole message is meant.
    pub ordinal: Option<u8>,
    /// The event that the message, or the row, tells; `None` where it tells none.
    pub event_id: Option<Uuid>,
    /// How many rows there are like it.
    pub times: u64,
    /// The columns that differ, for [`FindingKind::Altered`].
    pub columns: Vec<AlteredColumn>,
    /// What else there is to say; empty when the kind says all.
    pub reason: String,
}

/// A column with another value than the message says; values in ClickHouse's text form, `None` is NULL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlteredColumn {
    /// The column's name.
    pub name: String,
    /// What the message says.
    pub expected: Option<String>,
    /// What the table has.
    pub found: Option<String>,
}

impl StreamAudit {
    /// Tells the values of these columns in words; see [`Texts`].
    pub fn leave_out_texts(&mut self, columns: &[String]) {
        for finding in &mut self.findings {
            let mut texts = Texts::default();
            for column in finding.columns.iter_mut().filter(|column| columns.contains(&column.name)) {
                texts.in_words(&mut column.expected);
                texts.in_words(&mut column.found);
            }
        }
    }
}

impl AuditReport {
    /// The worst verdict of its streams.
    #[must_use]
    pub fn verdict(&self) -> AuditVerdict {
        let has = |verdict| self.streams.iter().any(|stream| stream.verdict == verdict);
        [AuditVerdict::Findings, AuditVerdict::Incomplete]
            .into_iter()
            .find(|verdict| has(*verdict))
            .unwrap_or(AuditVerdict::Agrees)
    }
}

impl StreamAudit {
    /// Findings of all kinds.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.tally.values().sum()
    }
}

impl Counts {
    /// Counts a message that rightly has no rows.
    pub(super) fn skip(&mut self, reason: SkipReason) {
        *self.skipped.entry(reason.name().to_owned()).or_default() += 1;
    }

    /// Offsets that are accounted for, one way or another.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.rows + self.skipped.values().sum::<u64>() + self.dead_letters + self.gaps + self.wrong
    }

    /// Adds those of another part.
    pub(super) fn add(&mut self, other: Self) {
        self.offsets += other.offsets;
        self.rows += other.rows;
        self.table_rows += other.table_rows;
        self.dead_letters += other.dead_letters;
        self.gaps += other.gaps;
        self.wrong += other.wrong;
        for (reason, messages) in other.skipped {
            *self.skipped.entry(reason).or_default() += messages;
        }
    }
}

impl FindingKind {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Doubled => "doubled",
            Self::Unexpected => "unexpected",
            Self::Altered => "altered",
            Self::NoMessage => "no message",
            Self::LetterMissing => "letter missing",
            Self::Halts => "halts",
        }
    }
}
