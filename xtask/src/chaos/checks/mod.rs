//! The oracle: one check per promise, over gathered evidence.
//!
//! Invariant: each check is a pure function of the evidence, or of what ClickHouse answers at rest, and fails alone
//! when only its promise is broken; the unit tests break the evidence to show it.

pub(super) mod accounting;
pub(super) mod aggregates;
pub(super) mod durable;
pub(super) mod letters;
pub(super) mod once;
pub(super) mod order;
#[cfg(test)]
mod tests;

use crate::compare::TableComparison;

/// How many findings are shown.
const SHOWN: usize = 5;

/// A check's verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// The promise.
    pub(super) promise: &'static str,
    /// How much was looked at.
    pub(super) figures: String,
    /// What breaks the promise; empty when it holds.
    pub(super) findings: u64,
    /// The first of them.
    pub(super) first: Vec<String>,
}

impl Check {
    pub(super) fn new(promise: &'static str, figures: String, findings: &[String]) -> Self {
        let first = findings.iter().take(SHOWN).cloned().collect();
        Self { promise, figures, findings: findings.len() as u64, first }
    }

    pub(super) fn holds(&self) -> bool {
        self.findings == 0
    }
}

/// Per key, the state in PostgreSQL is `sum(sign)` in ClickHouse.
pub(super) fn state(tables: &[TableComparison]) -> Check {
    let mut rows = 0;
    let (mut findings, mut first) = (0, Vec::new());
    for table in tables {
        rows += table.postgres_rows;
        findings += table.different;
        let name = table.table.name();
        first.extend(table.samples.iter().map(|(row, surplus)| format!("{name}: {row}: {surplus:+}")));
    }
    first.truncate(SHOWN);
    Check { promise: "state = sum(sign)", figures: format!("{rows} rows in PostgreSQL"), findings, first }
}
