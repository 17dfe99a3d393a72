//! The rule on single cases, and on random histories of a connector that is restarted anywhere.

use std::borrow::Cow;
use std::collections::HashSet;

use nova_debezium::{Sequence, Source};
use proptest::prelude::*;

use super::*;

/// A streamed change at (c, l) of a transaction.
fn change(commit: impl Into<Option<u64>>, lsn: u64, tx: u64) -> Change<'static> {
    let name = || Cow::Borrowed("likes");
    let source = Source {
        server: name(),
        db: name(),
        schema: name(),
        table: name(),
        ts_us: 0,
        snapshot: Snapshot::False,
        tx_id: Some(tx),
        lsn: Some(lsn),
        sequence: Sequence { last_commit_lsn: commit.into(), lsn: Some(lsn) },
    };
    Change { op: Op::Create, before: None, after: None, source, transaction: None, logical: None }
}

/// Whether each of the changes is new, one after the other.
fn news(position: &mut Position, changes: &[(Option<u64>, u64, u64)]) -> Vec<bool> {
    let one = |(commit, lsn, tx): &(Option<u64>, u64, u64)| {
        position.stand(0, Place::of(&change(*commit, *lsn, *tx))) == Standing::New
    };
    changes.iter().map(one).collect()
}

#[test]
fn what_goes_forward_is_new_and_what_does_not_is_doubtful() {
    let position = &mut Position::default();
    let forward = [(Some(10), 12, 1), (Some(10), 13, 1), (Some(20), 11, 2), (Some(20), 25, 2)];
    assert_eq!(news(position, &forward), [true; 4], "the LSN may fall from one transaction to the next");
    assert_eq!(news(position, &forward), [false; 4]);
    assert_eq!(news(position, &[(Some(20), 26, 2), (Some(30), 31, 3)]), [true, true]);
    assert_eq!(news(position, &[(Some(40), 41, 3)]), [false], "a transaction has one place");
}

#[test]
fn rows_of_one_copy_are_doubtful_after_the_first() {
    let copy = [(Some(10), 12, 1); 3];
    let position = &mut Position::default();
    assert_eq!(news(position, &copy), [true, false, false]);
    assert_eq!(news(position, &copy), [false; 3], "cut in the middle and emitted again");
    assert_eq!(news(position, &[(Some(10), 14, 1)]), [true]);
}

#[test]
fn the_first_transaction_of_a_connector_is_doubtful_and_so_is_its_repeat_with_a_place() {
    let position = &mut Position::default();
    assert_eq!(news(position, &[(None, 12, 1), (None, 13, 1), (Some(20), 21, 2)]), [false, false, true]);
    let position = &mut Position::default();
    assert_eq!(news(position, &[(None, 32, 3), (None, 33, 3)]), [false; 2], "the third transaction");
    // Set back by hand: the first transaction comes without a place this time.
    let again = [(None, 12, 1), (Some(20), 21, 2), (Some(30), 32, 3), (Some(30), 33, 3), (Some(40), 41, 4)];
    assert_eq!(news(position, &again), [false, true, false, false, true]);
}

#[test]
fn a_restored_cluster_starts_lower_and_all_of_it_is_doubtful() {
    let position = &mut Position::default();
    news(position, &[(Some(1_000), 1_001, 9)]);
    assert_eq!(news(position, &[(Some(500), 501, 7), (Some(900), 950, 8)]), [false; 2]);
    assert_eq!(news(position, &[(Some(1_100), 1_101, 10)]), [true]);
}

#[test]
fn below_the_floor_all_is_doubtful() {
    let position = &mut Position::behind(0, 25, false);
    assert_eq!(
        news(position, &[(Some(10), 12, 1), (Some(20), 25, 2), (Some(30), 31, 3)]),
        [false, false, true]
    );
}

#[test]
fn without_a_place_or_a_transaction_a_change_is_doubtful() {
    let mut lsnless = change(10, 12, 1);
    lsnless.source.lsn = None;
    let mut txless = change(10, 12, 1);
    txless.source.tx_id = None;
    for change in [lsnless, txless] {
        assert_eq!(Position::default().stand(0, Place::of(&change)), Standing::Doubtful);
    }
}

