//! Which offsets are whose, from assignment to commit. Pure: no I/O, no clock.
//!
//! Invariant: an offset is committed only for a partition that this member owns, only after the batch that holds it
//! is durable, and never past a message that is still in hand.
//!
//! Today a batch that was inserted and not yet committed is read again after a crash. Exactly-once hangs on this
//! module alone: the intent (ranges, token) goes into [`OffsetCommit::metadata`] before the insert, and
//! [`Ledger::recover`] re-forms an open batch from [`Committed::metadata`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::{Committed, ErrorKind, OffsetCommit, PipelineError, StartAt, Watermarks};

/// The offset ranges of one batch, by partition of one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(BTreeMap<i32, Range<i64>>);

impl Ranges {
    /// Extends the partition's range by the message at `offset`; offsets arrive in ascending order, with gaps.
    pub fn extend(&mut self, partition: i32, offset: i64) {
        let end = offset.saturating_add(1);
        self.0.entry(partition).and_modify(|range| range.end = end).or_insert(offset..end);
    }

    /// The ranges, by partition.
    pub fn iter(&self) -> impl Iterator<Item = (i32, &Range<i64>)> {
        self.0.iter().map(|(partition, range)| (*partition, range))
    }

    /// Whether there is nothing in the batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The batch's name for ClickHouse's de-duplication: a digest of topic, table and ranges, the same whenever the
    /// same batch is formed again. 32 hexadecimal digits.
    #[must_use]
    pub fn token(&self, topic: &str, table: &str) -> String {
        let mut digest = Sha256::new();
        for part in [topic, table] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        for (partition, range) in &self.0 {
            digest.update(partition.to_be_bytes());
            digest.update(range.start.to_be_bytes());
            digest.update(range.end.to_be_bytes());
        }
        digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What to do with a group that has never committed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewGroup {
    /// Refuse, and say how to start.
    Refuse,
    /// Read everything that the topic still holds.
    FromBeginning,
}

/// The partitions that this member owns.
#[derive(Debug)]
pub struct Ledger {
    group: String,
    topic: String,
    new_group: NewGroup,
    owned: BTreeSet<i32>,
}

impl Ledger {
    /// A ledger that owns nothing yet.
    #[must_use]
    pub fn new(group: &str, topic: &str, new_group: NewGroup) -> Self {
        Self { group: group.to_owned(), topic: topic.to_owned(), new_group, owned: BTreeSet::new() }
    }

    /// The partitions owned now.
    #[must_use]
    pub fn owned(&self) -> usize {
        self.owned.len()
    }

    /// Takes partitions over: from where each is read, by what the group committed and the broker still holds.
    ///
    /// `committed` covers every partition of the topic, since a partition without commit means a new group or a
    /// partition that was added later, and only the others tell which.
    ///
    /// # Errors
    /// A new group (unless told to begin), an expired offset, or one beyond the end: never a silent jump.
    pub fn recover(
        &mut self,
        committed: &[Committed],
        watermarks: &[Watermarks],
    ) -> Result<Vec<StartAt>, PipelineError> {
        let known_group = committed.iter().any(|position| position.offset.is_some());
        let mut starts = Vec::with_capacity(watermarks.len());
        for Watermarks { partition, low, high } in watermarks.iter().copied() {
            let found = committed.iter().find(|position| position.partition == partition);
            let offset = match found.and_then(|position| position.offset) {
                Some(offset) if (low..=high).contains(&offset) => offset,
                Some(offset) if offset < low => return Err(self.expired(partition, offset, low)),
                Some(offset) => return Err(self.beyond_end(partition, offset, high)),
                // Added after the group began: all of it is new, and all of it must still be there.
                None if known_group && low == 0 => 0,
                None if known_group => return Err(self.expired(partition, 0, low)),
                None if self.new_group == NewGroup::FromBeginning => low,
                None => return Err(self.never_started()),
            };
            starts.push(StartAt { partition, offset });
        }
        self.owned.extend(starts.iter().map(|start| start.partition));
        Ok(starts)
    }

    /// The commits that establish a group's start, so that a restart before the first batch finds the same place.
    #[must_use]
    pub fn establish(starts: &[StartAt], committed: &[Committed]) -> Vec<OffsetCommit> {
        let unknown = |partition| {
            committed.iter().all(|position| position.partition != partition || position.offset.is_none())
        };
        starts
            .iter()
            .filter(|start| unknown(start.partition))
            .map(|start| OffsetCommit {
                partition: start.partition,
                offset: start.offset,
                metadata: String::new(),
            })
            .collect()
    }

    /// Gives partitions up: nothing is committed for them any more.
    pub fn give_up(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.owned.remove(partition);
        }
    }

    /// What a durable batch allows to commit.
    #[must_use]
    pub fn durable(&self, ranges: &Ranges) -> Vec<OffsetCommit> {
        let owned = ranges.iter().filter(|(partition, _)| self.owned.contains(partition));
        owned
            .map(|(partition, range)| OffsetCommit { partition, offset: range.end, metadata: String::new() })
            .collect()
    }

    fn expired(&self, partition: i32, offset: i64, low: i64) -> PipelineError {
        let Self { group, topic, .. } = self;
        PipelineError::new(
            ErrorKind::OffsetGap,
            format!(
                "group `{group}` must go on at {topic}[{partition}]@{offset}, and the broker holds nothing before \
                 {low}: {} messages are gone",
                low.saturating_sub(offset)
            ),
        )
    }

    fn beyond_end(&self, partition: i32, offset: i64, high: i64) -> PipelineError {
        let Self { group, topic, .. } = self;
        PipelineError::new(
            ErrorKind::OffsetGap,
            format!(
                "group `{group}` has read {topic}[{partition}] up to {offset}, and the topic ends at {high}: it was \
                 deleted and made again, or the group belongs to another cluster"
            ),
        )
    }

    fn never_started(&self) -> PipelineError {
        let Self { group, topic, .. } = self;
        PipelineError::new(
            ErrorKind::OffsetGap,
            format!("group `{group}` has never read {topic}; start it once with --from-beginning"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(offsets: &[Option<i64>]) -> Vec<Committed> {
        let positions = (0..).zip(offsets);
        positions
            .map(|(partition, offset)| Committed { partition, offset: *offset, metadata: String::new() })
            .collect()
    }

    fn marks(partition: i32, low: i64, high: i64) -> Watermarks {
        Watermarks { partition, low, high }
    }

    fn ledger(new_group: NewGroup) -> Ledger {
        Ledger::new("nova-likes", "cdc.likes", new_group)
    }

    #[test]
    fn goes_on_at_the_committed_offset() {
        let starts = ledger(NewGroup::Refuse).recover(&committed(&[Some(40)]), &[marks(0, 10, 50)]).unwrap();
        assert_eq!(starts, [StartAt { partition: 0, offset: 40 }]);
    }

    #[test]
    fn a_new_group_begins_only_when_told_to_and_from_what_is_there() {
        let error = ledger(NewGroup::Refuse).recover(&committed(&[None]), &[marks(0, 3, 9)]).unwrap_err();
        assert!(error.kind == ErrorKind::OffsetGap && error.message.contains("--from-beginning"), "{error}");
        let mut ledger = ledger(NewGroup::FromBeginning);
        let starts = ledger.recover(&committed(&[None]), &[marks(0, 3, 9)]).unwrap();
        assert_eq!(starts, [StartAt { partition: 0, offset: 3 }]);
        assert_eq!(Ledger::establish(&starts, &committed(&[None])).len(), 1);
    }

    #[test]
    fn an_added_partition_is_read_whole() {
        let both = committed(&[Some(5), None]);
        let starts = ledger(NewGroup::Refuse).recover(&both, &[marks(1, 0, 7)]).unwrap();
        assert_eq!(starts, [StartAt { partition: 1, offset: 0 }]);
        assert!(ledger(NewGroup::Refuse).recover(&both, &[marks(1, 2, 7)]).is_err());
    }

    #[test]
    fn never_jumps_over_a_gap_or_back() {
        let expired =
            ledger(NewGroup::FromBeginning).recover(&committed(&[Some(5)]), &[marks(0, 8, 9)]).unwrap_err();
        assert!(expired.message.contains("3 messages are gone"), "{expired}");
        let beyond =
            ledger(NewGroup::FromBeginning).recover(&committed(&[Some(5)]), &[marks(0, 0, 4)]).unwrap_err();
        assert!(beyond.message.contains("made again"), "{beyond}");
    }

    #[test]
    fn commits_only_for_owned_partitions() {
        let mut ledger = ledger(NewGroup::Refuse);
        ledger.recover(&committed(&[Some(0), Some(0)]), &[marks(0, 0, 9), marks(1, 0, 9)]).unwrap();
        let mut ranges = Ranges::default();
        for (partition, offset) in [(0, 2), (0, 4), (1, 0)] {
            ranges.extend(partition, offset);
        }
        ledger.give_up(&[1]);
        assert_eq!(
            ledger.durable(&ranges),
            [OffsetCommit { partition: 0, offset: 5, metadata: String::new() }]
        );
    }

    #[test]
    fn a_token_names_topic_table_and_ranges() {
        let mut one = Ranges::default();
        one.extend(0, 1);
        let mut two = one.clone();
        assert_eq!(one.token("t", "x"), two.token("t", "x"));
        two.extend(0, 2);
        assert_ne!(one.token("t", "x"), two.token("t", "x"));
        assert_ne!(one.token("t", "x"), one.token("t", "y"));
        assert_ne!(one.token("tx", ""), one.token("t", "x"));
    }
}
