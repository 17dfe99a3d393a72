//! Where a stream's consumer group stands in its topic: in messages, in time, and against the topic's retention.
//!
//! Invariant: what is said of the whole is the sum, or the worst, of what is said of its partitions.

use nova_kafka::{GroupStanding, KafkaConnection, PartitionLag, Position, group_standing, topic_facts};
use nova_pipeline::PipelineError;
use serde::Serialize;

use super::state::{State, open_batch, open_range};
use crate::words::span;

/// A group in its topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// The topic's `retention.ms`; -1 keeps for ever, `None` is unknown.
    pub retention_ms: Option<i64>,
    /// The members as `client (host)`; `None` where the broker does not tell, as of groups by KIP-848.
    pub members: Option<Vec<String>>,
    /// By partition, ascending.
    pub partitions: Vec<PartitionFacts>,
}

/// A group in one partition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartitionFacts {
    /// The partition.
    pub partition: i32,
    /// The next offset that the group reads; `None` if it never committed.
    pub committed: Option<i64>,
    /// The oldest offset that is there.
    pub low: i64,
    /// The offset behind the newest.
    pub high: i64,
    /// [`PartitionLag::messages`].
    pub lag: i64,
    /// How old the oldest unread message is, in seconds; `None` if all is read.
    pub lag_seconds: Option<f64>,
    /// [`PartitionLag::expired`].
    pub expired: i64,
    /// [`PartitionLag::retention_used`].
    pub retention_used: f64,
    /// Until retention may delete the next message that the group needs (it deletes whole segments, so later rather
    /// than sooner); `None` when there is no such message or no such time.
    pub hours_left: Option<f64>,
    /// Whether `nova run` goes on from here.
    pub state: State,
    /// Start and end of the open batch in this partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_batch: Option<[i64; 2]>,
    /// How long ago the open batch was announced, by the worker's clock, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_seconds: Option<f64>,
}

/// A batch takes the linger and an insert; one that is open for longer is being tried again.
pub const OPEN_SECONDS: f64 = 60.0;

/// The topic's `retention.ms`; who may not see it still sees the offsets.
async fn retention_of(connection: &KafkaConnection, topic: &str) -> Option<i64> {
    topic_facts(connection, topic).await.ok().and_then(|facts| facts.retention_ms)
}

/// Where `group` stands in `topic`, whose `retention.ms` is asked for if it is not known.
///
/// # Errors
/// As [`group_standing`].
pub async fn standing(
    connection: &KafkaConnection,
    group: &str,
    topic: &str,
    retention_ms: Option<i64>,
) -> Result<Standing, PipelineError> {
    let retention = async {
        match retention_ms {
            Some(known) => Some(known),
            None => retention_of(connection, topic).await,
        }
    };
    let (found, retention_ms) = tokio::join!(group_standing(connection, group, topic), retention);
    Ok(Standing::of(found?, retention_ms, chrono::Utc::now().timestamp_millis()))
}

impl Standing {
    pub(super) fn of(found: GroupStanding, retention_ms: Option<i64>, now_ms: i64) -> Self {
        let GroupStanding { positions, unread_since_ms, members } = found;
        let known_group = positions.iter().any(|position| position.lag.committed.is_some());
        let partition = |position: &Position| {
            let since_ms = unread_since_ms.get(&position.lag.partition).copied();
            PartitionFacts::of(position, known_group, since_ms, retention_ms, now_ms)
        };
        Self { retention_ms, members, partitions: positions.iter().map(partition).collect() }
    }

    /// Messages that the group has not read, at most so many; 0 where only markers of transactions are left.
    pub fn unread(&self) -> i64 {
        self.partitions.iter().filter(|at| at.lag_seconds.is_some()).map(|at| at.lag).sum()
    }

    /// How old the oldest unread message is, in seconds.
    pub fn lag_seconds(&self) -> Option<f64> {
        self.partitions.iter().filter_map(|at| at.lag_seconds).max_by(f64::total_cmp)
    }

    /// The greatest share of what is kept that lies before the group.
    pub fn retention_used(&self) -> f64 {
        self.partitions.iter().map(|at| at.retention_used).fold(0.0, f64::max)
    }

    /// The shortest time to the expiry of an unread message, in hours.
    pub fn hours_left(&self) -> Option<f64> {
        self.partitions.iter().filter_map(|at| at.hours_left).min_by(f64::total_cmp)
    }

    /// The partition that says most about the stream: one that needs a decision, else one whose batch has been open for
    /// longest, else any.
    pub fn worst(&self) -> Option<&PartitionFacts> {
        let rank = |at: &&PartitionFacts| (at.state.needs_decision(), at.open_seconds.unwrap_or(-1.0));
        let by = |one: &&PartitionFacts, other: &&PartitionFacts| {
            let (one, other) = (rank(one), rank(other));
            one.0.cmp(&other.0).then(one.1.total_cmp(&other.1))
        };
        // The first of equals, not the last.
        self.partitions.iter().rev().max_by(by)
    }

