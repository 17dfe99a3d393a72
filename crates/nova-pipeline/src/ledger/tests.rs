//! The rules of taking over, announcing and closing, one by one; the protocol as a whole is tested by a model.

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
    Ledger::new("nova-likes", "cdc.likes", new_group)
}

fn ranges(ranges: &[(i32, std::ops::Range<i64>)]) -> Ranges {
    ranges.iter().cloned().collect()
}

fn plain(partition: i32, offset: i64) -> OffsetCommit {
    OffsetCommit { partition, offset, metadata: String::new() }
}

#[test]
fn goes_on_at_the_committed_offset() {
    let recovery =
        ledger(NewGroup::Refuse).recover(&committed(&[(Some(40), "")]), &[marks(0, 10, 50)]).unwrap();
    let starts = vec![StartAt { partition: 0, offset: 40 }];
    assert_eq!(recovery, Recovery { open: vec![], starts, commits: vec![] });
}

#[test]
fn a_new_group_begins_only_when_told_to_and_its_start_is_committed() {
    let new = committed(&[(None, "")]);
    let error = ledger(NewGroup::Refuse).recover(&new, &[marks(0, 3, 9)]).unwrap_err();
    assert!(error.kind == ErrorKind::OffsetGap && error.message.contains("--from-beginning"), "{error}");
    let recovery = ledger(NewGroup::FromBeginning).recover(&new, &[marks(0, 3, 9)]).unwrap();
    assert_eq!(recovery.starts, [StartAt { partition: 0, offset: 3 }]);
    assert_eq!(recovery.commits, [plain(0, 3)]);
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
    assert!(expired.message.contains("3 messages are gone"), "{expired}");
    let beyond = ledger(NewGroup::FromBeginning).recover(&known, &[marks(0, 0, 4)]).unwrap_err();
    assert!(beyond.message.contains("made again"), "{beyond}");
    let open = committed(&[(Some(3), "n1 0 0 0:3+9")]);
    let beyond = ledger(NewGroup::FromBeginning).recover(&open, &[marks(0, 0, 4)]).unwrap_err();
    assert!(beyond.message.contains("made again"), "an intent beyond the end: {beyond}");
}

#[test]
fn an_open_batch_is_settled_once_and_then_only_own_partitions_move_on() {
    let intent = "n1 7 9 0:3+2,1:10+5,2:0+1";
    let known = committed(&[(Some(3), intent), (Some(10), intent), (Some(0), intent)]);
    let recovery = ledger(NewGroup::Refuse).recover(&known, &[marks(0, 0, 50), marks(1, 0, 50)]).unwrap();
    assert_eq!(recovery.open, [Intent::decode(intent).unwrap()]);
    assert_eq!(recovery.starts, [StartAt { partition: 0, offset: 5 }, StartAt { partition: 1, offset: 15 }]);
    assert_eq!(recovery.commits, [plain(0, 5), plain(1, 15)]);
}

#[test]
fn metadata_of_another_version_is_refused() {
    let newer = committed(&[(Some(3), "n9 whatever")]);
    let error = ledger(NewGroup::Refuse).recover(&newer, &[marks(0, 0, 50)]).unwrap_err();
    assert!(error.message.contains("cdc.likes[0]") && error.message.contains("n9"), "{error}");
}

#[test]
fn a_batch_costs_one_commit_the_one_before_rides_along() {
    let mut ledger = ledger(NewGroup::Refuse);
    let known = committed(&[(Some(0), ""), (Some(0), ""), (Some(0), "")]);
    ledger.recover(&known, &[marks(0, 0, 9), marks(1, 0, 9), marks(2, 0, 9)]).unwrap();

    let (first, commits) = ledger.intend(Planned::new(ranges(&[(0, 0..4), (1, 0..2)])), 7, 9).unwrap();
    let metadata = "n1 7 9 0:0+4,1:0+2".to_owned();
    let announced =
        |partition, offset, metadata: &String| OffsetCommit { partition, offset, metadata: metadata.clone() };
    assert_eq!(commits, [announced(0, 0, &metadata), announced(1, 0, &metadata)]);
    ledger.settled(&first.durable());

    let (second, commits) = ledger.intend(Planned::new(ranges(&[(0, 4..5), (2, 1..3)])), 8, 9).unwrap();
    let metadata = "n1 8 9 0:4+1,2:1+2".to_owned();
    assert_eq!(commits, [announced(0, 4, &metadata), announced(2, 1, &metadata), plain(1, 2)]);
    ledger.settled(&second.durable());

    ledger.give_up(&[2]);
    assert_eq!(ledger.close(), [plain(0, 5)], "nothing for a partition given up");
    assert_eq!(ledger.close(), []);
}
