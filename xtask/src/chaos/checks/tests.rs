//! The checker checked: sound evidence passes, and each way to break it is found by the check whose promise it is.

use std::time::Duration;

use super::{Check, accounting, durable, letters, once, order};
use crate::chaos::evidence::{EventRow, Evidence};
use crate::chaos::ledger::Change;
use crate::chaos::messages::{Found, Letter, Messages, Record};
use crate::chaos::offsets::Committed;
use crate::chaos::poison::{HEADER, Poison};
use crate::chaos::sampler::Sample;
use crate::traffic::Table;

fn change(before: Option<&str>, after: Option<&str>) -> Change {
    Change { table: Table::Likes, before: before.map(str::to_owned), after: after.map(str::to_owned) }
}

fn event(offset: u64, ordinal: u8, sign: i8, row: &str) -> EventRow {
    EventRow { partition: 0, offset, ordinal, sign, row: row.to_owned() }
}

fn record(offset: u64, op: &str) -> Record {
    let (table, key, op) = (Table::Likes, if offset < 6 { "k" } else { "l" }.to_owned(), op.to_owned());
    Record { table, partition: 0, offset, op, key, source: (Some(1), Some(offset)) }
}

fn poison() -> Poison {
    let (key, value) = (Some("key".to_owned()), "no JSON".to_owned());
    Poison { number: 0, table: Table::Likes, partition: 0, offset: Some(4), kind: "malformed", key, value }
}

fn letter(offset: u64) -> Letter {
    let headers = [
        (HEADER, "likes/0"),
        ("nova.stream", "likes"),
        ("nova.topic", "cdc.likes"),
        ("nova.partition", "0"),
        ("nova.offset", &offset.to_string()),
        ("nova.error.kind", "malformed"),
        ("nova.reason", "value: no JSON"),
        ("nova.original.key", "key"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Letter { headers, value: "no JSON".to_owned() }
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
        messages: Messages {
            changes: vec![record(0, "c"), record(2, "u"), record(3, "u"), record(5, "d"), record(6, "c")],
            poison: vec![Found { place: (Table::Likes, 0, 4), number: 0 }],
            letters: vec![letter(4)],
        },
        poison: vec![poison()],
        committed: vec![position(8)],
        samples: vec![Sample { at: Duration::ZERO, position: position(3), rows: 3 }],
    }
}

fn failed(evidence: &Evidence) -> Vec<&'static str> {
    let checks: [fn(&Evidence) -> Check; 5] =
        [once::check, order::check, durable::check, accounting::check, letters::check];
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
const LETTERS: &str = "poison is put aside";

#[test]
fn sound_evidence_passes() {
    assert_eq!(failed(&sound()), [""; 0]);
}

#[test]
fn a_repeated_insert_is_found_also_under_new_offsets() {
    assert_eq!(broken(|_, rows| rows.push(event(6, 0, 1, "l|1|p|u"))), [ONCE]);
    let emitted_again = |evidence: &mut Evidence, rows: &mut Vec<EventRow>| {
        rows.push(event(7, 0, 1, "l|1|p|u"));
        evidence.messages.changes.push(Record { offset: 7, ..record(6, "c") });
    };
    assert_eq!(broken(emitted_again), [ONCE, ACCOUNTED]);
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
    assert_eq!(broken(|evidence, _| evidence.messages.changes.push(record(7, "c"))), [ACCOUNTED]);
    assert_eq!(broken(|evidence, _| evidence.messages.changes.push(record(7, "u"))), [ACCOUNTED]);
    assert_eq!(broken(|evidence, _| evidence.committed = vec![position(6)]), [ACCOUNTED]);
}

#[test]
fn a_repeat_without_rows_is_accounted_for() {
    for (offset, op) in [(0, "c"), (2, "u"), (3, "u"), (5, "d")] {
        let again = |evidence: &mut Evidence, _: &mut Vec<EventRow>| {
            evidence.messages.changes.push(Record { offset: 7, ..record(offset, op) });
        };
        assert_eq!(broken(again), [""; 0]);
    }
}

#[test]
fn a_snapshot_may_only_read_what_is_there() {
    let read = |offset: u64, key: &str| {
        let key = key.to_owned();
        broken(move |evidence, _| {
            let read = Record { op: "r".to_owned(), key: key.clone(), ..record(offset, "r") };
            evidence.messages.changes.push(read);
        })
    };
    assert_eq!(read(7, "l"), [""; 0]);
    assert_eq!(read(1, "k"), [""; 0]);
    assert_eq!(read(7, "k"), [ACCOUNTED], "deleted before it was read");
    assert_eq!(read(7, "m"), [ACCOUNTED], "never there");
}

#[test]
fn poison_without_its_letter_is_found() {
    let broken = |by: fn(&mut Evidence)| broken(|evidence, _| by(evidence));
    assert_eq!(broken(|evidence| evidence.messages.letters.clear()), [LETTERS]);
    assert_eq!(broken(|evidence| evidence.messages.letters.push(letter(4))), [""; 0], "at least once");
    assert_eq!(broken(|evidence| evidence.messages.letters.push(letter(5))), [LETTERS], "another offset");
    assert_eq!(broken(|evidence| evidence.messages.letters[0].value.clear()), [LETTERS]);
    assert_eq!(
        broken(|evidence| evidence.messages.letters.push(Letter::default())),
        [LETTERS],
        "of no poison"
    );
    assert_eq!(
        broken(|evidence| evidence.messages.letters[0].headers.remove("nova.reason").map_or((), drop)),
        [LETTERS]
    );
    assert_eq!(broken(|evidence| evidence.poison[0].offset = None), [""; 0], "an answer that was lost");
    assert_eq!(broken(|evidence| evidence.poison[0].offset = Some(9)), [LETTERS]);
    assert_eq!(
        broken(|evidence| evidence.messages.poison[0].place.2 = 9),
        [ACCOUNTED, LETTERS],
        "not committed past"
    );
}
