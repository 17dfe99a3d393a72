//! The rules of taking over, announcing and closing, one by one; the protocol as a whole is tested by a model.

use super::form::{READS_NEXT, WRITES_NEXT, acting_as};
use super::*;

fn committed(positions: &[(Option<i64>, &str)]) -> Vec<Committed> {
    let positions = (0..).zip(positions);
    positions
        .map(|(partition, (offset, metadata))| Committed {
            partition,
            offset: *offset,
            metadata: (*metadata).to_owned(),
        })
        .collect()
}

fn marks(partition: i32, low: i64, high: i64) -> Watermarks {
    Watermarks { partition, low, high }
}

fn ledger(new_group: NewGroup) -> Ledger {
    Ledger::new("likes", "nova-likes", "cdc.likes", new_group)
}

fn ranges(ranges: &[(i32, std::ops::Range<i64>)]) -> Ranges {
    ranges.iter().cloned().collect()
}

/// A position far enough to be told from others.
fn at(commit: u64) -> Position {
    Position::parse(&format!("{commit:x}.0.-.0.0")).unwrap()
}

fn closed(partition: i32, offset: i64, commit: u64) -> OffsetCommit {
    OffsetCommit { partition, offset, metadata: format!("n2 {commit:x}.0.-.0.0") }
}

fn spans(spans: &[(i32, u64, u64)]) -> BTreeMap<i32, Span> {
    spans
        .iter()
        .map(|(partition, start, end)| (*partition, Span { start: at(*start), end: at(*end) }))
        .collect()
}

#[test]
fn goes_on_at_the_committed_offset_and_position() {
    let known = committed(&[(Some(40), "n2 7.0.-.0.0")]);
    let recovery = ledger(NewGroup::Refuse).recover(&known, &[marks(0, 10, 50)]).unwrap();
    let starts = vec![StartAt { partition: 0, offset: 40 }];
    let positions = [(0, at(7))].into();
    let (open, unknown, unsettled) = (vec![], vec![], BTreeSet::new());
    assert_eq!(recovery, Recovery { open, starts, positions, unknown, unsettled });
}

#[test]
fn an_offset_that_nova_did_not_commit_has_an_unknown_past() {
    let mine = "n2 7.0.-.0.0 0 0 0:3+2,1:4+1";
    let known = committed(&[(Some(3), mine), (Some(0), ""), (Some(0), "")]);
    let recovery = ledger(NewGroup::Refuse).recover(&known, &[marks(1, 0, 50), marks(2, 0, 50)]).unwrap();
    assert_eq!(recovery.unknown, [1, 2]);
    let [open] = recovery.open.as_slice() else { panic!("{recovery:?}") };
    assert_eq!(open.intent.ranges, ranges(&[(0, 3..5), (1, 4..5)]), "it has rows of partition 1, too");
    assert_eq!(open.positions, [(0, at(7))].into());
    assert_eq!(recovery.commits(&[(1, at(8))].into()), [closed(1, 0, 8), closed(2, 0, 0)]);
}

#[test]
fn a_batch_is_closed_when_nova_has_moved_on_behind_it_anywhere() {
    let batch = ranges(&[(0, 3..5), (1, 4..6)]);
    let told = |offset, metadata| is_closed(&batch, &committed(&[(Some(3), ""), (Some(offset), metadata)]));
    let closed = |offset, metadata| told(offset, metadata).unwrap();
    assert!(closed(6, "n2 7.0.-.0.0") && closed(6, "n2 7.0.-.0.0 0 0 1:6+1"));
    assert!(!closed(5, "n2 7.0.-.0.0"), "within it");
    assert!(!closed(6, ""), "an offset set by hand");
    assert!(
        told(6, "n3 7.0.-.0.0").is_err(),
        "a release that this one does not understand may have moved on"
    );
}

#[test]
fn a_new_group_begins_only_when_told_to_and_its_start_is_committed() {
    let new = committed(&[(None, "")]);
    let error = ledger(NewGroup::Refuse).recover(&new, &[marks(0, 3, 9)]).unwrap_err();
    assert!(error.kind == ErrorKind::OffsetGap && error.message.contains("--from-beginning"), "{error}");
    let recovery = ledger(NewGroup::FromBeginning).recover(&new, &[marks(0, 3, 9)]).unwrap();
    assert_eq!(recovery.starts, [StartAt { partition: 0, offset: 3 }]);
    assert_eq!(recovery.unknown, [0], "another group may have filled the table");
    assert_eq!(recovery.commits(&BTreeMap::new()), [closed(0, 3, 0)]);
}

#[test]
fn an_added_partition_is_read_whole() {
    let both = committed(&[(Some(5), ""), (None, "")]);
    let recovery = ledger(NewGroup::Refuse).recover(&both, &[marks(1, 0, 7)]).unwrap();
    assert_eq!(recovery.starts, [StartAt { partition: 1, offset: 0 }]);
    assert!(ledger(NewGroup::Refuse).recover(&both, &[marks(1, 2, 7)]).is_err());
}

#[test]
fn never_jumps_over_a_gap_or_back() {
    let known = committed(&[(Some(5), "")]);
    let expired = ledger(NewGroup::FromBeginning).recover(&known, &[marks(0, 8, 9)]).unwrap_err();
    assert!(expired.message.contains("3 messages expired unread"), "{expired}");
    let beyond = ledger(NewGroup::FromBeginning).recover(&known, &[marks(0, 0, 4)]).unwrap_err();
    assert!(beyond.message.contains("made again"), "{beyond}");
    let open = committed(&[(Some(3), "n2 0.0.-.0.0 0 0 0:3+9")]);
    let beyond = ledger(NewGroup::FromBeginning).recover(&open, &[marks(0, 0, 4)]).unwrap_err();
    assert!(beyond.message.contains("made again"), "an intent beyond the end: {beyond}");
}

