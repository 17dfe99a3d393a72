//! Which rows of ClickHouse a PostgreSQL snapshot sees.
//!
//! A row carries the transaction that made it. Streamed changes have its 32-bit number (`Begin` of pgoutput), rows of
//! an initial snapshot the 64-bit one of the connector's own transaction, rows of an incremental snapshot none. So only
//! the lower 32 bits count: they are compared on the circle, as PostgreSQL itself does. That is exact for every
//! transaction that is less than 2^31 older than the snapshot.
//!
//! Older ones are told by their position: no transaction that runs has a change below the slot's `restart_lsn`, so
//! every row below it is visible, whatever its number says. Between `restart_lsn` and the snapshot there are never
//! 2^31 transactions, because the slot's `catalog_xmin` would have stopped PostgreSQL from giving out numbers before.
//!
//! Invariant: [`Visibility::sees`] and [`Visibility::condition`] say the same.

use crate::report::SnapshotTaken;

/// The rule of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visibility {
    safe_lsn: u64,
    xmin: u32,
    xmax: u32,
    running: Vec<u32>,
}

impl Visibility {
    /// The rule for `snapshot`; every transaction with a change below `safe_lsn` had ended before it was taken.
    #[must_use]
    pub fn new(snapshot: &SnapshotTaken, safe_lsn: u64) -> Self {
        let running = snapshot.running.iter().map(|transaction| lower(*transaction)).collect();
        Self { safe_lsn, xmin: lower(snapshot.xmin), xmax: lower(snapshot.xmax), running }
    }

    /// Whether the snapshot sees a row of this transaction (32 or 64 bits) at this position.
    #[must_use]
    pub fn sees(&self, transaction: u64, lsn: u64) -> bool {
        let transaction = lower(transaction);
        lsn < self.safe_lsn
            || precedes(transaction, self.xmin)
            || (precedes(transaction, self.xmax) && !self.running.contains(&transaction))
    }

    /// The same as a condition of ClickHouse on `source_tx` and `source_lsn`.
    #[must_use]
    pub fn condition(&self) -> String {
        let Self { safe_lsn, xmin, xmax, running } = self;
        let before = |limit: &u32| format!("toInt32(toUInt32(source_tx) - toUInt32({limit})) < 0");
        let running: Vec<String> = running.iter().map(u32::to_string).collect();
        let exempt = if running.is_empty() {
            String::new()
        } else {
            format!(" AND toUInt32(source_tx) NOT IN ({})", running.join(", "))
        };
        format!("(source_lsn < {safe_lsn} OR {} OR ({}{exempt}))", before(xmin), before(xmax))
    }
}

/// Where rows stand that a command writes as of a snapshot: this snapshot and all later ones see them, and what is
/// committed after it comes behind them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    pub(crate) lsn: u64,
    pub(crate) tx: u64,
}

impl From<&SnapshotTaken> for Position {
    /// The last transaction that every later snapshot sees, too, at the snapshot's place in the log.
    fn from(snapshot: &SnapshotTaken) -> Self {
        Self { lsn: snapshot.lsn, tx: snapshot.xmin.saturating_sub(1) }
    }
}

/// ClickHouse's condition for rows that carry the whole 64 bits of the transaction that wrote them, as events do.
pub(crate) fn exact(snapshot: &SnapshotTaken) -> String {
    let SnapshotTaken { xmin, xmax, running, .. } = snapshot;
    let running: Vec<String> = running.iter().map(u64::to_string).collect();
    let exempt = if running.is_empty() {
        String::new()
    } else {
        format!(" AND source_tx NOT IN ({})", running.join(", "))
    };
    format!("(source_tx < {xmin} OR (source_tx < {xmax}{exempt}))")
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what a message carries")]
fn lower(transaction: u64) -> u32 {
    transaction as u32
}

/// Whether `one` is behind `other` on the circle of 2^32 (`TransactionIdPrecedes` of PostgreSQL's transam.c).
fn precedes(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(xmin: u64, xmax: u64, running: &[u64]) -> SnapshotTaken {
        SnapshotTaken { taken_ms: 0, lsn: 0, xmin, xmax, running: running.to_vec(), waited_ms: 0 }
    }

    /// What PostgreSQL says, in 64 bits.
    fn truth(snapshot: &SnapshotTaken, transaction: u64) -> bool {
        transaction < snapshot.xmin
            || (transaction < snapshot.xmax && !snapshot.running.contains(&transaction))
    }

    #[test]
    fn every_transaction_around_a_snapshot_is_judged_as_postgresql_does_on_each_side_of_a_wraparound() {
        for epoch in [1_u64, 2, 7, u64::from(u32::MAX) - 1] {
            for offset in -40_i64..40 {
                let xmin = (epoch << 32).saturating_add_signed(offset);
                let snapshot = taken(xmin, xmin + 20, &[xmin, xmin + 3, xmin + 19]);
                let visibility = Visibility::new(&snapshot, 100);
                for distance in -60_i64..60 {
                    let transaction = xmin.saturating_add_signed(distance);
                    let expected = truth(&snapshot, transaction);
                    for known in [transaction, transaction & 0xffff_ffff] {
                        assert_eq!(visibility.sees(known, 100), expected, "{known} in {snapshot:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn transactions_are_judged_rightly_up_to_the_farthest_that_can_be_told() {
        let xmin = (3 << 32) + 1_000;
        let visibility = Visibility::new(&taken(xmin, xmin + 10, &[]), 0);
        for behind in [1, 1 << 20, (1 << 31) - 1, 1 << 31] {
            assert!(visibility.sees(xmin - behind, 0), "{behind} behind");
        }
        assert!(!visibility.sees(xmin + 10 + (1 << 30), 0));
    }

    #[test]
    fn a_row_below_the_safe_position_is_seen_although_its_number_was_used_again() {
        let xmin = (3 << 32) + 1_000;
        let snapshot = taken(xmin, xmin + 10, &[xmin + 5]);
        let visibility = Visibility::new(&snapshot, 500);
        let an_epoch_ago = [xmin + 5, xmin + 10, xmin + (1 << 30)].map(|now| now - (1 << 32));
        for transaction in an_epoch_ago {
            assert!(visibility.sees(transaction, 499), "{transaction}");
            assert!(!visibility.sees(transaction, 500), "{transaction}");
        }
        // An incremental snapshot's rows carry neither transaction nor position.
        assert!(visibility.sees(0, 0));
    }

    #[test]
    fn the_condition_names_running_transactions_by_their_lower_half() {
        let snapshot = taken((1 << 32) + 5, (1 << 32) + 9, &[(1 << 32) + 5, (1 << 32) + 7]);
        assert_eq!(
            Visibility::new(&snapshot, 77).condition(),
            "(source_lsn < 77 OR toInt32(toUInt32(source_tx) - toUInt32(5)) < 0 OR \
             (toInt32(toUInt32(source_tx) - toUInt32(9)) < 0 AND toUInt32(source_tx) NOT IN (5, 7)))"
        );
    }
}
