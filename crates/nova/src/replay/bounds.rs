//! Which offsets a replay covers, by partition; and what is refused, with what is possible instead.
//!
//! Invariant: into the stream's own table nothing is replayed that the live group has not committed, since both would write it;
//! and nothing that was asked for and is gone is passed over in silence.

use std::collections::BTreeMap;

use nova_kafka::PartitionLag;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::args::{Place, time};

/// Offsets of one partition: `from..to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The partition.
    pub partition: i32,
    /// The first offset.
    pub from: i64,
    /// The offset behind the last.
    pub to: i64,
}

impl Part {
    /// Offsets in it: messages, and markers of transactions.
    pub fn offsets(&self) -> u64 {
        u64::try_from(self.to.saturating_sub(self.from)).unwrap_or_default()
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The stream's consumer group.
    pub group: &'a str,
    /// Where to begin.
    pub from: Place,
    /// Where to end.
    pub to: Place,
    /// These partitions alone; all when empty.
    pub partitions: &'a [i32],
    /// Whether another table than the stream's own is written.
    pub elsewhere: bool,
}

/// What Kafka says about times, by partition.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// The time that is asked for as the beginning, in milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// The offset that it stands for.
    pub from: BTreeMap<i32, i64>,
    /// The offset that the end stands for.
    pub to: BTreeMap<i32, i64>,
    /// The time of the oldest message that is there.
    pub oldest_ms: BTreeMap<i32, i64>,
}

/// What will be replayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bounds {
    /// What holds messages.
    pub parts: Vec<Part>,
    /// What is to be known about it.
    pub notes: Vec<String>,
}

/// A range that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// There is no such partition.
    #[error("{topic} has no partition {partition}; it has {count}, numbered from 0")]
    NoPartition {
        /// The topic.
        topic: String,
        /// The one asked for.
        partition: i32,
        /// How many there are.
        count: usize,
    },
    /// An offset means something in one partition only.
    #[error("an offset belongs to one partition, and {topic} has {count}; name one with --partition")]
    WhichPartition {
        /// The topic.
        topic: String,
        /// How many there are.
        count: usize,
    },
    /// The group has committed nothing.
    #[error(
        "the consumer group `{group}` has never committed an offset in {topic}: all of it is the live stream's to deliver, and \
         a replay into the same table would write the same rows"
    )]
    NeverRead {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
    },
    /// The group has committed more than there is.
    #[error(
        "the consumer group `{group}` stands at {committed} in {topic}[{partition}], which ends at {high}: the topic was deleted \
         and made again"
    )]
    MadeAgain {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where the group stands.
        committed: i64,
        /// The end.
        high: i64,
    },
    /// Retention has deleted what is asked for.
    #[error(
        "{topic}[{partition}] holds nothing before offset {low}{since}; what was asked for from {asked} on has expired"
    )]
    Expired {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The oldest offset that is there.
        low: i64,
        /// Its time, in words; empty where it is not known.
        since: String,
        /// The place asked for.
        asked: String,
    },
}

/// The ranges of what is asked for.
pub fn bounds(asked: &Asked<'_>, held: &[PartitionLag], times: &Times) -> Result<Bounds, Refused> {
    let (topic, count) = (asked.topic.to_owned(), held.len());
    let unknown = asked.partitions.iter().find(|wanted| held.iter().all(|lag| lag.partition != **wanted));
    if let Some(partition) = unknown {
        return Err(Refused::NoPartition { topic, partition: *partition, count });
    }
    let is_offset = |place| matches!(place, Place::Offset(_));
    if (is_offset(asked.from) || is_offset(asked.to)) && count > 1 && asked.partitions.len() != 1 {
        return Err(Refused::WhichPartition { topic, count });
    }
    if !asked.elsewhere && held.iter().all(|lag| lag.committed.is_none()) {
        return Err(Refused::NeverRead { group: asked.group.to_owned(), topic });
    }
    let mut bounds = Bounds::default();
    for lag in held {
        if asked.partitions.is_empty() || asked.partitions.contains(&lag.partition) {
            let part = part(asked, lag, times, &mut bounds.notes)?;
            bounds.parts.extend(part.filter(|part| part.from < part.to));
        }
    }
    Ok(bounds)
}

