//! The checker checked: sound evidence passes, and each way to break it is found by the check whose promise it is.

use std::time::Duration;

use super::{Check, accounting, durable, once, order};
use crate::chaos::evidence::{EventRow, Evidence};
use crate::chaos::ledger::Change;
use crate::chaos::messages::Record;
use crate::chaos::offsets::Committed;
use crate::chaos::sampler::Sample;
use crate::traffic::Table;

fn change(before: Option<&str>, after: Option<&str>) -> Change {
    Change { table: Table::Likes, before: before.map(str::to_owned), after: after.map(str::to_owned) }
}

fn event(offset: u64, ordinal: u8, sign: i8, row: &str) -> EventRow {
    EventRow { partition: 0, offset, ordinal, sign, row: row.to_owned() }
}

fn record(offset: u64, op: &str) -> Record {
    Record { table: Table::Likes, partition: 0, offset, op: op.to_owned(), dead_letter: false }
}

fn position(offset: i64) -> Committed {
    Committed { topic: "cdc.likes".to_owned(), partition: 0, offset }
}

/// A like made, changed, touched where nobody looks, deleted; another made.
fn sound() -> Evidence {
    let (a, b, other) = ("k|1|p|u", "k|1|p|v", "l|1|p|u");
    let rows = vec![
        event(0, 0, 1, a),
        event(2, 0, -1, a),
        event(2, 1, 1, b),
        event(5, 0, -1, b),
        event(6, 0, 1, other),
    ];
    Evidence {
        changes: vec![
            change(None, Some(a)),
            change(Some(a), Some(b)),
            change(Some(b), Some(b)),
            change(Some(b), None),
            change(None, Some(other)),
        ],
        rows: [(Table::Likes, rows)].into(),
        records: vec![record(0, "c"), record(2, "u"), record(3, "u"), record(5, "d"), record(6, "c")],
        committed: vec![position(8)],
        samples: vec![Sample { at: Duration::ZERO, position: position(3), rows: 3 }],
    }
}

fn failed(evidence: &Evidence) -> Vec<&'static str> {
    let checks: [fn(&Evidence) -> Check; 4] = [once::check, order::check, durable::check, accounting::check];
    checks
        .into_iter()
        .map(|check| check(evidence))
        .filter(|check| !check.holds())
        .map(|check| check.promise)
        .collect()
}

fn broken(by: impl Fn(&mut Evidence, &mut Vec<EventRow>)) -> Vec<&'static str> {
    let mut evidence = sound();
    let mut rows = evidence.rows.remove(&Table::Likes).unwrap();
    by(&mut evidence, &mut rows);
    evidence.rows.insert(Table::Likes, rows);
    failed(&evidence)
}

const ONCE: &str = "each change exactly once";
const ORDER: &str = "order per key = commit order";
const DURABLE: &str = "committed ≤ durable";
const ACCOUNTED: &str = "every message accounted for";

#[test]
fn sound_evidence_passes() {
    assert_eq!(failed(&sound()), [""; 0]);
}

#[test]
fn a_repeated_insert_is_found_also_under_new_offsets() {
    assert_eq!(broken(|_, rows| rows.push(event(6, 0, 1, "l|1|p|u"))), [ONCE]);
    let emitted_again = |evidence: &mut Evidence, rows: &mut Vec<EventRow>| {
        rows.push(event(7, 0, 1, "l|1|p|u"));
        evidence.records.push(record(7, "c"));
    };
    assert_eq!(broken(emitted_again), [ONCE]);
}

#[test]
fn a_lost_row_is_found() {
    let lost = |_: &mut Evidence, rows: &mut Vec<EventRow>| drop(rows.pop());
    assert_eq!(broken(lost), [ONCE, ACCOUNTED]);
}

#[test]
fn a_row_that_nobody_committed_is_found() {
    assert_eq!(broken(|_, rows| rows.push(event(4, 0, 1, "m|1|p|u"))), [ONCE, ACCOUNTED]);
}

#[test]
fn exchanged_versions_are_found() {
    let exchanged = |_: &mut Evidence, rows: &mut Vec<EventRow>| {
        (rows[0].offset, rows[2].offset, rows[2].ordinal) = (2, 0, 0);
        rows[0].ordinal = 1;
    };
    assert_eq!(broken(exchanged), [ORDER]);
    assert!(broken(|_, rows| rows[0].partition = 1).contains(&ORDER));
}

#[test]
fn a_commit_before_its_insert_is_found() {
    assert_eq!(broken(|evidence, _| evidence.samples[0].rows = 2), [DURABLE]);
    assert_eq!(broken(|evidence, _| evidence.samples.clear()), [DURABLE]);
}

#[test]
fn an_offset_that_goes_back_is_found() {
    let back = |evidence: &mut Evidence, _: &mut Vec<EventRow>| {
        evidence.samples.push(Sample { at: Duration::from_secs(1), position: position(2), rows: 1 });
    };
    assert_eq!(broken(back), [DURABLE]);
}

#[test]
fn messages_nobody_answers_for_are_found() {
    assert_eq!(broken(|evidence, _| evidence.records.push(record(7, "c"))), [ACCOUNTED]);
    assert_eq!(broken(|evidence, _| evidence.records.push(record(7, "u"))), [ACCOUNTED]);
    assert_eq!(broken(|evidence, _| evidence.committed = vec![position(6)]), [ACCOUNTED]);
    assert_eq!(broken(|evidence, _| evidence.records[2].dead_letter = true), [ACCOUNTED]);
}
