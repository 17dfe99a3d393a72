//! The life of a batch as types: an illegal step has no method.

use super::Ranges;

/// Its ranges are fixed; nobody else knows of it yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Planned(Ranges);

/// Every partition's committed metadata names it: it may be inserted now.
#[derive(Debug, PartialEq, Eq)]
pub struct Intended(Ranges);

/// Its rows are in the table, once.
#[derive(Debug, PartialEq, Eq)]
pub struct Durable(Ranges);

impl Planned {
    /// Fixes the ranges of a batch.
    #[must_use]
    pub fn new(ranges: Ranges) -> Self {
        Self(ranges)
    }

    /// Its ranges.
    #[must_use]
    pub fn ranges(&self) -> &Ranges {
        &self.0
    }

    /// Only [`Ledger::intend`](super::Ledger::intend) makes a batch intended, together with the commit that says so.
    pub(super) fn intended(self) -> Intended {
        Intended(self.0)
    }
}

impl Intended {
    /// A batch whose intent was found in committed metadata.
    #[must_use]
    pub fn found(intent: super::Intent) -> Self {
        Self(intent.ranges)
    }

    /// Its ranges.
    #[must_use]
    pub fn ranges(&self) -> &Ranges {
        &self.0
    }

    /// To be called when the table has all of its rows.
    #[must_use]
    pub fn durable(self) -> Durable {
        Durable(self.0)
    }
}

impl Durable {
    /// Its ranges.
    #[must_use]
    pub fn ranges(&self) -> &Ranges {
        &self.0
    }
}
