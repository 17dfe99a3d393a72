//! Histories that were wrong once.

use super::exhaustive::alone;
use super::{At, Case, Fault};

/// The group throws a member out, and gives it the same partitions back before its batch is sent: the messages in hand
/// were announced a second time, beside the same messages read again.
#[test]
fn partitions_lost_and_given_back_at_once() {
    alone().with(&[(At::Effect(3), Fault::Evict(0))]).must_hold();
}

/// The same while a batch is being written: its end was committed for the new ownership, too.
#[test]
fn partitions_lost_and_given_back_during_an_insert() {
    let world = Case { processes: 1, interval_ms: 1_000, batch_rows: 1, ..Case::default() };
    for after_ms in [0, 500, 1_500] {
        world.with(&[(At::Insert(0), Fault::Slow(4)), (At::Effect(9), Fault::Evict(after_ms))]).must_hold();
    }
}
