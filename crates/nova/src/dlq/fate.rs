//! What becomes of a letter, and how that is told.

use nova_clickhouse::RowBinaryBlock;
use nova_pipeline::Block as _;
use serde::Serialize;

use super::scan::{Entry, Status};

/// What becomes of a letter.
#[derive(Debug)]
pub enum Fate {
    /// Its message becomes rows; the table has some of them already.
    Rows {
        /// Those that it lacks; at least one.
        block: RowBinaryBlock,
        /// How many it has.
        there: usize,
    },
    /// The table has all rows of its message.
    There(usize),
    /// Its message needs no rows, for this reason.
    Skipped(&'static str),
    /// Its message cannot become rows today.
    Open {
        /// Why.
        reason: String,
        /// Where in the message.
        path: String,
    },
    /// It is given up, for this reason.
    Discarded(String),
    /// Something was done before, and nothing is done now.
    Settled(Status),
}

/// One letter's fate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// `topic/partition/offset` of the message.
    pub message: String,
    /// Its stream.
    pub stream: String,
    /// In one word.
    pub outcome: &'static str,
    /// Rows to write, or that are there.
    pub rows: usize,
    /// Why.
    pub reason: String,
    /// Where in the message.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

impl Fate {
    /// A letter that stays open for a reason that lies outside of its message.
    pub fn open(reason: impl Into<String>) -> Self {
        Self::Open { reason: reason.into(), path: String::new() }
    }
}

impl Told {
    /// The fate of that letter.
    pub fn of(entry: &Entry, fate: &Fate) -> Self {
        let (outcome, rows, reason, path) = match fate {
            Fate::Rows { block, .. } => ("rows", block.rows(), String::new(), String::new()),
            Fate::There(rows) => ("there", *rows, "the table has its rows".to_owned(), String::new()),
            Fate::Skipped(reason) => ("skipped", 0, (*reason).to_owned(), String::new()),
            Fate::Open { reason, path } => ("open", 0, reason.clone(), path.clone()),
            Fate::Discarded(reason) => ("discarded", 0, reason.clone(), String::new()),
            Fate::Settled(Status::Retried) => ("settled", 0, "retried before".to_owned(), String::new()),
            Fate::Settled(_) => ("settled", 0, "discarded before".to_owned(), String::new()),
        };
        let stream = entry.stored.letter.stream.clone();
        Self { message: entry.place().to_string(), stream, outcome, rows, reason, path }
    }
}
