//! Each committed change is there exactly once, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::chaos::evidence::{EventRows, Evidence};
use crate::chaos::ledger::Change;
use crate::traffic::Table;

/// A row that ClickHouse has more often (`surplus` above 0) or less often than was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::chaos) struct Difference {
    pub(in crate::chaos) table: Table,
    pub(in crate::chaos) row: String,
    pub(in crate::chaos) sign: i8,
    pub(in crate::chaos) surplus: i64,
}

/// The differences between the rows that the changes must leave and the rows that are there.
pub(in crate::chaos) fn differences(changes: &[Change], rows: &EventRows) -> Vec<Difference> {
    let mut surplus: BTreeMap<(Table, &str, i8), i64> = BTreeMap::new();
    for change in changes {
        for (sign, row) in change.rows() {
            *surplus.entry((change.table, row, sign)).or_default() -= 1;
        }
    }
    for (table, rows) in rows {
        for event in rows {
            *surplus.entry((*table, &event.row, event.sign)).or_default() += 1;
        }
    }
    let differing = surplus.into_iter().filter(|(_, surplus)| *surplus != 0);
    differing
        .map(|((table, row, sign), surplus)| Difference { table, row: row.to_owned(), sign, surplus })
        .collect()
}

/// Rows that name the same message and ordinal as another.
fn doubled(rows: &EventRows) -> Vec<String> {
    let mut findings = Vec::new();
    for (table, rows) in rows {
        let mut seen = BTreeSet::new();
        for event in rows {
            if !seen.insert((event.partition, event.offset, event.ordinal)) {
                let (name, place) = (table.name(), (event.partition, event.offset, event.ordinal));
                findings.push(format!(
                    "{name}: two rows of (partition, offset, ordinal) {place:?}: {}",
                    event.row
                ));
            }
        }
    }
    findings
}

pub(in crate::chaos) fn check(evidence: &Evidence) -> Check {
    let differences = differences(&evidence.changes, &evidence.rows);
    let missing = differences.iter().filter(|difference| difference.surplus < 0).count();
    let doubled = doubled(&evidence.rows);
    let figures = format!(
        "{} committed changes, {} event rows; {missing} missing, {} too many, {} of one message twice",
        evidence.changes.len(),
        evidence.rows.values().map(Vec::len).sum::<usize>(),
        differences.len() - missing,
        doubled.len()
    );
    let describe = |difference: &Difference| {
        let Difference { table, row, sign, surplus } = difference;
        format!("{}: {sign:+} {row}: {surplus:+}", table.name())
    };
    let findings: Vec<String> = differences.iter().map(describe).chain(doubled).collect();
    Check::new("each change exactly once", figures, &findings)
}