#[test]
fn a_snapshot_read_is_a_state_and_moves_nothing() {
    let read = |snapshot| {
        let mut read = change(900, 900, 9);
        (read.op, read.source.snapshot) = (Op::Read, snapshot);
        read
    };
    let position = &mut Position::default();
    for snapshot in [Snapshot::First, Snapshot::True, Snapshot::Last, Snapshot::Incremental] {
        assert_eq!(position.stand(0, Place::of(&read(snapshot))), Standing::State { afresh: false });
    }
    assert_eq!(*position, Position::default());

    let position = &mut Position::behind(7, 0, true);
    assert_eq!(position.stand(6, Place::of(&read(Snapshot::True))), Standing::State { afresh: true });
    position.reach(6);
    assert!(position.is_past(6));
    position.reach(7);
    assert!(!position.is_past(6), "what lies behind is over");
    assert_eq!(position.stand(7, Place::of(&read(Snapshot::True))), Standing::State { afresh: false });
}

/// A transaction's rows as (LSN, number of rows at this LSN), and the end of its commit record.
#[derive(Debug, Clone)]
struct Transaction {
    id: u64,
    rows: Vec<u64>,
    end: u64,
}

/// Interleaved transactions in the order of their commits: every LSN belongs to a random one of those that are open.
fn transactions() -> impl Strategy<Value = Vec<Transaction>> {
    prop::collection::vec((0usize..4, 1usize..4, any::<bool>()), 1..40).prop_map(|steps| {
        let mut open: Vec<Transaction> = Vec::new();
        let mut done = Vec::new();
        let mut lsn = 100;
        for (which, rows, ends) in steps {
            lsn += 10;
            if which >= open.len() {
                open.push(Transaction { id: lsn, rows: Vec::new(), end: 0 });
            }
            let at = which.min(open.len() - 1);
            open[at].rows.extend(std::iter::repeat_n(lsn, rows));
            if ends {
                let mut committed = open.remove(at);
                lsn += 10;
                committed.end = lsn;
                done.push(committed);
            }
        }
        done
    })
}

/// What a connector emits: (c, LSN, transaction, which row of it), in order.
type Emitted = (Option<u64>, u64, u64, usize);

/// A start at a transaction, from an LSN of it on; so many rows are emitted until the connector dies.
fn emitted(log: &[Transaction], first: usize, skip: usize, rows: usize) -> Vec<Emitted> {
    let mut last_commit = None;
    let mut out = Vec::new();
    for (nth, transaction) in log.iter().enumerate().skip(first) {
        let from = if nth == first { transaction.rows.get(skip).copied().unwrap_or(0) } else { 0 };
        let of = transaction.rows.iter().enumerate().filter(|(_, lsn)| **lsn >= from);
        out.extend(of.map(|(row, lsn)| (last_commit, *lsn, transaction.id, row)));
        last_commit = Some(transaction.end);
    }
    out.truncate(rows);
    out
}

proptest! {
    /// Runs may start anywhere before what was emitted so far, also before the start of the run before.
    #[test]
    fn no_repeat_is_ever_new(
        log in transactions(),
        runs in prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, 0usize..30), 1..8),
        partitions in 1usize..3,
    ) {
        let mut seen = HashSet::new();
        let mut reached = 0;
        for partition in 0..partitions {
            let mut position = Position::default();
            for (start, skip, rows) in &runs {
                if log.is_empty() { continue; }
                let first = start.index((reached + 1).min(log.len()));
                for (commit, lsn, tx, row) in emitted(&log, first, *skip, *rows) {
                    reached = reached.max(log.iter().position(|at| at.id == tx).unwrap_or(0));
                    if (usize::try_from(tx).unwrap() / 10 + row) % partitions != partition { continue; }
                    let standing = position.stand(0, Place::of(&change(commit, lsn, tx)));
                    let repeat = !seen.insert((tx, row));
                    prop_assert!(!repeat || standing == Standing::Doubtful, "{commit:?} {lsn} {tx} {row}");
                    position = Position::parse(&position.to_string()).unwrap();
                }
            }
        }
    }

    #[test]
    fn without_a_restart_only_the_first_transaction_and_shared_positions_are_doubtful(log in transactions()) {
        let mut position = Position::default();
        let mut before = None;
        for (commit, lsn, tx, _) in emitted(&log, 0, 0, usize::MAX) {
            let standing = position.stand(0, Place::of(&change(commit, lsn, tx)));
            let doubtful = commit.is_none() || before == Some((lsn, tx));
            prop_assert_eq!(standing == Standing::Doubtful, doubtful);
            before = Some((lsn, tx));
        }
    }
}
