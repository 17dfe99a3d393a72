//! Which offsets an audit covers, by partition.
//!
//! Invariant: nothing behind the group's committed offset is audited, because it is not owed yet; and whatever was asked
//! for and cannot be audited is said.

use std::collections::BTreeMap;

use nova_kafka::{KafkaConnection, PartitionLag, describe, offsets_by_time};
use nova_pipeline::{ErrorKind, PipelineError};

use super::report::PartitionAudit;

/// Where an audit begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// With the oldest message that the topic holds.
    Earliest,
    /// Where the group stands.
    Committed,
    /// At this offset.
    Offset(i64),
    /// With the first message that is not older, in milliseconds since 1970.
    Time(i64),
}

/// What to audit.
#[derive(Debug, Clone)]
pub struct AuditScope {
    /// The first message.
    pub from: Bound,
    /// The message behind the last one.
    pub to: Bound,
    /// These partitions alone; all when empty.
    pub partitions: Vec<i32>,
}

/// What will be audited of a topic, and where its group stood when that was decided.
#[derive(Debug, Clone)]
pub struct AuditPlan {
    /// The stream's consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The ranges, nothing counted yet.
    pub(super) partitions: Vec<PartitionAudit>,
    /// All partitions of the topic, whether audited or not.
    pub(super) held: Vec<PartitionLag>,
}

impl AuditPlan {
    /// Asks Kafka where the group stands and what the topic holds.
    ///
    /// # Errors
    /// `Misconfigured` for a missing topic or partition, `AccessDenied`, `Unavailable`.
    pub async fn make(
        connection: &KafkaConnection,
        group: &str,
        topic: &str,
        scope: &AuditScope,
    ) -> Result<Self, PipelineError> {
        let held = describe(connection, group, topic).await?.partitions;
        let mut times = [BTreeMap::new(), BTreeMap::new()];
        for (times, bound) in times.iter_mut().zip([scope.from, scope.to]) {
            if let Bound::Time(time_ms) = bound {
                *times = offsets_by_time(connection, topic, time_ms).await?.into_iter().collect();
            }
        }
        let partitions = ranges(topic, &held, scope, &times)?;
        Ok(Self { group: group.to_owned(), topic: topic.to_owned(), partitions, held })
    }

    /// Offsets that will be audited.
    #[must_use]
    pub fn offsets(&self) -> u64 {
        self.partitions.iter().map(|part| u64::try_from(part.to - part.from).unwrap_or_default()).sum()
    }
}

fn ranges(
    topic: &str,
    held: &[PartitionLag],
    scope: &AuditScope,
    times: &[BTreeMap<i32, i64>; 2],
) -> Result<Vec<PartitionAudit>, PipelineError> {
    let unknown = scope.partitions.iter().find(|asked| held.iter().all(|lag| lag.partition != **asked));
    if let Some(partition) = unknown {
        let message = format!("{topic} has no partition {partition}; it has {}, numbered from 0", held.len());
        return Err(PipelineError::new(ErrorKind::Misconfigured, message));
    }
    let chosen =
        held.iter().filter(|lag| scope.partitions.is_empty() || scope.partitions.contains(&lag.partition));
    Ok(chosen.map(|lag| range(lag, scope, times)).collect())
}

fn range(lag: &PartitionLag, scope: &AuditScope, [from, to]: &[BTreeMap<i32, i64>; 2]) -> PartitionAudit {
    let PartitionLag { partition, committed, low, high } = *lag;
    let mut audit = PartitionAudit { partition, committed, ..PartitionAudit::default() };
    let Some(committed) = committed else {
        audit.notes.push("the group has never committed here: nothing is owed yet".to_owned());
        (audit.from, audit.to) = (low, low);
        return audit;
    };
    if committed > high {
        audit.notes.push(format!(
            "the group stands at {committed}, behind the end of the partition at {high}: the topic was deleted and made \
             again"
        ));
    }
    let owed = committed.min(high);
    let end = match scope.to {
        Bound::Earliest => low,
        Bound::Committed => owed,
        Bound::Offset(offset) => offset,
        Bound::Time(_) => to.get(&partition).copied().unwrap_or(owed),
    };
    if let Bound::Offset(asked) = scope.to
        && asked > owed
    {
        audit.notes.push(format!("audited up to {owed}, not {asked}: what lies behind is not committed yet"));
    }
    let end = end.min(owed);
    let start = match scope.from {
        Bound::Earliest => 0,
        Bound::Committed => owed,
        Bound::Offset(offset) => offset,
        // What is older than the oldest message has expired; nobody knows how much of it there was.
        Bound::Time(_) => from.get(&partition).copied().unwrap_or(owed),
    };
    audit.lost = (start < low.min(end)).then_some([start, low.min(end)]);
    audit.to = end.max(low);
    audit.from = start.clamp(low, audit.to);
    audit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(committed: Option<i64>, held: std::ops::Range<i64>, from: Bound, to: Bound) -> PartitionAudit {
        let lag = PartitionLag { partition: 3, committed, low: held.start, high: held.end };
        let times = [BTreeMap::from([(3, 60)]), BTreeMap::from([(3, 70)])];
        range(&lag, &AuditScope { from, to, partitions: Vec::new() }, &times)
    }

    #[test]
    fn what_is_owed_and_held_is_audited_and_the_rest_is_said() {
        use Bound::{Committed, Earliest, Offset, Time};
        for (committed, held, from, to, expected, lost, notes) in [
            (Some(80), 0..100, Earliest, Committed, 0..80, None, 0),
            (Some(80), 20..100, Earliest, Committed, 20..80, Some([0, 20]), 0),
            (Some(80), 20..100, Offset(30), Offset(50), 30..50, None, 0),
            (Some(80), 20..100, Offset(10), Offset(90), 20..80, Some([10, 20]), 1),
            (Some(80), 20..100, Time(1), Time(2), 60..70, None, 0),
            (Some(65), 20..100, Time(1), Time(2), 60..65, None, 0),
            (Some(10), 20..100, Earliest, Committed, 20..20, Some([0, 10]), 0),
            (Some(80), 0..50, Earliest, Committed, 0..50, None, 1),
            (Some(80), 20..100, Offset(90), Committed, 80..80, None, 0),
            (None, 20..100, Earliest, Committed, 20..20, None, 1),
        ] {
            let found = planned(committed, held.clone(), from, to);
            let case = format!("{committed:?} in {held:?} from {from:?} to {to:?}: {found:?}");
            assert_eq!(
                (found.from..found.to, found.lost, found.notes.len()),
                (expected, lost, notes),
                "{case}"
            );
        }
    }

    #[test]
    fn a_partition_that_is_not_there_is_refused() {
        let held = [PartitionLag { partition: 0, committed: None, low: 0, high: 0 }];
        let scope = AuditScope { from: Bound::Earliest, to: Bound::Committed, partitions: vec![4] };
        let error = ranges("cdc.likes", &held, &scope, &Default::default()).unwrap_err();
        assert_eq!(error.message, "cdc.likes has no partition 4; it has 1, numbered from 0");
    }
}
