//! Per key, the order of rows by partition, offset and ordinal is commit order.
//!
//! Keys whose rows are missing or doubled are another check's matter and left out here.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::chaos::evidence::Evidence;
use crate::chaos::ledger::key_of;
use crate::traffic::Table;

type Versions<'a> = Vec<(i8, &'a str)>;

pub(in crate::chaos) fn check(evidence: &Evidence) -> Check {
    let mut committed: BTreeMap<(Table, &str), Versions<'_>> = BTreeMap::new();
    for change in &evidence.changes {
        for (sign, row) in change.rows() {
            committed.entry((change.table, key_of(change.table, row))).or_default().push((sign, row));
        }
    }
    let mut arrived: BTreeMap<(Table, &str), (BTreeSet<u32>, Versions<'_>)> = BTreeMap::new();
    for (table, rows) in &evidence.rows {
        let mut rows: Vec<_> = rows.iter().collect();
        rows.sort();
        for event in rows {
            let (partitions, versions) = arrived.entry((*table, key_of(*table, &event.row))).or_default();
            partitions.insert(event.partition);
            versions.push((event.sign, &event.row));
        }
    }
    let mut findings = Vec::new();
    for ((table, key), (partitions, versions)) in &arrived {
        let name = table.name();
        if partitions.len() > 1 {
            findings.push(format!("{name}: {key} is in the partitions {partitions:?}"));
        } else if let Some(in_order) = committed.get(&(*table, *key))
            && versions != in_order
            && sorted(versions) == sorted(in_order)
        {
            findings.push(format!("{name}: {key}: {versions:?}, committed as {in_order:?}"));
        }
    }
    let several = committed.values().filter(|versions| versions.len() > 1).count();
    let figures = format!("{} keys, {several} with several versions", committed.len());
    Check::new("order per key = commit order", figures, &findings)
}

fn sorted<'a>(versions: &Versions<'a>) -> Versions<'a> {
    let mut versions = versions.clone();
    versions.sort_unstable();
    versions
}
