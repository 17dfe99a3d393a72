//! What setting offsets would change: from where, to where, and which messages are skipped or read again.
//!
//! Invariant: a plan never leaves what the topic holds, and it counts every message that would not be read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

use nova_kafka::{PartitionLag, Position};
use thiserror::Error;

use crate::facts::{open_batch, open_range};

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// With the oldest message that is there.
    Earliest,
    /// Behind the newest.
    Latest,
    /// Where the group stands; with the oldest message where that offset is not there.
    Committed,
    /// At this offset.
    Offset(i64),
    /// With the first message that is not older, in milliseconds since 1970.
    Time(i64),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            "committed" => Ok(Self::Committed),
            _ => match (text.parse(), chrono::DateTime::parse_from_rfc3339(text)) {
                (Ok(offset), _) if offset >= 0 => Ok(Self::Offset(offset)),
                (_, Ok(time)) => Ok(Self::Time(time.timestamp_millis())),
                _ => Err(
                    "it is none of `earliest`, `latest`, `committed`, an offset such as 4711, or a time by \
                          RFC 3339 such as 2026-01-31T06:00:00Z"
                        .to_owned(),
                ),
            },
        }
    }
}

/// One partition's part of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The partition.
    pub partition: i32,
    /// The committed offset now.
    pub from: Option<i64>,
    /// The offset to commit.
    pub to: i64,
    /// Messages that are there and would not be read (at most: transaction markers take offsets too).
    pub skipped: i64,
    /// Messages that would be read a second time.
    pub again: i64,
    /// Messages that expired unread, whatever is done.
    pub expired: i64,
    /// The open batch's part in this partition; its announcement is dropped, and the table is asked instead.
    pub open: Option<Range<i64>>,
    /// Not asked for: it shares an open batch with one that is, and would settle it with that one's messages.
    pub shares_batch: bool,
}

/// A plan that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// There is no such partition.
    #[error("the topic has no partition {partition}; its partitions are 0 to {last}")]
    NoPartition {
        /// The one asked for.
        partition: i32,
        /// The last that there is.
        last: i32,
    },
    /// An offset means something in one partition only.
    #[error("an offset belongs to one partition; name it with --partition")]
    WhichPartition,
    /// Not in the topic.
    #[error("offset {offset} is not in partition {partition}, which holds {low} to {high} (its end)")]
    NotThere {
        /// The offset asked for.
        offset: i64,
        /// The partition.
        partition: i32,
        /// The oldest offset there.
        low: i64,
        /// The offset of the next message.
        high: i64,
    },
}

/// What would change. `chosen` are the partitions asked for, all when empty; `times` are the offsets that a
/// [`Target::Time`] stands for.
pub fn plan(
    positions: &[Position],
    target: Target,
    times: &BTreeMap<i32, i64>,
    chosen: &[i32],
) -> Result<Vec<Move>, PlanError> {
    let last = positions.last().map_or(-1, |position| position.lag.partition);
    if let Some(partition) = chosen.iter().copied().find(|partition| *partition > last) {
        return Err(PlanError::NoPartition { partition, last });
    }
    if matches!(target, Target::Offset(_)) && chosen.len() != 1 && positions.len() != 1 {
        return Err(PlanError::WhichPartition);
    }
    let is_chosen = |partition: i32| chosen.is_empty() || chosen.contains(&partition);
    let mut moves = Vec::new();
    for position in positions {
        let PartitionLag { partition, committed, .. } = position.lag;
        if is_chosen(partition) {
            let at_time = times.get(&partition).copied();
            moves.push(moved(position, offset_of(target, &position.lag, at_time)?, false));
        } else if let Some(committed) = committed.filter(|_| shares_batch(position, &is_chosen)) {
            moves.push(moved(position, committed, true));
        }
    }
    Ok(moves)
}

/// Whether the partition's metadata announces a batch that has messages of a chosen one.
fn shares_batch(position: &Position, is_chosen: &impl Fn(i32) -> bool) -> bool {
    let batch = open_batch(position).ok().flatten();
    batch.is_some_and(|batch| batch.ranges.iter().any(|(partition, _)| is_chosen(partition)))
}

fn offset_of(target: Target, lag: &PartitionLag, at_time: Option<i64>) -> Result<i64, PlanError> {
    let PartitionLag { partition, committed, low, high } = *lag;
    match target {
        Target::Earliest => Ok(low),
        Target::Latest => Ok(high),
        Target::Committed => Ok(committed.filter(|at| (low..=high).contains(at)).unwrap_or(low)),
        Target::Time(_) => Ok(at_time.unwrap_or(high).clamp(low, high)),
        Target::Offset(offset) if (low..=high).contains(&offset) => Ok(offset),
        Target::Offset(offset) => Err(PlanError::NotThere { offset, partition, low, high }),
    }
}