fn part(
    asked: &Asked<'_>,
    lag: &PartitionLag,
    times: &Times,
    notes: &mut Vec<String>,
) -> Result<Option<Part>, Refused> {
    let PartitionLag { partition, committed, high, .. } = *lag;
    let place = format!("{}[{partition}]", asked.topic);
    if let Some(committed) = committed.filter(|committed| *committed > high && !asked.elsewhere) {
        let (group, topic) = (asked.group.to_owned(), asked.topic.to_owned());
        return Err(Refused::MadeAgain { group, topic, partition, committed, high });
    }
    let read_to = committed.filter(|committed| *committed <= high);
    let limit = match (asked.elsewhere, read_to) {
        (true, _) => high,
        (false, Some(committed)) => committed,
        (false, None) => {
            notes.push(format!("{place} was never read by the live stream, which will read all of it"));
            return Ok(None);
        }
    };
    let wanted = match asked.to {
        Place::Now | Place::Earliest => read_to.unwrap_or(limit),
        Place::Offset(offset) => offset,
        Place::Time(_) | Place::Ago(_) => times.to.get(&partition).copied().unwrap_or(limit),
    };
    if wanted > limit && wanted.min(high) > limit {
        notes.push(format!(
            "{place} ends at {limit}, not {wanted}: what lies behind is the live stream's to deliver"
        ));
    } else if wanted > high {
        notes.push(format!("{place} ends at {high}, not {wanted}: there is no more"));
    }
    let from = start(asked, lag, times, notes)?;
    Ok(Some(Part { partition, from, to: wanted.min(limit) }))
}

