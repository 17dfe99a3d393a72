//! Each thing that can become of an offset, on messages and rows made by hand.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nova_clickhouse::{PlainRow, StoredRow};
use nova_pipeline::{RowId, Standing};
use nova_streams::SkipReason;
use uuid::Uuid;

use super::judge::{Judged, Message, Piece, Resolved, What};
use super::report::{Counts, FindingKind};

const READ: Standing = Standing::State { afresh: false };

/// A row: offset, ordinal, event, key, value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row(i64, u8, u128, u128, u8);

/// A row's bytes as far as anybody looks at them: the value, the sign, the event, the ordinal.
fn bytes(Row(_, ordinal, event, _, value): Row) -> Vec<u8> {
    [&[value, 1][..], &event.to_le_bytes(), &[ordinal]].concat()
}

/// A partition in which offsets 10 to 20 are audited.
#[derive(Default)]
struct Case {
    messages: Vec<Message>,
    rows: Vec<(Row, Standing)>,
    stored: Vec<(Row, u64)>,
    letters: BTreeSet<i64>,
    resolved: Resolved,
}

impl Case {
    /// Messages at offsets from 10 on, one for each.
    fn of(messages: &[What]) -> Self {
        let messages = (10..).zip(messages).map(|(offset, what)| Message { offset, what: what.clone() });
        Self { messages: messages.collect(), ..Self::default() }
    }

    fn makes(mut self, rows: &[Row], standing: Standing) -> Self {
        self.rows.extend(rows.iter().map(|row| (*row, standing)));
        self
    }

    fn stored(mut self, rows: &[Row]) -> Self {
        self.stored.extend(rows.iter().map(|row| (*row, 1)));
        self
    }

    fn resolved(mut self, rows: &[Row]) -> Self {
        for row in rows {
            let id = RowId { partition: 0, offset: row.0, ordinal: row.1, event_id: Uuid::from_u128(row.2) };
            self.resolved.entry(row.0).or_default().push((id, bytes(*row)));
        }
        self
    }

    fn piece<T>(&self, look: impl FnOnce(&Piece<'_>) -> T) -> T {
        let encoded: Vec<Vec<u8>> = self.rows.iter().map(|(row, _)| bytes(*row)).collect();
        let plain = |((row, standing), bytes)| -> PlainRow<'_> {
            let (Row(offset, ordinal, event, key, _), standing): (Row, Standing) = (row, standing);
            let id = RowId { partition: 0, offset, ordinal, event_id: Uuid::from_u128(event) };
            PlainRow { id, standing, source_key: Uuid::from_u128(key), source_lsn: 0, bytes, event_at: 2 }
        };
        let rows: Vec<PlainRow<'_>> =
            self.rows.iter().copied().zip(encoded.iter().map(Vec::as_slice)).map(plain).collect();
        let stored = |(row, times): &(Row, u64)| StoredRow {
            offset: row.0,
            ordinal: row.1,
            event_id: Uuid::from_u128(row.2),
            times: *times,
            bytes: Bytes::from(bytes(*row)),
        };
        let stored: Vec<StoredRow> = self.stored.iter().map(stored).collect();
        look(&Piece {
            partition: 0,
            offsets: 10..20,
            messages: &self.messages,
            rows: &rows,
            stored: &stored,
            letters: &self.letters,
        })
    }

    fn doubts(&self) -> BTreeMap<i64, Standing> {
        self.piece(|piece| piece.doubts())
    }

    fn judged(&self) -> Judged {
        let doubts = self.doubts();
        let judged = self.piece(|piece| piece.judge(&doubts, &self.resolved));
        let counts = &judged.counts;
        assert_eq!((counts.sum(), counts.offsets), (10, 10), "{counts:?}");
        judged
    }

    /// Kind, offset and ordinal of all findings.
    fn found(&self) -> Vec<(FindingKind, i64, Option<u8>)> {
        let judged = self.judged();
        judged.found.iter().map(|(found, _)| (found.kind, found.offset, found.ordinal)).collect()
    }

    fn counts(&self) -> Counts {
        self.judged().counts
    }
}

const ONE: Row = Row(10, 0, 7, 1, 5);
const UPDATE: [Row; 2] = [Row(10, 0, 7, 1, 5), Row(10, 1, 7, 1, 6)];

#[test]
fn rows_skips_letters_and_gaps_add_up() {
    let letter = What::Letter("no JSON".to_owned());
    let mut case = Case::of(&[What::Rows, What::Skipped(SkipReason::Tombstone), letter])
        .makes(&UPDATE, Standing::New)
        .stored(&UPDATE);
    case.letters.insert(12);
    let counts = case.counts();
    assert_eq!((counts.rows, counts.table_rows, counts.dead_letters, counts.gaps), (1, 2, 1, 7));
    assert_eq!(counts.skipped, BTreeMap::from([("tombstone".to_owned(), 1)]));
    assert_eq!((case.found(), case.doubts()), (vec![], BTreeMap::new()));
}

#[test]
fn a_missing_row_is_found_whether_its_message_has_others_or_none() {
    let case = Case::of(&[What::Rows]).makes(&UPDATE, Standing::New).resolved(&UPDATE);
    assert_eq!(case.doubts(), BTreeMap::from([(10, Standing::Doubtful)]));
    assert_eq!(case.found(), [(FindingKind::Missing, 10, Some(0)), (FindingKind::Missing, 10, Some(1))]);
    assert_eq!(case.counts().wrong, 1);
    assert_eq!(case.stored(&UPDATE[..1]).found(), [(FindingKind::Missing, 10, Some(1))]);
}

