//! Every message is accounted for: it has rows; or it is an update that touched no mapped column; or it repeats a
//! change that an earlier message told; or it is a snapshot's read of a row whose state was there; or it is poison.
//! And the group has committed past it.
//!
//! Which messages there are is what the topics say, how many must be skipped is what the writers' book says.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::chaos::evidence::{EventRow, Evidence};
use crate::chaos::ledger::key_of;
use crate::chaos::messages::Record;
use crate::traffic::Table;

#[derive(Default)]
struct Counts {
    messages: usize,
    with_rows: usize,
    skipped: usize,
    repeated: usize,
    read_again: usize,
}

pub(in crate::chaos) fn check(evidence: &Evidence) -> Check {
    let (mut findings, mut counts) = (Vec::new(), Counts::default());
    for table in Table::ALL {
        of_table(evidence, table, &mut counts, &mut findings);
    }
    findings.extend(not_committed(evidence));
    let Counts { messages, with_rows, skipped, repeated, read_again } = counts;
    let poison = evidence.messages.poison.len();
    let figures = format!(
        "{} messages = {with_rows} with rows + {skipped} skipped + {repeated} repeated + {read_again} of snapshots \
         + {poison} poison",
        messages + poison
    );
    Check::new("every message accounted for", figures, &findings)
}

fn of_table(evidence: &Evidence, table: Table, counts: &mut Counts, findings: &mut Vec<String>) {
    let topic = table.topic();
    let records: Vec<&Record> =
        evidence.messages.changes.iter().filter(|record| record.table == table).collect();
    let places: BTreeSet<_> = records.iter().map(|record| (record.partition, record.offset)).collect();
    let rows = evidence.rows_of(table);
    let with_rows: BTreeSet<_> = rows.iter().map(|event| (event.partition, event.offset)).collect();
    let invented = with_rows.iter().filter(|place| !places.contains(*place));
    findings.extend(invented.map(|place| format!("{topic}{place:?} has rows, and there is no such message")));

    let states = States::of(table, rows);
    // What tells the same change, in whatever message.
    let mut told: BTreeMap<_, Vec<&Record>> = BTreeMap::new();
    for record in &records {
        let has_rows = with_rows.contains(&(record.partition, record.offset));
        if record.op != "r" {
            let change = (&record.key, &record.op, record.source, record.partition);
            told.entry(change).or_default().push(record);
        } else if !has_rows && !states.has_one_before(record) {
            findings
                .push(format!("{topic}{:?} (op r) has no rows, and its state was not there", place(record)));
        } else if !has_rows {
            counts.read_again += 1;
        }
    }
    let mut updates = 0;
    for same in told.values() {
        let rows_at = same.iter().filter(|record| with_rows.contains(&place(record))).count();
        match (same.first(), rows_at) {
            (Some(first), 0) if first.op == "u" => updates += 1,
            (Some(first), 0) => {
                findings.push(format!("{topic}{:?} (op {}) has no rows", place(first), first.op));
            }
            (Some(first), 2..) => {
                findings.push(format!(
                    "{topic}{:?} and {} repeats of it have rows",
                    place(first),
                    rows_at - 1
                ));
            }
            _ => {}
        }
        counts.repeated += same.len() - 1;
    }
    let skips = evidence.changes.iter().filter(|change| change.table == table && change.is_skip()).count();
    if updates != skips {
        findings.push(format!("{topic}: {updates} updates have no rows, {skips} touched no mapped column"));
    }
    counts.messages += records.len();
    counts.with_rows += with_rows.len();
    counts.skipped += updates;
}

fn place(record: &Record) -> (u32, u64) {
    (record.partition, record.offset)
}

/// The rows of each key, in the order of their messages.
struct States<'a>(BTreeMap<(u32, &'a str), Vec<&'a EventRow>>);

impl<'a> States<'a> {
    fn of(table: Table, rows: &'a [EventRow]) -> Self {
        let mut keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for row in rows {
            keys.entry((row.partition, key_of(table, &row.row))).or_default().push(row);
        }
        Self(keys)
    }

    /// Whether the messages before this one leave exactly one row of its key.
    fn has_one_before(&self, read: &Record) -> bool {
        let rows = self.0.get(&(read.partition, read.key.as_str()));
        let before = rows.into_iter().flatten().filter(|row| row.offset < read.offset);
        let mut left: BTreeMap<&str, i64> = BTreeMap::new();
        for row in before {
            *left.entry(&row.row).or_default() += i64::from(row.sign);
        }
        left.values().filter(|sum| **sum != 0).eq([&1])
    }
}

/// Partitions whose group has not committed past the last message.
fn not_committed(evidence: &Evidence) -> Vec<String> {
    let mut findings = Vec::new();
    for ((table, partition), last) in evidence.messages.ends() {
        let topic = table.topic();
        let of_partition = |at: &&crate::chaos::offsets::Committed| {
            at.topic == topic && u32::try_from(at.partition) == Ok(partition)
        };
        let committed =
            evidence.committed.iter().find(of_partition).and_then(|at| u64::try_from(at.offset).ok());
        if committed.is_none_or(|at| at <= last) {
            findings.push(format!("{topic}[{partition}] ends with {last}, committed is {committed:?}"));
        }
    }
    findings
}