fn start(
    asked: &Asked<'_>,
    lag: &PartitionLag,
    times: &Times,
    notes: &mut Vec<String>,
) -> Result<i64, Refused> {
    let PartitionLag { partition, low, high, .. } = *lag;
    let oldest_ms = times.oldest_ms.get(&partition).copied();
    let expired = || {
        Err(Refused::Expired {
            topic: asked.topic.to_owned(),
            partition,
            low,
            since: oldest_ms.map_or(String::new(), |oldest_ms| format!(" ({})", time(oldest_ms))),
            asked: asked.from.to_string(),
        })
    };
    match asked.from {
        Place::Earliest | Place::Now => {
            if low > 0 {
                notes.push(format!(
                    "{}[{partition}] begins at {low}: what was before has expired",
                    asked.topic
                ));
            }
            Ok(low)
        }
        Place::Offset(offset) if offset < low => expired(),
        Place::Offset(offset) => Ok(offset),
        Place::Time(_) | Place::Ago(_) => {
            let from = times.from.get(&partition).copied().unwrap_or(high);
            // Where nothing was deleted yet, nothing older ever was.
            let is_older = times.from_ms.zip(oldest_ms).is_some_and(|(asked, oldest)| asked < oldest);
            if from <= low && low > 0 && is_older { expired() } else { Ok(from.max(low)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'_> = Asked {
        topic: "cdc.likes",
        group: "nova-likes",
        from: Place::Earliest,
        to: Place::Now,
        partitions: &[],
        elsewhere: false,
    };

    fn lag(partition: i32, committed: Option<i64>, low: i64, high: i64) -> PartitionLag {
        PartitionLag { partition, committed, low, high }
    }

    /// One partition's range, and how many notes there are.
    fn one(asked: Asked<'_>, lag: PartitionLag) -> Result<(Option<(i64, i64)>, usize), Refused> {
        let times = Times {
            from_ms: Some(5_000),
            from: BTreeMap::from([(0, 60)]),
            to: BTreeMap::from([(0, 70)]),
            oldest_ms: BTreeMap::from([(0, 4_000)]),
        };
        let Bounds { parts, notes } = bounds(&asked, &[lag], &times)?;
        Ok((parts.first().map(|part| (part.from, part.to)), notes.len()))
    }

    #[test]
    fn what_is_there_and_read_is_replayed_and_what_is_cut_off_is_said() {
        use Place::{Ago, Earliest, Now, Offset, Time};
        let day = Ago(std::time::Duration::from_secs(86_400));
        for (from, to, committed, low, expected, notes) in [
            (Earliest, Now, Some(80), 0, Some((0, 80)), 0),
            (Earliest, Now, Some(80), 20, Some((20, 80)), 1),
            (Offset(30), Offset(50), Some(80), 20, Some((30, 50)), 0),
            (Offset(30), Offset(90), Some(80), 20, Some((30, 80)), 1),
            (Offset(30), Offset(900), Some(100), 20, Some((30, 100)), 1),
            (Time(5_000), Time(6_000), Some(80), 20, Some((60, 70)), 0),
            (Time(5_000), day, Some(65), 20, Some((60, 65)), 1),
            (day, Now, Some(10), 20, None, 0),
            (Offset(80), Now, Some(80), 0, None, 0),
        ] {
            let asked = Asked { from, to, ..ASKED };
            let found = one(asked, lag(0, committed, low, 100));
            assert_eq!(found, Ok((expected, notes)), "{from} to {to} of {committed:?} from {low}");
        }
    }

    #[test]
    fn another_table_may_be_given_what_nobody_has_read() {
        let asked = Asked { elsewhere: true, ..ASKED };
        assert_eq!(one(asked, lag(0, None, 0, 100)), Ok((Some((0, 100)), 0)));
        assert_eq!(one(asked, lag(0, Some(80), 0, 100)), Ok((Some((0, 80)), 0)), "now is the live group's");
        assert_eq!(
            one(Asked { to: Place::Offset(95), ..asked }, lag(0, Some(80), 0, 100)),
            Ok((Some((0, 95)), 0))
        );
        assert_eq!(one(asked, lag(0, Some(200), 0, 100)), Ok((Some((0, 100)), 0)));
    }

    #[test]
    fn what_is_gone_or_never_was_is_refused_with_what_there_is() {
        let refused = |asked, lag| one(asked, lag).unwrap_err().to_string();
        let from = |from| Asked { from, ..ASKED };
        let text = refused(from(Place::Offset(19)), lag(0, Some(80), 20, 100));
        assert!(
            text.contains("before offset 20 (1970-01-01T00:00:04Z)") && text.contains("from 19 on"),
            "{text}"
        );
        let mut times = Times { from_ms: Some(3_000), from: BTreeMap::from([(0, 20)]), ..Times::default() };
        times.oldest_ms.insert(0, 4_000);
        let older = bounds(&from(Place::Time(3_000)), &[lag(0, Some(80), 20, 100)], &times);
        assert!(matches!(older, Err(Refused::Expired { low: 20, .. })), "{older:?}");
        let whole = bounds(&from(Place::Time(3_000)), &[lag(0, Some(80), 0, 100)], &times);
        assert_eq!(whole.unwrap().parts[0].from, 20, "nothing was ever deleted");
        let text = refused(ASKED, lag(0, None, 0, 100));
        assert!(text.contains("`nova-likes` has never committed"), "{text}");
        let text = refused(ASKED, lag(0, Some(101), 0, 100));
        assert!(text.contains("deleted and made again"), "{text}");
        let text = refused(Asked { partitions: &[4], ..ASKED }, lag(0, Some(1), 0, 1));
        assert_eq!(text, "cdc.likes has no partition 4; it has 1, numbered from 0");
        let two = [lag(0, Some(1), 0, 1), lag(1, Some(1), 0, 1)];
        let which = bounds(&from(Place::Offset(0)), &two, &Times::default());
        assert!(matches!(which, Err(Refused::WhichPartition { count: 2, .. })), "{which:?}");
        let chosen = bounds(&Asked { partitions: &[1], ..from(Place::Offset(0)) }, &two, &Times::default());
        assert_eq!(chosen.unwrap().parts, [Part { partition: 1, from: 0, to: 1 }]);
    }

    #[test]
    fn an_added_partition_that_nobody_has_read_is_left_to_the_live_stream() {
        let both = [lag(0, Some(5), 0, 9), lag(1, None, 0, 9)];
        let Bounds { parts, notes } = bounds(&ASKED, &both, &Times::default()).unwrap();
        assert_eq!(parts, [Part { partition: 0, from: 0, to: 5 }]);
        assert!(notes[0].contains("cdc.likes[1] was never read"), "{notes:?}");
    }
}
