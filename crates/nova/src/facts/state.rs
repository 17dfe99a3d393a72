//! What a group's position means: whether `nova run` would go on from it, and if not, the command that goes on.
//!
//! Invariant: the same positions are refused here as by the ledger when a worker takes a partition over.

use std::ops::Range;

use nova_kafka::{PartitionLag, Position};
use nova_pipeline::{Intent, IntentError};
use serde::Serialize;

/// How it is with one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Read on from the committed offset.
    Ok,
    /// A batch was announced and may have been inserted; the next owner settles it first.
    OpenBatch,
    /// The group has no committed offset in the topic.
    NeverStarted,
    /// The next message that the group needs is gone.
    Expired,
    /// The group has read more than the topic holds: it was made anew.
    BeyondEnd,
    /// What stands beside the offset was written by another version.
    Unreadable,
}

impl State {
    /// Of one partition; `known_group` says whether the group has committed in any partition of the topic.
    pub fn of(position: &Position, known_group: bool) -> Self {
        let PartitionLag { partition, committed, low, high } = position.lag;
        let Some(committed) = committed else {
            // A partition that was added later is read whole, if it is whole.
            return match (known_group, low) {
                (false, _) => Self::NeverStarted,
                (true, 0) => Self::Ok,
                (true, _) => Self::Expired,
            };
        };
        if committed < low {
            return Self::Expired;
        }
        if committed > high {
            return Self::BeyondEnd;
        }
        match open_batch(position).map(|batch| batch.map(|batch| batch.ranges.end(partition))) {
            Err(_) => Self::Unreadable,
            Ok(Some(Some(end))) if end > high => Self::BeyondEnd,
            Ok(Some(_)) => Self::OpenBatch,
            Ok(None) => Self::Ok,
        }
    }

    /// Whether `nova run` halts at it.
    pub fn needs_decision(self) -> bool {
        !matches!(self, Self::Ok | Self::OpenBatch)
    }

    /// The command that goes on; empty when there is nothing to do.
    pub fn way_on(self, stream: &str, partition: i32) -> String {
        match self {
            Self::Ok | Self::OpenBatch => String::new(),
            Self::NeverStarted => format!(
                "nova offsets set --stream {stream} --to earliest --execute   \
                 (or once: nova run --stream {stream} --from-beginning)"
            ),
            Self::Expired => {
                format!("nova offsets set --stream {stream} --partition {partition} --to earliest --execute")
            }
            Self::BeyondEnd => format!("nova offsets set --stream {stream} --to earliest --execute"),
            Self::Unreadable => format!(
                "run the version of nova that wrote it, or the one before that, or: \
                 nova offsets set --stream {stream} --to committed --execute"
            ),
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::OpenBatch => "open batch",
            Self::NeverStarted => "never started",
            Self::Expired => "expired",
            Self::BeyondEnd => "beyond the end",
            Self::Unreadable => "written by another version",
        }
    }
}

/// The batch that was left open, as the metadata names it.
pub fn open_batch(position: &Position) -> Result<Option<Intent>, IntentError> {
    Intent::decode(&position.metadata)
}

/// The part of the open batch that lies in this partition.
pub fn open_range(position: &Position) -> Option<Range<i64>> {
    let batch = open_batch(position).ok().flatten()?;
    batch
        .ranges
        .iter()
        .find(|(partition, _)| *partition == position.lag.partition)
        .map(|(_, range)| range.clone())
}

#[cfg(test)]
pub fn position(partition: i32, committed: Option<i64>, held: Range<i64>, metadata: &str) -> Position {
    let lag = PartitionLag { partition, committed, low: held.start, high: held.end };
    Position { lag, metadata: metadata.to_owned() }
}

#[cfg(test)]
mod tests {
    use nova_pipeline::{Committed, Ledger, NewGroup, Watermarks};

    use super::*;

    const OPEN: &str = "n2 0.0.0.0.0 7 9 0:40+20,3:5+1";

    #[test]
    fn each_position_has_a_state_and_a_refused_one_a_command() {
        for (committed, held, metadata, state) in [
            (Some(40), 0..50, "", State::Ok),
            (Some(50), 50..50, "", State::Ok),
            (Some(40), 0..90, OPEN, State::OpenBatch),
            (Some(40), 0..50, OPEN, State::BeyondEnd),
            (Some(60), 0..50, "", State::BeyondEnd),
            (Some(40), 41..50, "", State::Expired),
            (Some(40), 0..50, "x9", State::Unreadable),
            (None, 0..50, "", State::Ok),
            (None, 1..50, "", State::Expired),
        ] {
            let position = position(0, committed, held.clone(), metadata);
            let found = State::of(&position, true);
            assert_eq!(found, state, "{committed:?} in {held:?} with `{metadata}`");
            assert_eq!(found.needs_decision(), found.way_on("likes", 0).contains("nova "), "{found:?}");
        }
        assert_eq!(State::of(&position(0, None, 0..50, ""), false), State::NeverStarted);
    }

    #[test]
    fn what_needs_a_decision_is_what_the_ledger_refuses() {
        for committed in [None, Some(0), Some(3), Some(5), Some(9), Some(10)] {
            for (low, high) in [(0, 0), (0, 4), (0, 9), (3, 9), (5, 5), (4, 20)] {
                for metadata in ["", "n2 0.0.0.0.0", "n2 0.0.0.0.0 7 9 0:3+4", "x9"] {
                    for known in [true, false] {
                        let other =
                            Committed { partition: 1, offset: known.then_some(0), metadata: String::new() };
                        let known = known || committed.is_some();
                        let position = position(0, committed, low..high, metadata);
                        let here =
                            Committed { partition: 0, offset: committed, metadata: metadata.to_owned() };
                        let mut ledger = Ledger::new("likes", "nova-likes", "cdc.likes", NewGroup::Refuse);
                        let held = [Watermarks { partition: 0, low, high }];
                        let refused = ledger.recover(&[here, other], &held).is_err();
                        // Without an offset there is nothing to stand beside it.
                        if committed.is_some() || metadata.is_empty() {
                            let state = State::of(&position, known);
                            assert_eq!(state.needs_decision(), refused, "{state:?}: {position:?}");
                        }
                    }
                }
            }
        }
    }
}