fn moved(position: &Position, to: i64, shares_batch: bool) -> Move {
    let PartitionLag { partition, committed, low, high } = position.lag;
    // Of a topic that was made anew the group has read nothing, whatever number it remembers.
    let read_to = committed.filter(|at| (low..=high).contains(at)).unwrap_or(low);
    Move {
        partition,
        from: committed,
        to,
        skipped: (to - read_to).max(0),
        again: (read_to - to).max(0),
        expired: position.lag.expired(),
        open: open_range(position),
        shares_batch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::position;

    fn one(position: Position, target: Target) -> (i64, i64, i64, i64) {
        let moves = plan(&[position], target, &BTreeMap::from([(0, 47)]), &[]).unwrap();
        let [Move { to, skipped, again, expired, .. }] = moves[..] else { panic!("{moves:?}") };
        (to, skipped, again, expired)
    }

    #[test]
    fn places_are_read_as_offsets_times_or_words() {
        for (text, target) in [
            ("earliest", Target::Earliest),
            ("latest", Target::Latest),
            ("committed", Target::Committed),
            ("0", Target::Offset(0)),
            ("1970-01-01T00:00:01Z", Target::Time(1_000)),
            ("1970-01-01T02:00:01.500+02:00", Target::Time(1_500)),
        ] {
            assert_eq!(text.parse(), Ok(target), "{text}");
        }
        for text in ["", "-1", "oldest", "2026-01-31", "1e3"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_skipped_read_again_or_gone_is_counted() {
        let known = || position(0, Some(40), 10..50, "");
        assert_eq!(one(known(), Target::Earliest), (10, 0, 30, 0));
        assert_eq!(one(known(), Target::Latest), (50, 10, 0, 0));
        assert_eq!(one(known(), Target::Committed), (40, 0, 0, 0));
        assert_eq!(one(known(), Target::Offset(45)), (45, 5, 0, 0));
        assert_eq!(one(known(), Target::Time(1)), (47, 7, 0, 0));
        let expired = || position(0, Some(3), 10..50, "");
        assert_eq!(one(expired(), Target::Earliest), (10, 0, 0, 7));
        assert_eq!(one(expired(), Target::Committed), (10, 0, 0, 7));
        assert_eq!(one(expired(), Target::Latest), (50, 40, 0, 7));
        let new = || position(0, None, 10..50, "");
        assert_eq!(one(new(), Target::Earliest), (10, 0, 0, 0));
        assert_eq!(one(new(), Target::Latest), (50, 40, 0, 0));
        let made_again = || position(0, Some(90), 0..50, "");
        assert_eq!(one(made_again(), Target::Committed), (0, 0, 0, 0));
        assert_eq!(one(made_again(), Target::Latest), (50, 50, 0, 0));
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        let both = [position(0, Some(4), 2..9, ""), position(1, Some(4), 0..9, "")];
        let refused = |target, chosen: &[i32]| plan(&both, target, &BTreeMap::new(), chosen).unwrap_err();
        assert_eq!(refused(Target::Latest, &[0, 7]), PlanError::NoPartition { partition: 7, last: 1 });
        assert_eq!(refused(Target::Offset(4), &[]), PlanError::WhichPartition);
        let text = refused(Target::Offset(1), &[0]).to_string();
        assert!(text.contains("offset 1 ") && text.contains("2 to 9"), "{text}");
        let end = plan(&both, Target::Offset(9), &BTreeMap::new(), &[0]).unwrap();
        assert_eq!(end.len(), 1, "the end is a place, and nobody else moves: {end:?}");
    }

    #[test]
    fn an_open_batch_is_named_and_its_other_partitions_drop_it_too() {
        let batch = "n2 0.0.0.0.0 7 9 0:40+5,1:3+4";
        let all = [
            position(0, Some(40), 0..50, batch),
            position(1, Some(3), 5..50, batch),
            position(2, Some(3), 0..50, ""),
        ];
        let moves = plan(&all, Target::Earliest, &BTreeMap::new(), &[1]).unwrap();
        let told: Vec<_> =
            moves.iter().map(|m| (m.partition, m.to, m.open.clone(), m.shares_batch)).collect();
        assert_eq!(told, [(0, 40, Some(40..45), true), (1, 5, Some(3..7), false)]);
        assert!(moves.iter().all(|m| m.skipped == 0), "{moves:?}");
    }
}