#[test]
fn a_change_that_the_table_has_from_another_message_is_a_skip() {
    let case = Case::of(&[What::Rows]).makes(&[ONE], Standing::New);
    assert_eq!(case.counts().skipped, BTreeMap::from([("repeated".to_owned(), 1)]));
    let case = Case::of(&[What::Rows]).makes(&[ONE], READ);
    assert_eq!(case.doubts(), BTreeMap::from([(10, READ)]));
    assert_eq!(case.counts().skipped, BTreeMap::from([("already_there".to_owned(), 1)]));
    assert_eq!(case.found(), []);
}

#[test]
fn a_state_owes_what_it_is_resolved_to() {
    let difference = [Row(10, 0, 7, 1, 4), Row(10, 1, 7, 1, 5)];
    let case = Case::of(&[What::Rows]).makes(&[ONE], READ).resolved(&difference);
    assert_eq!(case.found().len(), 2);
    let case = case.stored(&difference);
    assert_eq!((case.found(), case.counts().rows), (vec![], 1));
}

#[test]
fn a_doubted_state_brings_the_other_messages_of_its_key_along() {
    let (change, other, state) = (Row(10, 0, 7, 1, 5), Row(11, 0, 8, 2, 5), Row(12, 0, 9, 1, 5));
    let case = Case::of(&[What::Rows, What::Rows, What::Rows])
        .makes(&[change, other], Standing::Doubtful)
        .makes(&[state], READ)
        .stored(&[change, other]);
    assert_eq!(case.doubts(), BTreeMap::from([(10, Standing::New), (12, READ)]));
}

#[test]
fn doubled_altered_and_unexpected_rows_are_told_apart() {
    let mut case = Case::of(&[What::Rows]).makes(&[ONE], Standing::New).stored(&[ONE]);
    case.stored[0].1 = 3;
    assert_eq!(case.found(), [(FindingKind::Doubled, 10, Some(0))]);
    assert_eq!((case.judged().found[0].0.times, case.counts().table_rows), (3, 3));

    let case = Case::of(&[What::Rows]).makes(&[ONE], Standing::New).resolved(&[ONE]);
    let case = case.stored(&[Row(10, 0, 7, 1, 9)]);
    assert_eq!(case.found(), [(FindingKind::Altered, 10, Some(0))]);
    let (expected, found) = case.judged().found[0].1.clone().unwrap();
    assert_eq!((expected[0], found[0]), (5, 9));

    // Only the event's identity is another.
    let altered = Case::of(&[What::Rows]).makes(&[ONE], Standing::New).resolved(&[ONE]);
    assert_eq!(altered.stored(&[Row(10, 0, 8, 1, 5)]).found(), [(FindingKind::Altered, 10, Some(0))]);

    // Another event with other values: of a deleted topic, for example.
    let other = Case::of(&[What::Rows]).makes(&[ONE], Standing::New).resolved(&[ONE]);
    let other = other.stored(&[Row(10, 0, 8, 1, 9)]);
    let kinds = [(FindingKind::Unexpected, 10, Some(0)), (FindingKind::Missing, 10, Some(0))];
    assert_eq!(other.found(), kinds);
    assert!(other.judged().found[0].0.reason.contains("deleted topic"));

    let beyond = Case::of(&[What::Rows]).makes(&[ONE], Standing::New).resolved(&[ONE]);
    let beyond = beyond.stored(&[ONE, Row(10, 1, 7, 1, 5)]);
    assert_eq!(beyond.found(), [(FindingKind::Unexpected, 10, Some(1))]);
}

#[test]
fn rows_of_what_makes_none_are_unexpected() {
    let letter = What::Letter("no JSON".to_owned());
    let mut case = Case::of(&[What::Skipped(SkipReason::Unchanged), letter])
        .stored(&[Row(10, 0, 7, 1, 5), Row(11, 0, 8, 1, 5)]);
    case.letters.insert(11);
    assert_eq!(
        case.found(),
        [(FindingKind::Unexpected, 10, Some(0)), (FindingKind::Unexpected, 11, Some(0))]
    );
    let case = Case::of(&[]).stored(&[Row(13, 0, 7, 1, 5), Row(13, 1, 7, 1, 5)]);
    assert_eq!(case.found(), [(FindingKind::NoMessage, 13, Some(0)), (FindingKind::NoMessage, 13, Some(1))]);
    assert_eq!((case.counts().gaps, case.counts().wrong), (9, 1));
}

#[test]
fn letters_are_looked_up() {
    let case = Case::of(&[What::Letter("no JSON".to_owned())]);
    assert_eq!(case.found(), [(FindingKind::LetterMissing, 10, None)]);
    assert_eq!(case.judged().found[0].0.reason, "no JSON");
    // It became a letter once and would become rows today: open, and rows after a retry.
    let mut case = Case::of(&[What::Rows]).makes(&[ONE], Standing::New);
    case.letters.insert(10);
    assert_eq!((case.doubts(), case.counts().dead_letters), (BTreeMap::new(), 1));
    assert_eq!(case.stored(&[ONE]).counts().rows, 1);
}

#[test]
fn a_message_that_halts_the_stream_is_a_finding_whatever_is_stored() {
    let case = Case::of(&[What::Halts("a truncate".to_owned())]).stored(&[ONE]);
    assert_eq!(case.found(), [(FindingKind::Halts, 10, None)]);
}
