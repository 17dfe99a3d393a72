//! The life of a batch as types: an illegal step has no method.

use std::collections::BTreeMap;

use super::Ranges;
use crate::Position;

/// How far the source had come in one partition before a batch, and after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// At the start of the batch's range.
    pub start: Position,
    /// At its end.
    pub end: Position,
}

/// Its ranges are fixed; nobody else knows of it yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Planned {
    pub(super) ranges: Ranges,
    pub(super) spans: BTreeMap<i32, Span>,
}

/// Every partition's committed metadata names it: it may be inserted now.
#[derive(Debug, PartialEq, Eq)]
pub struct Intended(Planned);

/// Its rows are in the table, once.
#[derive(Debug, PartialEq, Eq)]
pub struct Durable(pub(super) Planned);

impl Planned {
    /// Fixes the ranges of a batch; `spans` has one for each of their partitions.
    #[must_use]
    pub fn new(ranges: Ranges, spans: BTreeMap<i32, Span>) -> Self {
        Self { ranges, spans }
    }

    /// Only [`Ledger::intend`](super::Ledger::intend) makes a batch intended, together with the commit that says so.
    pub(super) fn intended(self) -> Intended {
        Intended(self)
    }

    pub(super) fn span(&self, partition: i32) -> Span {
        self.spans.get(&partition).cloned().unwrap_or_default()
    }
}

impl Intended {
    /// Its ranges.
    #[must_use]
    pub fn ranges(&self) -> &Ranges {
        &self.0.ranges
    }

    /// To be called when the table has all of its rows.
    #[must_use]
    pub fn durable(self) -> Durable {
        Durable(self.0)
    }
}
