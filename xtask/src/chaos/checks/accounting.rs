//! Every message is accounted for: it has rows, or it is an update that touched no mapped column, or it is a dead
//! letter; and the group has committed past it.
//!
//! Which messages there are is what the topics say, how many must be skipped is what the writers' book says.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::chaos::evidence::Evidence;
use crate::traffic::Table;

pub(in crate::chaos) fn check(evidence: &Evidence) -> Check {
    let mut findings = Vec::new();
    let (mut messages, mut with_rows, mut skipped) = (0, 0, 0);
    for table in Table::ALL {
        let name = table.name();
        let of_table = evidence.records.iter().filter(|record| record.table == table && !record.dead_letter);
        let records: BTreeMap<_, _> =
            of_table.map(|record| ((record.partition, record.offset), record.op.as_str())).collect();
        let rows: BTreeSet<_> =
            evidence.rows_of(table).iter().map(|event| (event.partition, event.offset)).collect();
        let invented = rows.iter().filter(|place| !records.contains_key(place));
        findings.extend(
            invented.map(|place| format!("cdc.{name}{place:?} has rows, and there is no such message")),
        );
        let without: Vec<_> = records.iter().filter(|(place, _)| !rows.contains(place)).collect();
        for (place, op) in without.iter().filter(|(_, op)| **op != "u") {
            findings.push(format!("cdc.{name}{place:?} (op {op}) has no rows"));
        }
        let updates = without.iter().filter(|(_, op)| **op == "u").count();
        let skips =
            evidence.changes.iter().filter(|change| change.table == table && change.is_skip()).count();
        if updates != skips {
            findings.push(format!(
                "cdc.{name}: {updates} updates have no rows, {skips} touched no mapped column"
            ));
        }
        findings.extend(not_committed(evidence, name, records.keys()));
        (messages, with_rows, skipped) =
            (messages + records.len(), with_rows + rows.len(), skipped + updates);
    }
    let letters = evidence.records.iter().filter(|record| record.dead_letter).count();
    if letters > 0 {
        findings.push(format!("{letters} dead letters, and nothing was poison"));
    }
    let figures =
        format!("{messages} messages = {with_rows} with rows + {skipped} skipped + {letters} dead letters");
    Check::new("every message accounted for", figures, &findings)
}

/// Partitions whose group has not committed past the last message.
fn not_committed<'a>(
    evidence: &Evidence,
    name: &str,
    places: impl Iterator<Item = &'a (u32, u64)>,
) -> Vec<String> {
    let topic = format!("cdc.{name}");
    let last: BTreeMap<u32, u64> = places.copied().collect();
    let committed = |partition: u32| {
        let at = evidence
            .committed
            .iter()
            .find(|at| at.topic == topic && u32::try_from(at.partition) == Ok(partition));
        at.and_then(|at| u64::try_from(at.offset).ok())
    };
    let behind =
        last.into_iter().filter(|(partition, last)| committed(*partition).is_none_or(|at| at <= *last));
    behind
        .map(|(partition, last)| {
            format!("{topic}[{partition}] ends with {last}, committed is {:?}", committed(partition))
        })
        .collect()
}