    /// In a few words.
    pub fn words(&self) -> String {
        let unread = self.lag_seconds().is_some();
        let nobody = self.members.as_ref().is_some_and(Vec::is_empty);
        match self.worst() {
            Some(worst) if worst.state.needs_decision() => worst.state.words().to_owned(),
            _ if nobody && unread => "nobody reads it".to_owned(),
            _ if nobody => "no members".to_owned(),
            Some(PartitionFacts { open_seconds: Some(open), .. }) if *open > OPEN_SECONDS => {
                format!("batch open for {}", span(*open))
            }
            _ => "ok".to_owned(),
        }
    }

    /// Offsets read, and offsets written, since each partition began: what rates are the differences of.
    pub(super) fn passed(&self) -> (i64, i64) {
        let read = self.partitions.iter().map(|at| at.committed.unwrap_or(at.low)).sum();
        (read, self.partitions.iter().map(|at| at.high).sum())
    }
}

impl PartitionFacts {
    /// `since_ms` is the time of the oldest unread message, in milliseconds since 1970.
    pub fn of(
        position: &Position,
        known_group: bool,
        since_ms: Option<i64>,
        retention_ms: Option<i64>,
        now_ms: i64,
    ) -> Self {
        let lag = position.lag;
        let PartitionLag { partition, committed, low, high } = lag;
        let intent = open_batch(position).ok().flatten();
        let next_is_there = committed.is_some_and(|at| at >= low);
        let kept = retention_ms.filter(|kept| *kept > 0 && next_is_there).zip(since_ms);
        let seconds_since = |then_ms: i64| seconds(now_ms.saturating_sub(then_ms)).max(0.0);
        let left = kept.map(|(kept, since)| seconds(since.saturating_add(kept).saturating_sub(now_ms)));
        Self {
            partition,
            committed,
            low,
            high,
            lag: lag.messages(),
            lag_seconds: since_ms.map(seconds_since),
            expired: lag.expired(),
            retention_used: lag.retention_used(),
            hours_left: left.map(|seconds| (seconds / 3600.0).max(0.0)),
            state: State::of(position, known_group),
            open_batch: open_range(position).map(|range| [range.start, range.end]),
            open_seconds: intent.map(|intent| seconds_since(intent.created_ms)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::state::position;
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn standing(partitions: &[(Option<i64>, &str)], unread: &[(i32, i64)]) -> Standing {
        let position = |(number, (committed, metadata)): (usize, &(Option<i64>, &str))| {
            position(i32::try_from(number).unwrap(), *committed, 10..50, metadata)
        };
        let found = GroupStanding {
            positions: partitions.iter().enumerate().map(position).collect(),
            unread_since_ms: unread.iter().copied().collect(),
            members: Some(Vec::new()),
        };
        Standing::of(found, Some(2 * HOUR_MS), 10 * HOUR_MS)
    }

    #[test]
    fn markers_are_no_lag_and_the_whole_is_the_worst() {
        let found = standing(
            &[(Some(40), ""), (Some(48), ""), (Some(30), "n2 0.0.0.0.0 35995000 9 2:30+5")],
            &[(0, 10 * HOUR_MS - 60_000), (2, 9 * HOUR_MS)],
        );
        assert_eq!(found.unread(), 30, "the second partition has a marker alone");
        assert_eq!(found.lag_seconds(), Some(3600.0));
        assert_eq!(found.hours_left(), Some(1.0));
        assert!((found.retention_used() - 0.5).abs() < 1e-9);
        assert_eq!(found.passed(), (118, 150));
        let worst = found.worst().unwrap();
        assert_eq!((worst.partition, worst.state, worst.open_seconds), (2, State::OpenBatch, Some(5.0)));
        assert_eq!(found.words(), "nobody reads it");
        let read = |members| Standing { members, ..found.clone() }.words();
        assert_eq!(read(None), "ok", "who cannot see members says nothing of them");
        let old = standing(&[(Some(30), "n2 0.0.0.0.0 35000000 9 0:30+5")], &[]);
        assert_eq!(Standing { members: None, ..old.clone() }.words(), "batch open for 17m");
        assert_eq!(old.words(), "no members");
    }

    #[test]
    fn what_needs_a_decision_says_more_than_an_open_batch() {
        let found =
            standing(&[(Some(30), "n2 0.0.0.0.0 1 9 0:30+5"), (Some(3), ""), (Some(50), "")], &[(1, 1)]);
        let worst = found.worst().unwrap();
        assert_eq!((worst.partition, worst.state, worst.expired), (1, State::Expired, 7));
        assert_eq!(worst.hours_left, None, "it is gone already");
        assert_eq!(standing(&[(Some(50), ""), (Some(50), "")], &[]).worst().unwrap().partition, 0);
    }
}
