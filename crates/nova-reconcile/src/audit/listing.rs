//! The findings of a stream: all counted, the first ones listed.

use std::collections::{BTreeMap, BTreeSet};

use nova_clickhouse::{TableSink, ToldTwice};
use nova_pipeline::PipelineError;
use uuid::Uuid;

use super::judge::Found;
use super::report::{AlteredColumn, Finding, FindingKind};

/// Findings so far.
pub(super) struct Listing {
    max_listed: usize,
    pub(super) tally: BTreeMap<FindingKind, u64>,
    pub(super) findings: Vec<Finding>,
    /// Offsets and events of rows that are findings already: a change that they tell again is the same finding.
    flagged: BTreeSet<(i32, i64)>,
    events: BTreeSet<Uuid>,
}

impl Listing {
    pub(super) fn new(max_listed: usize) -> Self {
        Self {
            max_listed,
            tally: BTreeMap::new(),
            findings: Vec::new(),
            flagged: BTreeSet::new(),
            events: BTreeSet::new(),
        }
    }

    /// Whether all findings are listed.
    pub(super) fn is_whole(&self) -> bool {
        self.tally.values().sum::<u64>() == u64::try_from(self.findings.len()).unwrap_or(u64::MAX)
    }

    /// Counts a finding, and lists it while there is room. Answers whether it is listed.
    pub(super) fn add(&mut self, finding: Finding) -> bool {
        *self.tally.entry(finding.kind).or_default() += 1;
        if self.findings.len() >= self.max_listed {
            return false;
        }
        self.flagged.insert((finding.partition, finding.offset));
        if matches!(finding.kind, FindingKind::Unexpected | FindingKind::NoMessage) {
            self.events.extend(finding.event_id);
        }
        self.findings.push(finding);
        true
    }

    /// Adds what a piece came to; the server puts altered rows that are listed into words.
    pub(super) async fn add_piece(
        &mut self,
        sink: &TableSink,
        found: Vec<Found>,
    ) -> Result<(), PipelineError> {
        let first = self.findings.len();
        let mut altered = Vec::new();
        for (finding, bytes) in found {
            if self.add(finding) {
                altered.extend(bytes.map(|bytes| (self.findings.len() - 1, bytes)));
            }
        }
        let rows: Vec<&[u8]> =
            altered.iter().flat_map(|(_, (expected, found))| [expected.as_ref(), found.as_ref()]).collect();
        let texts = sink.texts(&rows).await?;
        for ((at, _), pair) in altered.iter().zip(texts.chunks(2)) {
            if let ([expected, found], Some(finding)) = (pair, self.findings.get_mut(*at)) {
                finding.columns = differences(expected, found);
            }
        }
        if let Some(piece) = self.findings.get_mut(first..) {
            piece.sort_by_key(|finding| finding.offset);
        }
        Ok(())
    }

    /// A change that several messages have rows of is a finding at the last of them, unless one of them is a finding
    /// anyway. `is_right`: whether a place lies in the piece and is no finding; `is_owed`: whether its offset is committed.
    /// Answers whether it is one.
    pub(super) fn add_told_twice(
        &mut self,
        told: ToldTwice,
        is_right: impl Fn((i32, i64)) -> bool,
        is_owed: impl Fn((i32, i64)) -> bool,
    ) -> bool {
        let places: Vec<(i32, i64)> = told.places.into_iter().filter(|place| is_owed(*place)).collect();
        let [others @ .., last] = places.as_slice() else { return false };
        let known =
            self.events.contains(&told.event_id) || places.iter().any(|place| self.flagged.contains(place));
        if others.is_empty() || !is_right(*last) || known {
            return false;
        }
        let others: Vec<String> =
            others.iter().map(|(partition, offset)| format!("[{partition}]@{offset}")).collect();
        self.add(Finding {
            kind: FindingKind::Doubled,
            partition: last.0,
            offset: last.1,
            ordinal: None,
            event_id: Some(told.event_id),
            times: 1,
            columns: Vec::new(),
            reason: format!("the same change has rows of {}, too", others.join(", ")),
        });
        true
    }
}

type Columns = [(String, Option<String>)];

fn differences(expected: &Columns, found: &Columns) -> Vec<AlteredColumn> {
    let differing = expected.iter().zip(found).filter(|(expected, found)| expected.1 != found.1);
    differing
        .map(|((name, expected), (_, found))| AlteredColumn {
            name: name.clone(),
            expected: expected.clone(),
            found: found.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(kind: FindingKind, offset: i64, event: u128) -> Finding {
        Finding {
            kind,
            partition: 0,
            offset,
            ordinal: Some(0),
            event_id: Some(Uuid::from_u128(event)),
            times: 1,
            columns: Vec::new(),
            reason: String::new(),
        }
    }

    #[test]
    fn all_are_counted_and_the_first_are_listed() {
        let mut listing = Listing::new(2);
        let listed: Vec<bool> =
            (0..3).map(|offset| listing.add(finding(FindingKind::Missing, offset, 1))).collect();
        assert_eq!((listed, listing.is_whole()), (vec![true, true, false], false));
        assert_eq!(listing.tally, BTreeMap::from([(FindingKind::Missing, 3)]));
    }

    #[test]
    fn a_change_told_twice_is_one_finding_at_its_last_message() {
        let mut listing = Listing::new(10);
        listing.add(finding(FindingKind::Unexpected, 3, 7));
        listing.add(finding(FindingKind::Missing, 6, 70));
        let mut told = |event: u128, places: &[(i32, i64)]| {
            let told = ToldTwice { event_id: Uuid::from_u128(event), places: places.to_vec() };
            listing.add_told_twice(told, |(_, offset)| offset < 50, |(_, offset)| offset < 100)
        };
        assert!(told(1, &[(0, 4), (0, 9)]));
        assert!(!told(2, &[(0, 4), (1, 60)]), "it is reported where the last one is");
        assert!(!told(3, &[(0, 4), (1, 100)]), "nobody owes the last one yet");
        assert!(!told(7, &[(0, 20), (0, 30)]), "the row that nobody expects tells it");
        assert!(!told(8, &[(0, 6), (0, 30)]), "offset 6 is a finding");
        let doubled = &listing.findings[2];
        assert_eq!((doubled.kind, doubled.offset), (FindingKind::Doubled, 9));
        assert_eq!(doubled.reason, "the same change has rows of [0]@4, too");
    }

    #[test]
    fn columns_that_differ_are_named_with_both_values() {
        let row = |value: Option<&str>| {
            vec![("a".to_owned(), Some("1".to_owned())), ("b".to_owned(), value.map(str::to_owned))]
        };
        let found = differences(&row(Some("x")), &row(None));
        let expected = AlteredColumn { name: "b".into(), expected: Some("x".into()), found: None };
        assert_eq!(found, [expected]);
    }
}