#[test]
fn each_refusal_names_group_place_and_the_command_that_goes_on() {
    let refusal = |position: &[(Option<i64>, &str)], held| {
        ledger(NewGroup::Refuse).recover(&committed(position), &[held]).unwrap_err()
    };
    for (error, words) in [
        (
            refusal(&[(Some(5), "")], marks(0, 8, 9)),
            [
                "cdc.likes[0]@5",
                "3 messages expired unread",
                "`nova offsets set --stream likes --partition 0 --to earliest --execute`",
            ],
        ),
        (
            refusal(&[(Some(5), "")], marks(0, 0, 4)),
            [
                "cdc.likes[0] up to 5",
                "ends at 4",
                "`nova offsets set --stream likes --to earliest --execute`",
            ],
        ),
        (
            refusal(&[(None, "")], marks(0, 0, 4)),
            [
                "in any partition of cdc.likes",
                "`nova run --stream likes --from-beginning`",
                "`nova offsets set --stream likes --to earliest --execute`",
            ],
        ),
        (
            refusal(&[(Some(3), "x9")], marks(0, 0, 4)),
            ["cdc.likes[0]", "x9", "`nova offsets set --stream likes --to committed --execute`"],
        ),
    ] {
        let text = error.message;
        assert!(text.contains("`nova-likes`") && words.iter().all(|word| text.contains(word)), "{text}");
    }
}

#[test]
fn an_open_batch_is_settled_once_and_then_only_own_partitions_move_on() {
    let intent = "7 9 0:3+2,1:10+5,2:0+1";
    let of = |commit: u64| format!("n2 {commit}.0.-.0.0 {intent}");
    let known = committed(&[(Some(3), &of(1)), (Some(10), &of(2)), (Some(0), &of(3))]);
    let recovery = ledger(NewGroup::Refuse).recover(&known, &[marks(0, 0, 50), marks(1, 0, 50)]).unwrap();
    let [open] = recovery.open.as_slice() else { panic!("{recovery:?}") };
    assert_eq!(Some(&open.intent), Intent::decode(&of(1)).unwrap().as_ref());
    assert_eq!(open.positions, [(0, at(1)), (1, at(2)), (2, at(3))].into());
    assert_eq!(recovery.starts, [StartAt { partition: 0, offset: 5 }, StartAt { partition: 1, offset: 15 }]);
    assert_eq!(recovery.commits(&[(0, at(4)), (1, at(5))].into()), [closed(0, 5, 4), closed(1, 15, 5)]);
    assert!(recovery.unknown.is_empty());
}

#[test]
fn metadata_of_another_version_is_refused() {
    let newer = committed(&[(Some(3), "n1 7 9 0:3+2")]);
    let error = ledger(NewGroup::Refuse).recover(&newer, &[marks(0, 0, 50)]).unwrap_err();
    assert!(error.message.contains("cdc.likes[0]") && error.message.contains("n1"), "{error}");
}

#[test]
fn what_another_release_wrote_is_restated_when_its_partition_is_taken_over() {
    let (n2, n3) = ("n2 7.0.-.0.0", "n3 7.0.-.0.0");
    for (release, written, restated) in [
        (READS_NEXT, n2, None),
        (READS_NEXT, n3, Some(n2)),
        (WRITES_NEXT, n3, None),
        (WRITES_NEXT, n2, Some(n3)),
    ] {
        let known = committed(&[(Some(40), written)]);
        let commits = acting_as(release, || {
            let recovery = ledger(NewGroup::Refuse).recover(&known, &[marks(0, 10, 50)]).unwrap();
            assert!(recovery.open.is_empty() && recovery.unknown.is_empty(), "its past is known");
            recovery.commits(&recovery.positions)
        });
        let restated =
            restated.map(|text: &str| OffsetCommit { partition: 0, offset: 40, metadata: text.to_owned() });
        assert_eq!(commits, Vec::from_iter(restated), "{release:?} finds `{written}`");
    }
}

#[test]
fn a_batch_costs_one_commit_the_one_before_rides_along() {
    let mut ledger = ledger(NewGroup::Refuse);
    let known = committed(&[(Some(0), ""), (Some(0), ""), (Some(0), "")]);
    ledger.recover(&known, &[marks(0, 0, 9), marks(1, 0, 9), marks(2, 0, 9)]).unwrap();
    let announced = |partition, offset, commit: u64, intent: &str| OffsetCommit {
        partition,
        offset,
        metadata: format!("n2 {commit}.0.-.0.0 {intent}"),
    };

    let batch = Planned::new(ranges(&[(0, 0..4), (1, 0..2)]), spans(&[(0, 1, 2), (1, 3, 4)]));
    let (first, commits) = ledger.intend(batch, 7, 9).unwrap();
    let intent = "7 9 0:0+4,1:0+2";
    assert_eq!(
        commits,
        [announced(0, 0, 1, intent), announced(1, 0, 3, intent)],
        "each with its own position"
    );
    ledger.settled(&first.durable());

    let batch = Planned::new(ranges(&[(0, 4..5), (2, 1..3)]), spans(&[(0, 2, 5), (2, 6, 7)]));
    let (second, commits) = ledger.intend(batch, 8, 9).unwrap();
    let intent = "8 9 0:4+1,2:1+2";
    assert_eq!(commits, [announced(0, 4, 2, intent), announced(2, 1, 6, intent), closed(1, 2, 4)]);
    ledger.settled(&second.durable());

    ledger.give_up(&[2]);
    assert_eq!(ledger.close(), [closed(0, 5, 5)], "nothing for a partition given up");
    assert_eq!(ledger.close(), []);
}
